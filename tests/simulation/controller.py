"""A simple controller of a simulated node: syncs, agreement on who may promote itself, failover, handover, re-sync."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from shared.errors import WarmstandbyError
from shared.node.model import Attempt, AttemptKind, Eligible, NodeView, OrderFence, Prepare, Promote, State
from shared.node.steps import Act
from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.machine import Agent, Machine

TICK_SECONDS = 1.0
SYNC_EVERY = 4
MISSES = 2
AGENT_DOWN_SECONDS = 15.0
PATIENCE_SECONDS = 40.0


class Controller:
    """Lives as long as its host; forgets everything with it."""

    def __init__(self, machine: Machine, covered: set[int], numbers: list[int]) -> None:
        self._machine = machine
        self._covered = covered
        self._numbers = numbers
        self._peer = next(other for name, other in machine.machines.items() if name != machine.name)
        self._link = Link(machine.network, machine.name, self._peer)
        self._silent_since: float | None = None
        self._agent_down_since: float | None = None
        self._misses = 0
        self._ticks = 0
        record = machine.record
        is_known = record is not None and record.term is not None and record.eligible.get(machine.name, False)
        self._synced_epoch = record.term.epoch if is_known and record is not None and record.term is not None else 0
        self._agreed_epoch = self._synced_epoch
        self._attempts: dict[str, float] = {}
        self.promotes_by_itself = True

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self._ticks += 1
            with contextlib.suppress(WarmstandbyError):
                await self._tick()
            await asyncio.sleep(TICK_SECONDS)

    async def promote(self, kind: AttemptKind, *, is_by_hand: bool, may_leave_fence: bool = False) -> None:
        """Ask the own agent for a promotion; raises what it refuses."""
        agent = self._machine.agent
        if agent is None:
            return
        self._numbers[0] += 1
        term, has_peer = agent.node.term, kind in (AttemptKind.SWITCHOVER, AttemptKind.TAKEOVER)
        silent = None if self._silent_since is None else self._machine.clock.monotonic() - self._silent_since
        asked = Promote(
            attempt_id=f"attempt-{self._numbers[0]}",
            kind=kind,
            expected_epoch=term.epoch if term else None,
            is_by_hand=is_by_hand,
            silent_seconds=None if is_by_hand else silent,
            peer=self._peer.name if has_peer else None,
            may_leave_fence=may_leave_fence,
        )
        await agent.asked(agent.roles.promote(asked))

    async def _tick(self) -> None:
        agent = self._machine.agent
        view = await self._look()
        if agent is None or not agent.is_alive:
            return
        attempt = agent.node.record.attempt
        if attempt is not None:
            await self._drive(agent, attempt)
        elif agent.node.state is State.STANDBY:
            await self._follow(agent, view)
        elif agent.node.state is State.FENCED and view is not None and view.state is State.ACTIVE:
            await self._return(agent, view)

    async def _look(self) -> NodeView | None:
        """Look at the peer's agent and controller; count how long both are silent."""
        now = self._machine.clock.monotonic()
        try:
            view = await self._link.node()
        except WarmstandbyError:
            if await self._link.is_controller_there():
                self._silent_since, self._misses = None, 0
                self._agent_down_since = self._agent_down_since or now
            else:
                self._silent_since = now if self._silent_since is None else self._silent_since
                self._misses, self._agent_down_since = self._misses + 1, None
            return None
        self._silent_since, self._misses, self._agent_down_since = None, 0, None
        return view

    async def _follow(self, agent: Agent, view: NodeView | None) -> None:
        node = agent.node
        if node.term is None:
            return
        epoch, may = node.term.epoch, node.record.eligible.get(node.record.node_id, False)
        if view is not None and view.state is State.ACTIVE and view.term == node.term:
            if self._ticks % SYNC_EVERY == 0:
                await self._sync(agent)
            await self._agree(agent, epoch, may=may)
            return
        if not may or node.term.owner == node.record.node_id:
            return
        if self._misses >= MISSES:
            await self.promote(AttemptKind.FAILOVER, is_by_hand=False)
        now = self._machine.clock.monotonic()
        is_down = self._agent_down_since is not None and now - self._agent_down_since > AGENT_DOWN_SECONDS
        if is_down and await self._link.is_controller_there() and self._peer.close_for_dead_agent():
            await self.promote(AttemptKind.FAILOVER, is_by_hand=False)

    async def _sync(self, agent: Agent) -> bool:
        """Copy what the active node has; what a completed sync has brought is covered."""
        term = agent.node.term
        rows = await self._link.rows()
        if rows is None or not agent.is_alive or not self._machine.can_apply or agent.node.term != term:
            return False
        self._machine.rows = set(rows)
        self._covered |= rows
        self._synced_epoch = 0 if term is None else term.epoch
        return True

    async def _agree(self, agent: Agent, epoch: int, *, may: bool) -> None:
        """Give this standby the right to promote itself, noted on the active node first, or take it, here first."""
        wanted = self.promotes_by_itself and self._synced_epoch == epoch
        if wanted and not may:
            if self._agreed_epoch != epoch:
                await self._link.set_eligible(Eligible(epoch=epoch, is_eligible=True))
                self._agreed_epoch = epoch
            asked = Eligible(epoch=epoch, is_eligible=True)
            await agent.asked(agent.roles.set_eligible(asked, agent.node.record.node_id))
        elif not wanted and (may or self._agreed_epoch == epoch):
            asked = Eligible(epoch=epoch, is_eligible=False)
            await agent.asked(agent.roles.set_eligible(asked, agent.node.record.node_id))
            await self._link.set_eligible(asked)
            self._agreed_epoch = 0

    async def _return(self, agent: Agent, view: NodeView) -> None:
        """Save what only this node has, take what the active node has, and follow it."""
        term = agent.node.term
        if view.term != term or term is None or term.owner != view.node_id:
            return
        rows = await self._link.rows()
        if rows is None or not agent.is_alive or agent.node.state is not State.FENCED or agent.node.term != term:
            return
        if self._machine.is_accepting:
            return
        self._machine.rescued |= self._machine.rows - rows
        self._machine.rows = set(rows)
        await agent.asked(agent.roles.follow(term.epoch))

    async def _drive(self, agent: Agent, attempt: Attempt) -> None:
        """Take a handover step by step; give it up when it takes too long."""
        now = self._machine.clock.monotonic()
        begun = self._attempts.setdefault(attempt.id, now)
        if attempt.step != Act.AWAIT_HANDOVER:
            return
        if now - begun > PATIENCE_SECONDS:
            await agent.asked(agent.roles.abandon(attempt.id))
        elif attempt.is_peer_closed:
            if attempt.kind is AttemptKind.TAKEOVER or await self._sync(agent):
                await agent.asked(agent.roles.commit(attempt.id))
        elif attempt.kind is AttemptKind.TAKEOVER:
            await self._link.order_fence(OrderFence(attempt_id=attempt.id))
        elif agent.node.term is not None:
            asked = Prepare(
                attempt_id=attempt.id,
                epoch=attempt.epoch,
                expected_epoch=agent.node.term.epoch,
                deadline_seconds=20.0,
            )
            await self._link.prepare(asked)
