"""When a copy is compared in the background, and how slowly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

SLICE_SECONDS: Final = 60.0
"""So long no further table is begun in the background; one table may take longer."""


def due_components(
    components: Iterable[str], compared_at: Mapping[str, datetime | None], now: datetime, every_days: int
) -> tuple[str, ...]:
    """Return the components whose last whole comparison is too long ago; none where that is not known, or never due."""
    limit = now - timedelta(days=every_days)
    return tuple(name for name in components if every_days and _is_before(compared_at.get(name), limit))


def is_time_left(now: datetime, next_run_at: datetime | None, interval_seconds: float) -> bool:
    """Say whether a part may begin: it should be done when the next sync of the schedule is due.

    Where the interval itself is short a part begins in its first three quarters.
    """
    if next_run_at is None:
        return True
    return (next_run_at - now).total_seconds() >= min(2 * SLICE_SECONDS, interval_seconds / 4)


def pause_seconds(worked_seconds: float, share: float) -> float:
    """Return how long to pause after some work, so that it takes no more than its share of the time."""
    return worked_seconds * (1.0 - share) / share


def _is_before(at: datetime | None, limit: datetime) -> bool:
    return at is not None and at < limit
