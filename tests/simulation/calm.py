"""What becomes of a world in which nothing fails any more: fair steps to rest, and a human act.

Where nobody serves at rest, each human act is tried.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.node.model import State
from tests.simulation.agents import Move
from tests.simulation.moves import Moves
from tests.simulation.rules import NAMES
from tests.simulation.world import Budget, World

_AT_REST = Budget(failovers=1)
_LONGEST = 200


class Calm:
    """Follows worlds to rest; each world's rest is remembered."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._next: dict[tuple[World, int | None], World | None] = {}
        self._verdicts: dict[tuple[World, int | None], str | None] = {}

    def stranded(self, world: World, gone: int | None = None) -> str | None:
        """Return why nobody, or more than one, serves in the end; None where one does with at most one human act.

        Links heal and everything starts, except a node that is gone for ever.
        """
        quiet = self._quiet(world, gone)
        rest, path = self._rest(quiet, gone)
        verdict = self._verdicts.get((rest, gone), "")
        if verdict == "":
            verdict = self._verdicts[rest, gone] = self._judge(rest, gone)
        return None if verdict is None else "\n".join([*path, verdict])

    def _judge(self, rest: World, gone: int | None) -> str | None:
        if self._serves_well(rest):
            return None
        tried = ["at rest nobody serves, and no human act helps:"]
        for label, asked in self._acts(rest, gone):
            after, path = self._rest(self._quiet(asked, gone), gone)
            if self._serves_well(after):
                return None
            tried.append(f"  {label} → {' → '.join(path)}")
        return "\n".join(tried)

    def _acts(self, rest: World, gone: int | None) -> Iterator[Move]:
        for node in range(len(rest.nodes)):
            if node != gone:
                yield from self._moves.by_people(rest._replace(left=Budget(humans=1)), node)

    def _serves_well(self, world: World) -> bool:
        serving = world.serving
        return len(serving) == 1 and self._moves.state(world, serving[0]) is State.ACTIVE

    def _quiet(self, world: World, gone: int | None) -> World:
        """Return the world without faults; what only the checker notes is left out."""
        world = World(tuple(node._replace(looked_blind=False) for node in world.nodes), _AT_REST)
        if gone is None:
            return world
        off = world.nodes[gone]._replace(
            is_host_up=False, is_agent_up=False, is_open=False, is_start_unknown=False, has_promised=False, grants=0
        )
        return world.with_node(gone, off)

    def _rest(self, world: World, gone: int | None) -> tuple[World, list[str]]:
        seen: set[World] = set()
        for _ in range(_LONGEST):
            if world in seen:  # a peer's grant is asked for again whenever it has run out
                return world, []
            seen.add(world)
            if (world, gone) not in self._next:
                self._next[world, gone] = self._step(world, gone)
            after = self._next[world, gone]
            if after is None:
                return world, []
            world = after
        return world, ["it never comes to rest"]

    def _step(self, world: World, gone: int | None) -> World | None:
        """Return the world after one fair step: what starts first, what only time brings last."""
        moves = self._moves
        nodes = [node for node in range(len(world.nodes)) if node != gone]
        hasty = (moves.start, moves.act, self._judge_late, moves.ask_grants, moves.outcome, moves.resync)
        patient = (moves.watch, self._by_controller, moves.time_passes)
        for sources in (hasty, patient):
            for source in sources:
                for node in nodes:
                    for _, after in reversed(list(source(world, node))):
                        quiet = after._replace(risks=0, is_split_promised=False)
                        if quiet != world:
                            return quiet
        return None

    def _judge_late(self, world: World, node: int) -> Iterator[Move]:
        """Judge when every grace period is over: what was judged before that is past."""
        is_lonely = not any(world.hears(node, peer) for peer in world.peers(node))
        for label, after in self._moves.judge(world, node):
            if "after the grace" in label or not is_lonely or self._moves.state(world, node) is not State.WAITING:
                yield label, after

    def _by_controller(self, world: World, node: int) -> Iterator[Move]:
        """Fail over by itself, and give up a switchover that nobody drives any more."""
        for label, after in self._moves.by_controllers(world, node):
            if label in (f"{NAMES[node]}: fails over", f"{NAMES[node]}: gives up waiting"):
                yield label, after
