"""The loop that does what the record says: acts of a change of roles, hooks, databases open or closed.

Where PostgreSQL could not be asked, or somebody opened what was closed, the next look brings it to what the state
demands.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import Final

from services.primary_agent.node.demotion import Demoting
from services.primary_agent.node.node import Node
from services.primary_agent.node.ports import DatabaseFence, HookRunner, run_hook
from services.primary_agent.node.promotion import STOP_APPLY_SECONDS, Promotion
from shared.clock import Clock
from shared.errors import DatabaseUnreachable, FenceIncomplete, HookVeto, WarmstandbyError
from shared.lifecycle import run_every
from shared.log import fields_of
from shared.node.journal import Journal
from shared.node.model import FenceView, Problem, State
from shared.node.observation import Start
from shared.node.record import Record
from shared.surroundings import HookName

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
_BETWEEN_ACTS_SECONDS: Final = 0.25


class Performer:
    """One act at a time; `run` goes on for ever."""

    def __init__(
        self,
        node: Node,
        promotion: Promotion,
        demoting: Demoting,
        fence: DatabaseFence,
        hooks: HookRunner,
        journal: Journal,
        clock: Clock,
        *,
        look_seconds: float,
        deadline_seconds: float,
    ) -> None:
        self._node = node
        self._promotion = promotion
        self._demoting = demoting
        self._fence = fence
        self._hooks = hooks
        self._journal = journal
        self._clock = clock
        self._look_seconds = look_seconds
        self._deadline_seconds = deadline_seconds
        self._look_again_at = 0.0
        self._is_closed: bool | None = None
        self._problem: WarmstandbyError | None = None
        self._settled: State | None = None
        self._changed, self._hooks_due = node.watch(), node.watch()
        node.fence_view = self.view

    def view(self) -> FenceView:
        """Return how the databases stand, as last seen."""
        fence, error, problem = self._fence, self._problem, None
        if error is not None:
            problem = Problem(code=error.code, text=error.detail, hint=error.hint)
        elif fence.problem is not None:
            problem = Problem(code="fence_weak", text=fence.problem, hint="README.md, section Fencing.")
        return FenceView(strength=fence.strength.value, is_closed=self._is_closed, problem=problem)

    async def run(self) -> None:
        """Act whenever the record changes, and look every second."""
        await run_every(self._pause, self.act, name="performer", wake=self._changed)

    async def run_hooks(self) -> None:
        """Run the hooks that follow from a state, beside everything else; goes on for ever."""
        await run_every(PAUSE_SECONDS, self._run_pending_hooks, name="hooks", wake=self._hooks_due)

    async def act(self) -> None:
        """Do what there is to do; raises what keeps it from being done."""
        if self._node.start is Start.UNKNOWN:
            return
        await self._promotion.go_on()
        await self._demoting.go_on()
        await self._keep_posture()

    def _pause(self) -> float:
        return _BETWEEN_ACTS_SECONDS if self._node.state in (State.PROMOTING, State.DEMOTING) else PAUSE_SECONDS

    async def _keep_posture(self) -> None:
        """Bring databases and applying role to what the state demands, and see that it stays so."""
        state = self._node.state
        try:
            match state:
                case State.ACTIVE:
                    await self._keep_open(is_new=self._settled is not state)
                case State.STANDBY | State.FENCED | State.WAITING:
                    await self._keep_closed(state, is_new=self._settled is not state)
                case State.UNINITIALISED:  # maybe a node that served and lost its record: peers want to know
                    if self._is_look_due():
                        self._is_closed = await self._fence.is_closed()
                case _:
                    self._settled = None
        except WarmstandbyError as error:
            self._problem, self._settled = error, None
            raise
        self._problem = None

    async def _keep_open(self, *, is_new: bool) -> None:
        if is_new:
            await self._fence.stop_apply(STOP_APPLY_SECONDS)
        if (is_new or self._is_look_due()) and not await self._fence.is_open():
            await self._fence.open()
        self._is_closed, self._settled = False, State.ACTIVE

    async def _keep_closed(self, state: State, *, is_new: bool) -> None:
        try:
            if (is_new or self._is_look_due()) and not await self._fence.is_closed():
                if not is_new:
                    log.warning(
                        "databases of a node that does not serve were open", extra={"detail": self._fence.opening}
                    )
                await self._close()
        except DatabaseUnreachable:  # a server that is down lets nobody in, and a peer may wait for just that
            with suppress(DatabaseUnreachable):
                await self._fence.close()
            self._is_closed = await self._fence.is_shut_down() or self._is_closed
            raise
        if is_new and state is not State.WAITING:
            await self._fence.resume_apply()
        self._is_closed, self._settled = True, state

    async def _close(self) -> None:
        self._is_closed = False
        await self._fence.close()
        try:
            await self._fence.end(self._deadline_seconds)
        except FenceIncomplete as error:
            if error.sessions or not error.prepared:
                raise

    def _is_look_due(self) -> bool:
        """Say whether the databases are to be looked at again, at the pace of the other looks."""
        now = self._clock.monotonic()
        if now < self._look_again_at:
            return False
        self._look_again_at = now + self._look_seconds
        return True

    async def _run_pending_hooks(self) -> None:
        """Run what follows from the present state; a hook that fails is told of and not repeated.

        What an attempt has begun ends with it: nobody is switched off any more for a promotion that was given up.
        """
        if self._node.record.attempt is None:
            self._hooks.end(HookName.PRE_PROMOTE, HookName.FENCE_PEER)
        while self._node.record.pending_hooks:  # a state that the node has left wants nothing any more
            record = self._node.record
            name = record.pending_hooks[0]
            told = {"state_after": record.state.value, "reason": record.reason or ""}
            told |= {"epoch": str(record.term.epoch)} if record.term else {}
            outcome, detail = "done", ""
            try:
                detail = await run_hook(self._hooks, name, told)
            except HookVeto as error:
                outcome, detail = "failed", error.detail
                log.warning("hook failed", extra=fields_of(error))
            await self._node.change(partial(_without_hook, name=name))
            await self._journal.write(f"{told.get('epoch', '0')}.{record.serial}", "hook", name, outcome, detail=detail)


def _without_hook(record: Record, name: HookName) -> Record:
    left = tuple(other for other in record.pending_hooks if other is not name)
    return record.model_copy(update={"pending_hooks": left})
