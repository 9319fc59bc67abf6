"""The search through every world that can be reached, and what must hold in each of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shared.node.commands import is_bound
from shared.node.model import State
from shared.node.reasons import Reason
from shared.node.record import Record
from tests.simulation.agents import Move
from tests.simulation.moves import Moves
from tests.simulation.rules import NAMES
from tests.simulation.world import World

Moving = Callable[[World], Iterator[Move]]


class Broken(AssertionError):
    """A world that must not be, with the way that led there."""


@dataclass
class Exploration:
    """Breadth first, so that a counter-example is among the shortest."""

    moves: Moves
    came: dict[World, tuple[World, str] | None] = field(default_factory=dict)

    def run(self, start: World, *, limit: int) -> None:
        """Visit every world that can be reached; raise Broken for one that must not be, or past the limit."""
        self.came[start] = None
        waiting = deque([start])
        while waiting:
            world = waiting.popleft()
            for label, reached in self.moves.all(world):
                after = forget(self.moves, reached)
                if after in self.came:
                    continue
                self.came[after] = (world, label)
                if len(self.came) > limit:
                    raise Broken(f"more than {limit} worlds; the budget {start.left} is too large")
                problem = wrong(self.moves, world, after)
                if problem is not None:
                    raise Broken(self.tell(after, problem))
                waiting.append(after)

    def tell(self, world: World, problem: str) -> str:
        """Return the problem and the steps that led to it."""
        steps = []
        last: World = world
        while (before := self.came[last]) is not None:
            last, label = before
            steps.append(label)
        lines = [problem, *(f"{number:3} {step}" for number, step in enumerate(reversed(steps), 1))]
        return "\n".join([*lines, describe(self.moves, world)])


def describe(moves: Moves, world: World) -> str:
    """Return a world in words."""
    lines = [f"cut {world.cut:03b} split promised {world.is_split_promised} risks {world.risks:03b} left {world.left}"]
    for node, now in enumerate(world.nodes):
        record = moves.record(world, node)
        lines.append(f"{NAMES[node]}: {record.state} {record.reason} term {record.term} attempt {record.attempt}")
        lines.append(f"     demotion {record.demotion} eligible {record.eligible} {now}")
    return "\n".join(lines)


def forget(moves: Moves, world: World) -> World:
    """Drop what the checker noted once the split is over: one term everywhere, and no node on its way."""
    if not (world.is_split_promised or world.risks):
        return world
    records = [moves.record(world, node) for node in range(len(world.nodes))]
    is_over = len({record.term for record in records}) == 1 and not any(
        record.state in (State.PROMOTING, State.DEMOTING) or (now.is_open and record.state is not State.ACTIVE)
        for record, now in zip(records, world.nodes, strict=True)
    )
    return world._replace(is_split_promised=False, risks=0) if is_over else world


def wrong(moves: Moves, before: World, world: World) -> str | None:
    """Return what is wrong with a world that was reached by one step."""
    if len(world.serving) > 1 and not world.is_split_promised:
        return "two nodes serve although nothing excuses it"
    owners: dict[int, str] = {}
    for node, now in enumerate(world.nodes):
        record = moves.record(world, node)
        problem = _wrong_record(node, moves.record(before, node), record)
        if problem is None and now.is_open and not before.nodes[node].is_open and not _may_open(record, NAMES[node]):
            problem = f"opened while {record.state} in term {record.term}"
        if problem is not None:
            return f"{NAMES[node]}: {problem}"
        if record.term is not None and owners.setdefault(record.term.epoch, record.term.owner) != record.term.owner:
            return f"epoch {record.term.epoch} has two owners"
    return None


def _wrong_record(node: int, before: Record, record: Record) -> str | None:
    if before.term is not None and record.term is not None and record.term.epoch < before.term.epoch:
        return f"the epoch fell from {before.term.epoch}"
    if record.term is not None and record.term.epoch % 16 != NAMES.index(record.term.owner) + 1:
        return f"epoch {record.term.epoch} is not of its owner's class"
    if (record.state is State.DEMOTING) != (record.demotion is not None):
        return f"{record.state} with demotion {record.demotion}"
    if (record.state is State.PROMOTING) != (record.attempt is not None):
        return f"{record.state} with attempt {record.attempt}"
    owns = record.term is not None and record.term.owner == NAMES[node]
    if record.state in (State.ACTIVE, State.WAITING) and not owns:
        return f"{record.state} without owning its term"
    if record.state is State.STANDBY and owns and record.reason is not Reason.UNSEEDED:
        return "a standby owns its term"
    return None


def _may_open(record: Record, name: str) -> bool:
    owns = record.term is not None and record.term.owner == name
    return owns and (record.state is State.ACTIVE or (record.state is State.PROMOTING and is_bound(record)))
