"""Time as an argument: monotonic seconds for durations, aware UTC for records. Nothing here sleeps or decides."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a use case reads the time; tests give their own."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""

    def now(self) -> datetime:
        """Return the wall clock as aware UTC, for records."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the wall clock as aware UTC, for records."""
        return datetime.now(UTC)


def format_instant(instant: datetime) -> str:
    """Return RFC 3339 in `Z` with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
