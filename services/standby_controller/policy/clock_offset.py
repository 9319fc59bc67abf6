"""How far a peer's clock is from ours: intervals that contain the truth, from four timestamps (RFC 5905, section 8).

And what follows from it: which skew is worth telling, and whether syncs are held for it. How fast the clocks move
apart is `clock_drift.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

RESOLUTION_SECONDS: Final = 5e-6
"""What times in whole microseconds can be off by, together."""
TOLERANCE_PPM: Final = 1000.0
"""Two clocks that nobody sets move against each other by less: a kernel slews its own by 500 ppm at most."""
RELEASE: Final = 0.8
"""Of a limit: a skew that was told is over when no more than this is left of it, so that it does not flap."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The peer's clock minus ours lies in [low_seconds, high_seconds]."""

    low_seconds: float
    high_seconds: float

    @property
    def middle_seconds(self) -> float:
        """Return the best single guess."""
        return (self.low_seconds + self.high_seconds) / 2

    @property
    def error_seconds(self) -> float:
        """Return how far the truth is from that guess at most."""
        return (self.high_seconds - self.low_seconds) / 2

    @property
    def at_least_seconds(self) -> float:
        """Return how far apart the clocks are for certain, without a sign."""
        return max(self.low_seconds, -self.high_seconds, 0.0)

    def overlap(self, other: ClockOffset) -> ClockOffset | None:
        """Return what both allow; None when one of the clocks was set in between."""
        low, high = max(self.low_seconds, other.low_seconds), min(self.high_seconds, other.high_seconds)
        return ClockOffset(low, high) if low <= high else None


@dataclass(frozen=True, slots=True)
class ClockSample:
    """The offset that one exchange showed, and when (monotonic)."""

    at_seconds: float
    offset: ClockOffset

    def later(self, now_seconds: float) -> ClockOffset:
        """Return what it says of the offset at another moment, as long as nobody sets a clock."""
        moved = abs(now_seconds - self.at_seconds) * TOLERANCE_PPM * 1e-6
        return ClockOffset(self.offset.low_seconds - moved, self.offset.high_seconds + moved)


@dataclass(frozen=True, slots=True)
class ClockLimits:
    """What the pair's configuration says of skew; reaching a limit is not exceeding it."""

    warning_seconds: float = 1.0
    limit_seconds: float = 10.0
    is_holding: bool = False
    """Over the limit, syncs are held."""


class Skew(StrEnum):
    """How far apart the clocks are for certain."""

    NONE = "none"
    NOTICEABLE = "noticeable"
    EXCESSIVE = "excessive"


_RANKS: Final = tuple(Skew)


def offset_of_exchange(
    sent_at: datetime, received_at: datetime, answered_at: datetime, round_trip_seconds: float
) -> ClockOffset | None:
    """Return the interval of one exchange: `sent_at` and the round trip are ours, the other two are the peer's.

    The way there and the way back take no less than nothing, which bounds the offset on both sides. None when the
    peer's times do not fit into the round trip: a clock was set during the exchange.
    """
    high = (received_at - sent_at).total_seconds()
    low = (answered_at - sent_at).total_seconds() - round_trip_seconds
    if answered_at < received_at or low > high + RESOLUTION_SECONDS:
        return None
    return ClockOffset(min(low, high), max(low, high))


def is_step(before: ClockSample, after: ClockSample) -> bool:
    """Say whether a clock was set between two exchanges: it moved farther than it can by itself."""
    return before.later(after.at_seconds).overlap(after.offset) is None


def best_offset(newest_first: Iterable[ClockSample]) -> ClockOffset | None:
    """Return the narrowest interval that the newest exchanges agree on, as of the newest.

    Older ones count only as long as each overlaps all newer ones: where one does not, a clock was set.
    """
    best: ClockOffset | None = None
    now_seconds = 0.0
    for sample in newest_first:
        if best is None:
            best, now_seconds = sample.offset, sample.at_seconds
            continue
        narrower = best.overlap(sample.later(now_seconds))
        if narrower is None:
            break
        best = narrower
    return best


def skew_of(offset: ClockOffset | None, limits: ClockLimits, *, share: float = 1.0) -> Skew:
    """Say which limit, or share of one, is exceeded for certain; a slow network alone exceeds none."""
    seconds = 0.0 if offset is None else offset.at_least_seconds
    if seconds > limits.limit_seconds * share:
        return Skew.EXCESSIVE
    return Skew.NOTICEABLE if seconds > limits.warning_seconds * share else Skew.NONE


def skew_to_tell(told: Skew, offset: ClockOffset | None, limits: ClockLimits) -> Skew:
    """Return what is worth telling after what was told; where the offset is not known, the last word stands."""
    if offset is None:
        return told
    eased = min(told, skew_of(offset, limits, share=RELEASE), key=_RANKS.index)
    return max(skew_of(offset, limits), eased, key=_RANKS.index)


def holds_syncs(offset: ClockOffset | None, limits: ClockLimits) -> bool:
    """Say whether no sync may begin: the clocks are too far apart for certain, and the policy says so."""
    return limits.is_holding and skew_of(offset, limits) is Skew.EXCESSIVE
