"""Tells as an event that a failover is due and refused: once when that has lasted, and anew after it was over."""

from __future__ import annotations

import functools
from typing import Final

from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.policy.alarm import refused_failover
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every

LOOK_SECONDS: Final = 1.0
CERTAIN_SECONDS: Final = 3.0


class AlarmWatch:
    """Looks again and again, and remembers what was told."""

    def __init__(self, gatekeeper: Gatekeeper, recorder: Recorder, clock: Clock) -> None:
        self._gatekeeper = gatekeeper
        self._recorder = recorder
        self._clock = clock
        self._since: float | None = None
        self._is_told = False

    def sibling(self) -> Sibling:
        """Return the loop."""
        return Sibling("alarms", functools.partial(run_every, LOOK_SECONDS, self.look, name="alarms"))

    async def look(self) -> None:
        """Tell what has lasted for long enough to be certain."""
        judgement, now = self._gatekeeper.judge(), self._clock.monotonic()
        refusals = [refusal.text for refusal in judgement.refusals_automatic]
        refused = refused_failover(judgement.facts.own_state, judgement.way, judgement.peer_id, refusals)
        if refused is None:
            self._since, self._is_told = None, False
            return
        self._since = now if self._since is None else self._since
        if self._is_told or now - self._since < CERTAIN_SECONDS:
            return
        self._is_told = True
        kind, at = EventKind.FAILOVER_REFUSED, self._clock.now()
        self._recorder.add_event(NewEvent(at, kind, Severity.CRITICAL, refused.node_id, refused.text))
