"""One change of roles at a time, and what can be seen of it while it goes on. What it does is not here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.standby_controller.policy.transition_story import Topic
from services.standby_controller.recorder import NewEvidence, Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.records import Failure
from shared.clock import Clock
from shared.errors import TransitionRunning, WarmstandbyError
from shared.log import fields_of

log = logging.getLogger(__name__)


class ChangeKind(StrEnum):
    """What an administrator, or the controller by itself, has begun."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    RESYNC = "resync"


@dataclass(slots=True)
class Change:
    """A change of roles under way, or the last one."""

    id: str
    kind: ChangeKind
    requested_by: str
    why: str
    started_at: datetime
    started_monotonic: float
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase that has ended."""
    phase: str = "begun"
    ended_at: datetime | None = None
    failure: Failure | None = None
    write_gap_seconds: float | None = None
    is_asked: bool = False
    """The own agent has taken it up: its journal tells from there."""
    is_told: bool = False
    """The same failure was told before."""
    decision: dict[str, Any] | None = None
    """What it was decided from, for the history."""
    _phase_at: float = 0.0

    def enter(self, phase: str, now_monotonic: float) -> None:
        """Go on to a phase."""
        begun = self._phase_at or self.started_monotonic
        self.phases[self.phase] = round(self.phases.get(self.phase, 0.0) + now_monotonic - begun, 6)
        self.phase, self._phase_at = phase, now_monotonic


class RoleChanges:
    """Begins a change, sees it to its end, and keeps the last ones."""

    _KEPT: Final = 20

    def __init__(self, recorder: Recorder, look: Callable[[], Awaitable[None]], clock: Clock) -> None:
        """`look` sees how this node stands after a change: the next one is judged by that."""
        self._recorder = recorder
        self._look = look
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._changes: dict[str, Change] = {}
        self.running: Change | None = None

    async def run(self) -> None:
        """Own the change under way until cancelled; the agents go on, or back, without it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def find(self, change_id: str) -> Change | None:
        """Return a change of this process."""
        return self._changes.get(change_id)

    @property
    def last(self) -> Change | None:
        """Return the change that began last."""
        return next(reversed(self._changes.values()), None)

    def begin(
        self,
        kind: ChangeKind,
        requested_by: str,
        why: str,
        work: Callable[[Change], Awaitable[None]],
        *,
        decision: dict[str, Any] | None = None,
    ) -> Change:
        """Begin a change and return it, noting what it was decided from; raises TransitionRunning."""
        if self.running is not None:
            raise TransitionRunning(f"{self.running.kind} {self.running.id} is on its way")
        assert self._group is not None, "the loop runs before anybody asks"
        change = Change(
            id=secrets.token_hex(8),
            kind=kind,
            requested_by=requested_by,
            why=why,
            started_at=self._clock.now(),
            started_monotonic=self._clock.monotonic(),
            decision=decision,
        )
        self.running = self._changes[change.id] = change
        for old in list(self._changes)[: -self._KEPT]:
            del self._changes[old]
        self._note(change)
        self._group.create_task(self._see_through(change, work), name=f"{kind} {change.id}")
        return change

    async def _see_through(self, change: Change, work: Callable[[Change], Awaitable[None]]) -> None:
        try:
            await self._work(change, work)
            await self._look()
        finally:
            change.enter("failed" if change.failure else "done", self._clock.monotonic())
            change.ended_at = self._clock.now()
            self.running = None
        self._note(change)
        if change.is_asked or (change.failure and change.is_told):
            return  # the agent's journal tells of it, or an event did
        severity = Severity.CRITICAL if change.failure else Severity.WARNING
        kind = EventKind.TRANSITION_FAILED if change.failure else EventKind.TRANSITION_DONE
        text = f"{change.kind} by {change.requested_by} " + (
            f"failed: {change.failure.detail}" if change.failure else "is done"
        )
        data = {"id": change.id, "phases": dict(change.phases), "why": change.why}
        self._recorder.add_event(NewEvent(self._clock.now(), kind, severity, change.id, text, data))

    async def _work(self, change: Change, work: Callable[[Change], Awaitable[None]]) -> None:
        try:
            await work(change)
        except WarmstandbyError as error:
            log.warning("change of roles failed", extra={"change": change.id, **fields_of(error)})
            change.failure = Failure(error.code, error.detail, error.hint)

    def _note(self, change: Change) -> None:
        """Have the history keep what the change was decided from, and how it went as seen from here."""
        if change.decision is None:
            return
        told = {
            **change.decision,
            "requested_by": change.requested_by,
            "why": change.why,
            "phases": dict(change.phases),
            "write_gap_seconds": change.write_gap_seconds,
        }
        self._recorder.add_evidence(NewEvidence(change.id, Topic.DECISION, self._clock.now(), told))
