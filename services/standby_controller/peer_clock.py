"""A peer's clock as its heartbeats show it: the last samples and, thinned out, those of two hours. Values only."""

from __future__ import annotations

from collections import deque
from typing import Final

from services.standby_controller.policy.clock_drift import ClockDrift, estimate_drift, keep_sample
from services.standby_controller.policy.clock_offset import (
    ClockOffset,
    ClockSample,
    best_offset,
    is_step,
    offset_of_exchange,
)
from shared.node.client import Heard

OFFSET_SAMPLES: Final = 8


class PeerClock:
    """What is known of one peer's clock; one that is set begins anew."""

    def __init__(self) -> None:
        self._recent: deque[ClockSample] = deque(maxlen=OFFSET_SAMPLES)
        self._kept: tuple[ClockSample, ...] = ()
        self._drift: ClockDrift | None = None

    def add(self, heard: Heard) -> ClockOffset | None:
        """Take an exchange and return what it alone says; None of one during which a clock was set."""
        theirs = heard.heartbeat.clock
        round_trip = heard.received_monotonic - heard.sent_monotonic
        offset = offset_of_exchange(heard.sent_at, theirs.received_at, theirs.answered_at, round_trip)
        if offset is None:
            self._forget()
            return None
        sample = ClockSample(heard.received_monotonic, offset)
        if self._recent and is_step(self._recent[0], sample):
            self._forget()
        self._recent.appendleft(sample)
        before, self._kept = self._kept, keep_sample(self._kept, sample)
        if len(self._kept) < 2:
            self._drift = None
        elif len(self._kept) != len(before) or self._kept[1] is not before[1]:
            self._drift = estimate_drift(self._kept)  # once a minute
        return offset

    @property
    def offset(self) -> ClockOffset | None:
        """Return the narrowest interval that the last exchanges agree on."""
        return best_offset(self._recent)

    @property
    def drift(self) -> ClockDrift | None:
        """Return how fast it moves against ours; None until it was watched for a minute."""
        return self._drift

    def _forget(self) -> None:
        self._recent.clear()
        self._kept, self._drift = (), None
