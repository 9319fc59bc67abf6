"""When the next scheduled sync runs: a plain interval on a fixed grid, in durations only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_RETRY_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last sync that was started, by whomever; ages are monotonic where this process saw it happen."""

    started_ago_seconds: float
    took_seconds: float
    failures_in_a_row: int = 0


def seconds_until_next(last: LastRun | None, interval_seconds: float) -> float:
    """Return how long to wait until the next scheduled sync starts; 0 means now.

    The grid starts at the last start. Points that pass while a sync runs are left out, so an overrun does not pile up;
    a point that passed while nobody could run gives one sync, not one for each. After a failure the next try comes
    sooner than the grid: after 30 s, doubled each time, never later than the grid.
    """
    if last is None:
        return 0.0
    started_ago = max(0.0, last.started_ago_seconds)
    took = min(max(0.0, last.took_seconds), started_ago)
    grid_point = (took // interval_seconds + 1) * interval_seconds
    due_after = grid_point
    if last.failures_in_a_row > 0:
        pause = FIRST_RETRY_SECONDS * 2.0 ** min(last.failures_in_a_row - 1, 20)
        due_after = min(grid_point, took + pause)
    return max(0.0, due_after - started_ago)
