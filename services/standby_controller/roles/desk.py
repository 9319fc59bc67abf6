"""All changes of roles of this controller, put together: what routes ask, and the loops that act by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.standby_controller.apply.returning import ReturnView
from services.standby_controller.monitor import Monitor
from services.standby_controller.recorder import Recorder
from services.standby_controller.roles.agents import OwnAgent, PeerAgent, PeerController
from services.standby_controller.roles.changes import RoleChanges
from services.standby_controller.roles.leftover import Leftover
from services.standby_controller.roles.planned import PlannedSwaps
from services.standby_controller.roles.returning import Return
from services.standby_controller.roles.takeover import Judge, Takeover
from services.standby_controller.source import Source
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.errors import NotFound
from shared.lifecycle import Sibling, run_every
from shared.node.controller_model import CloseNode, NodeClosed
from shared.node.model import NodeView

LOOK_SECONDS: Final = 0.25
RETURN_SECONDS: Final = 1.0


class AdministeredAgent(OwnAgent, Protocol):
    """This node's agent with what only an administrator asks."""

    async def fence(self) -> NodeView:
        """Stop serving."""

    async def unfence(self) -> NodeView:
        """Serve again."""


async def _nothing_told(_: Source) -> tuple[ReturnView, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Agents:
    """This node's agent and the peers', and whether this node has what no other has."""

    own: AdministeredAgent
    peers: Mapping[str, PeerAgent]
    is_clean: Callable[[Source], Awaitable[bool]]
    divergence: Callable[[Source], Awaitable[tuple[ReturnView, ...]]] = _nothing_told
    controllers: Mapping[str, PeerController] = field(default_factory=dict)
    close_seconds: float = 30.0
    """How long a peer's controller may take to close its node."""

    def peer(self, node_id: str) -> PeerAgent:
        """Return the way to a peer; raises NotFound."""
        if node_id not in self.peers:
            raise NotFound(f"node {node_id!r} is not among [[peers]]")
        return self.peers[node_id]

    async def close(self, node_id: str, asked: CloseNode) -> NodeClosed:
        """Have a peer's controller close its node, whose agent is dead; raises NotFound, PeerError."""
        if node_id not in self.controllers:
            raise NotFound(f"node {node_id!r} is not among [[peers]]")
        return await self.controllers[node_id].close_node(asked, deadline_seconds=self.close_seconds)


@dataclass(frozen=True, slots=True)
class RoleDesk:
    """Failover, switchover and return."""

    changes: RoleChanges
    leftover: Leftover
    takeover: Takeover
    swaps: PlannedSwaps
    returning: Return
    own_agent: AdministeredAgent
    divergence: Callable[[Source], Awaitable[tuple[ReturnView, ...]]]

    @classmethod
    def build(
        cls,
        agents: Agents,
        judge: Judge,
        monitor: Monitor,
        runner: SyncRunner,
        recorder: Recorder,
        config: PairConfig,
        clock: Clock,
    ) -> RoleDesk:
        """Put it together; nothing is asked of anybody yet."""
        changes = RoleChanges(recorder, lambda: monitor.look(monitor.own.node_id), clock)
        return cls(
            changes=changes,
            leftover=Leftover(agents.own, monitor, changes),
            takeover=Takeover(
                judge, agents.own, agents, agents, changes, clock, lambda: config.known.failover.sequence_headroom
            ),
            swaps=PlannedSwaps(
                judge,
                agents.own,
                agents,
                monitor,
                runner,
                changes,
                lambda: config.known.failover.max_write_gap_seconds,
                clock,
            ),
            returning=Return(
                agents.own,
                monitor,
                runner,
                changes,
                lambda: config.known.failover.resync_returned_node,
                agents.is_clean,
                clock,
            ),
            own_agent=agents.own,
            divergence=agents.divergence,
        )

    def siblings(self) -> tuple[Sibling, ...]:
        """Return the loops."""
        return (
            Sibling("changes of roles", self.changes.run),
            Sibling("leftover", lambda: run_every(LOOK_SECONDS, self.leftover.look, name="leftover")),
            Sibling("takeover", lambda: run_every(LOOK_SECONDS, self.takeover.look, name="takeover")),
            Sibling("return", lambda: run_every(RETURN_SECONDS, self.returning.look, name="return")),
        )
