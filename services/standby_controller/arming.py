"""Maintenance and arming: switched by administrators; the controller disarms. Both are in the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.pair_document import PairDocument
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.pair_config import PairConfig
from shared.clock import Clock
from shared.errors import PreconditionFailed

_TRIES: Final = 5

_Change = Callable[[PairDocument], PairDocument]


class Arming:
    """Switches what may happen by itself; each switch is an event."""

    def __init__(self, config: PairConfig, monitor: Monitor, recorder: Recorder, clock: Clock) -> None:
        self._config = config
        self._monitor = monitor
        self._recorder = recorder
        self._clock = clock

    async def set_armed(self, is_armed: bool, by: str, reason: str) -> PairDocument:
        """Arm or disarm automatic failover; again changes nothing. Raises PostgresError."""
        document, is_new = await self._switch("armed", is_armed, by)
        if is_new:
            kind = EventKind.ARMED if is_armed else EventKind.DISARMED
            self._tell(kind, f"{by} {'armed' if is_armed else 'disarmed'} automatic failover", reason)
        return document

    async def set_maintenance(self, is_on: bool, by: str, reason: str) -> PairDocument:
        """Begin or end maintenance; again changes nothing. Raises PostgresError."""
        document, is_new = await self._switch("maintenance", is_on, by)
        if is_new:
            kind = EventKind.MAINTENANCE_BEGUN if is_on else EventKind.MAINTENANCE_ENDED
            self._tell(kind, f"{by} {'began' if is_on else 'ended'} maintenance", reason)
        return document

    async def _switch(self, name: str, value: bool, by: str) -> tuple[PairDocument, bool]:
        """Change one switch, again where somebody else changes the document meanwhile."""
        for attempt in range(_TRIES):
            base = await self._config.read(self._clock.now())
            if getattr(base.document.failover, name) is value:
                return base.document, False
            failover = base.document.failover.model_copy(update={name: value})
            document = base.document.model_copy(update={"failover": failover})
            term = self._monitor.own.term
            try:
                await self._config.replace(
                    base, document, epoch=0 if term is None else term.epoch, changed_by=by, now=self._clock.now()
                )
            except PreconditionFailed:
                if attempt == _TRIES - 1:
                    raise
            else:
                self._monitor.begin_anew(self._clock.monotonic())  # what was seen before counts for nothing now
                return document, True
        raise AssertionError("the last try returns or raises")

    def _tell(self, kind: EventKind, text: str, reason: str) -> None:
        text += f": {reason}" if reason else ""
        self._recorder.add_event(NewEvent(self._clock.now(), kind, Severity.WARNING, None, text))
