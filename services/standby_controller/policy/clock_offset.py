"""How far a peer's clock is from ours: intervals that contain the truth, from four timestamps (RFC 5905, section 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

RESOLUTION_SECONDS: Final = 5e-6
"""What times in whole microseconds can be off by, together."""


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
    def at_least_seconds(self) -> float:
        """Return how far apart the clocks are for certain, without a sign."""
        return max(self.low_seconds, -self.high_seconds, 0.0)

    def overlap(self, other: ClockOffset) -> ClockOffset | None:
        """Return what both allow; None when one of the clocks was set in between."""
        low, high = max(self.low_seconds, other.low_seconds), min(self.high_seconds, other.high_seconds)
        return ClockOffset(low, high) if low <= high else None


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


def best_offset(newest_first: Iterable[ClockOffset]) -> ClockOffset | None:
    """Return the narrowest interval that the newest exchanges agree on.

    Older ones count only as long as each overlaps all newer ones: where one does not, a clock was set or has drifted.
    """
    best: ClockOffset | None = None
    for offset in newest_first:
        narrower = offset if best is None else best.overlap(offset)
        if narrower is None:
            break
        best = narrower
    return best
