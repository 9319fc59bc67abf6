"""Performs the acts of a demotion, and learns how a handover ended; decides neither.

A node that handed over opens again only when the holder of the attempt says that it is abandoned: never on silence.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from services.primary_agent.node.node import Node
from services.primary_agent.node.ports import DatabaseFence, HookRunner, Peers, run_hook
from shared.clock import Clock
from shared.errors import (
    AttemptGone,
    FenceIncomplete,
    HookVeto,
    PeerError,
    PostgresError,
    WarmstandbyError,
)
from shared.fencing.closing import do_closing_act
from shared.log import fields_of
from shared.node.commands import advance_demotion, doubt, take_back
from shared.node.journal import Journal
from shared.node.model import Demotion, DemotionKind, Settle, State
from shared.node.steps import Act
from shared.node.transitions import Event
from shared.surroundings import HookName

log = logging.getLogger(__name__)

HANDOVER_SECONDS: Final = 60.0


class Demoting:
    """Does what the record's demotion says."""

    def __init__(
        self,
        node: Node,
        fence: DatabaseFence,
        hooks: HookRunner,
        peers: Peers,
        journal: Journal,
        clock: Clock,
        *,
        deadline_seconds: float,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._node = node
        self._fence = fence
        self._hooks = hooks
        self._peers = peers
        self._journal = journal
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._told: set[str] = set()

    def expect_outcome_within(self, demotion_id: str, seconds: float) -> None:
        """Ask the holder of the attempt to settle it when this time is over; after a start a default counts."""
        self._deadlines.setdefault(demotion_id, self._clock.monotonic() + seconds)

    async def go_on(self) -> None:
        """Do acts until the databases are closed for certain; then ask how it ended. Raises RecordUnwritable."""
        while (demotion := self._node.record.demotion) is not None and self._node.state is State.DEMOTING:
            act = Act(demotion.step)
            if act is Act.CLOSED:
                await self._ask_outcome(demotion)
                return
            if not await self._do(demotion, act):
                return

    async def _do(self, demotion: Demotion, act: Act) -> bool:
        begun = self._clock.monotonic()
        if demotion.id not in self._told:
            await self._journal.write(demotion.id, demotion.kind, act, "begun", data=_tell(demotion))
        try:
            await self._perform(demotion, act)
            await self._node.change(partial(advance_demotion, demotion_id=demotion.id, act=act))
        except AttemptGone:
            return True
        except WarmstandbyError as error:
            return await self._fail(demotion, act, error)
        took = self._clock.monotonic() - begun
        await self._journal.write(demotion.id, demotion.kind, act, "done", seconds=took)
        return True

    async def _perform(self, demotion: Demotion, act: Act) -> None:
        match act:
            case Act.STOP_APPLICATION:
                try:
                    await run_hook(self._hooks, HookName.STOP_APPLICATION, _tell(demotion))
                except HookVeto as error:  # what it did not stop is stopped by the acts that follow
                    log.warning("the application was not stopped by its hook", extra=fields_of(error))
            case _:
                is_for_good = demotion.kind is DemotionKind.FENCE
                seconds = self._deadline_seconds
                await do_closing_act(self._fence, act, deadline_seconds=seconds, is_for_good=is_for_good)

    async def _fail(self, demotion: Demotion, act: Act, error: WarmstandbyError) -> bool:
        """A handover that cannot be proved is given up; a fence is tried for ever, and people are told once."""
        is_new = demotion.id not in self._told
        self._told.add(demotion.id)
        if is_new:
            log.error("act of a demotion failed", extra={"act": act.value, **fields_of(error)})
            await self._journal.write(
                demotion.id, demotion.kind, act, "failed", detail=error.detail, data={"code": error.code}
            )
        if demotion.kind is DemotionKind.HANDOVER and isinstance(error, FenceIncomplete | PostgresError):
            if await self._settle(demotion, Event.CLOSE_FAILED):
                return True
        elif is_new and isinstance(error, FenceIncomplete):
            try:
                await run_hook(self._hooks, HookName.ON_FENCE_FAILED, _tell(demotion))
            except HookVeto as veto:
                log.warning("hook failed", extra=fields_of(veto))
        return False

    async def _ask_outcome(self, demotion: Demotion) -> None:
        """Ask the holder of the attempt; that it has become the term, the judgement of the peers finds by itself."""
        assert demotion.peer is not None
        self.expect_outcome_within(demotion.id, HANDOVER_SECONDS)
        is_late = self._clock.monotonic() > self._deadlines[demotion.id]
        try:
            view = await self._peers.client(demotion.peer).node()
        except PeerError:
            if is_late:
                await self._node.change(partial(doubt, demotion_id=demotion.id))
            return
        has_it = view.attempt is not None and view.attempt.id == demotion.id
        if (view.term is not None and view.term.epoch == demotion.epoch) or (has_it and not is_late):
            return
        await self._settle(demotion, Event.HANDOVER_ABANDONED)

    async def _settle(self, demotion: Demotion, event: Event) -> bool:
        """Have the attempt abandoned for certain, then serve on; False while the peer does not say so."""
        assert demotion.peer is not None
        assert demotion.epoch is not None
        asked = Settle(attempt_id=demotion.id, epoch=demotion.epoch)
        try:
            settled = await self._peers.client(demotion.peer).settle(asked)
        except PeerError:
            return False
        if settled.is_accepted:
            return False
        await self._node.change(partial(take_back, demotion_id=demotion.id, event=event))
        await self._journal.write(demotion.id, demotion.kind, event, "done")
        return True


def _tell(demotion: Demotion) -> dict[str, str]:
    """Return what hooks and journal are told of a demotion."""
    after = State.FENCED if demotion.kind is DemotionKind.FENCE else State.STANDBY
    told = {
        "attempt": demotion.id,
        "kind": demotion.kind.value,
        "reason": demotion.reason_code or "",
        "state_before": State.ACTIVE.value,
        "state_after": after.value,
    }
    return told | ({} if demotion.peer is None else {"peer": demotion.peer})
