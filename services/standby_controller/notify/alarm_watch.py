"""Tells as events what is wrong for as long as it lasts: once when it is certain, once when it is over."""

from __future__ import annotations

import functools
from typing import Final

from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.policy.alarm import Alarm, alarms
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.situation import Lookout
from services.standby_controller.store.events import EventKind, NewEvent
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every

LOOK_SECONDS: Final = 1.0
CERTAIN_SECONDS: Final = 3.0


class AlarmWatch:
    """Looks again and again, and remembers what was told."""

    def __init__(self, lookout: Lookout, gatekeeper: Gatekeeper, recorder: Recorder, clock: Clock) -> None:
        self._lookout = lookout
        self._gatekeeper = gatekeeper
        self._recorder = recorder
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], Alarm] = {}

    def sibling(self) -> Sibling:
        """Return the loop."""
        return Sibling("alarms", functools.partial(run_every, LOOK_SECONDS, self.look, name="alarms"))

    async def look(self) -> None:
        """Tell what has lasted for long enough to be certain, and what is over."""
        judgement, now = self._gatekeeper.judge(), self._clock.monotonic()
        refusals = [refusal.text for refusal in judgement.refusals_automatic]
        found = {one.name: one for one in alarms(self._lookout.look(), judgement.way, judgement.peer_id, refusals)}
        self._since = {name: self._since.get(name, now) for name in found}
        for name, alarm in found.items():
            if name not in self._told and now - self._since[name] >= CERTAIN_SECONDS:
                self._told[name] = alarm
                self._tell(alarm.kind, alarm.severity, alarm.subject, alarm.text)
        for name in self._told.keys() - found.keys():
            over = self._told.pop(name)
            if over.ended is not None:
                self._tell(over.ended, Severity.INFO, over.subject, over.ended_text)

    def _tell(self, kind: str, severity: Severity, subject: str, text: str) -> None:
        self._recorder.add_event(NewEvent(self._clock.now(), EventKind(kind), severity, subject, text))
