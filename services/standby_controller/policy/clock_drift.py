"""How fast a peer's clock moves against ours: an interval, from samples kept over two hours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.standby_controller.policy.clock_offset import ClockSample, is_step

KEEP_SECONDS: Final = 60.0
KEEP_COUNT: Final = 120


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """The peer's clock gains between low_ppm and high_ppm on ours: microseconds in each second."""

    low_ppm: float
    high_ppm: float

    def overlap(self, other: ClockDrift) -> ClockDrift | None:
        """Return what both allow; None when the drift has changed in between."""
        low, high = max(self.low_ppm, other.low_ppm), min(self.high_ppm, other.high_ppm)
        return ClockDrift(low, high) if low <= high else None


def keep_sample(newest_first: tuple[ClockSample, ...], sample: ClockSample) -> tuple[ClockSample, ...]:
    """Return the samples to keep with a new one: the narrowest of a minute; a clock that is set begins anew."""
    if not newest_first:
        return (sample,)
    newest, *older = newest_first
    if is_step(newest, sample):
        return (sample,)
    if sample.at_seconds // KEEP_SECONDS == newest.at_seconds // KEEP_SECONDS:
        return (min(sample, newest, key=lambda one: one.offset.error_seconds), *older)
    return (sample, *newest_first[: KEEP_COUNT - 1])


def estimate_drift(newest_first: tuple[ClockSample, ...]) -> ClockDrift | None:
    """Return what each two of the samples allow, as far back as they agree; None of fewer than two.

    They agree while the drift stays the same: a clock that is being slewed, or grows warm, changes it.
    """
    best: ClockDrift | None = None
    for place, older in enumerate(newest_first):
        with_older = best
        for newer in newest_first[:place]:
            seconds = newer.at_seconds - older.at_seconds
            pair = ClockDrift(
                (newer.offset.low_seconds - older.offset.high_seconds) / seconds * 1e6,
                (newer.offset.high_seconds - older.offset.low_seconds) / seconds * 1e6,
            )
            with_older = pair if with_older is None else with_older.overlap(pair)
            if with_older is None:
                return best
        best = with_older
    return best
