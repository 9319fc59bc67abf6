"""When the next scheduled sync starts: a fixed grid, no pile-up, no burst, an early retry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.schedule import FIRST_RETRY_SECONDS, LastRun, seconds_until_next

HOUR = 3600.0


@pytest.mark.parametrize(
    ("started_ago", "took", "failures", "expected"),
    [
        (0.0, 0.0, 0, HOUR),
        (60.0, 60.0, 0, HOUR - 60.0),
        (HOUR, 60.0, 0, 0.0),
        (5 * HOUR, 60.0, 0, 0.0),  # nobody could run for hours: one sync, now
        (1.5 * HOUR, 1.5 * HOUR, 0, 0.5 * HOUR),  # overran one point: the next point of the same grid
        (HOUR, HOUR, 0, HOUR),  # ended exactly on a point: that one is left out
        (-5.0, 0.0, 0, HOUR),  # the wall clock was set back between two processes: no burst
        (10.0, 10.0, 1, FIRST_RETRY_SECONDS),
        (10.0, 10.0, 3, 4 * FIRST_RETRY_SECONDS),
        (HOUR - 5.0, HOUR - 5.0, 1, 5.0),  # a retry never comes later than the grid
    ],
)
def test_the_next_run_is_on_the_grid_of_the_last(
    started_ago: float, took: float, failures: int, expected: float
) -> None:
    """Each row is one way a run can have gone."""
    assert seconds_until_next(LastRun(started_ago, took, failures), HOUR) == pytest.approx(expected)


def test_the_first_run_is_due_at_once() -> None:
    """A standby without data must not wait an hour for its first copy."""
    assert seconds_until_next(None, HOUR) == 0.0


@given(st.floats(0, 1e7), st.floats(0, 1e7), st.integers(0, 100), st.floats(1, 1e6))
def test_no_wait_is_longer_than_one_interval(started_ago: float, took: float, failures: int, interval: float) -> None:
    """Whatever happened, the next sync is at most one interval away."""
    wait = seconds_until_next(LastRun(started_ago, took, failures), interval)
    assert 0.0 <= wait <= interval * (1 + 1e-9)


@given(st.floats(1, 1e4), st.lists(st.floats(0, 3e4), min_size=1, max_size=20))
def test_runs_never_pile_up(interval: float, durations: list[float]) -> None:
    """After a run of any length, the wait from its end is never negative and starts stay on one grid."""
    start = 0.0
    for took in durations:
        next_start = start + took + seconds_until_next(LastRun(took, took), interval)
        assert next_start > start
        points = (next_start - start) / interval
        assert points == pytest.approx(round(points), abs=1e-6)
        assert round(points) >= 1
        start = next_start
