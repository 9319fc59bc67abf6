"""Do syncs fit into their interval: percentiles, the interval to propose, the trend of weeks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.standby_controller.policy.sync_pace import FEWEST, RunDuration, judge_pace

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def runs(*seconds: float, apart: timedelta = timedelta(hours=1), is_seed: bool = False) -> list[RunDuration]:
    """Return runs that took so long, the first one the newest."""
    return [RunDuration(NOON - number * apart, one, is_seed) for number, one in enumerate(seconds)]


def test_of_few_syncs_nothing_is_said() -> None:
    """A first seed and a delta after it are no pace."""
    assert judge_pace(runs(*[10.0] * (FEWEST - 1))) is None
    assert judge_pace(runs(*[9000.0] * 30, is_seed=True)) is None


def test_the_figures_of_a_pace() -> None:
    """The 95th percentile is the value that 19 of 20 do not pass."""
    pace = judge_pace([*runs(*map(float, range(1, 101))), *runs(90_000.0, is_seed=True)])
    assert pace is not None
    assert (pace.count, pace.median_seconds, pace.p95_seconds, pace.longest_seconds) == (100, 50.5, 95.0, 100.0)
    assert [pace.is_busy(190.0), pace.is_busy(189.0)] == [False, True]


@pytest.mark.parametrize(
    ("seconds", "proposed"), [(10.0, 60), (1000.0, 3600), (1801.0, 5400), (40_000.0, 2 * 86400), (200_000.0, 6 * 86400)]
)
def test_an_interval_is_proposed_that_fits_twice(seconds: float, proposed: int) -> None:
    """With some room, in steps that people use."""
    pace = judge_pace(runs(*[seconds] * 10))
    assert pace is not None
    assert pace.proposed_interval_seconds() == proposed
    assert not pace.is_busy(proposed)


def test_the_trend_of_weeks() -> None:
    """Syncs that take 100 s longer each week, from 800 s, pass half an hour in so many weeks."""
    growing = judge_pace(runs(*[800.0 - 10 * number for number in range(28)], apart=timedelta(days=0.7)))
    assert growing is not None
    assert growing.growth_per_week == pytest.approx(100 / 665, rel=0.01)
    weeks = growing.weeks_until_busy(3600.0)
    assert weeks is not None
    assert 6 < weeks < 11
    assert growing.weeks_until_busy(1000.0) is None  # it is busy already
    for calm in (runs(*[800.0] * 28, apart=timedelta(days=1)), runs(*[800.0 - 10 * number for number in range(28)])):
        pace = judge_pace(calm)  # steady, or seen for a day only
        assert pace is not None
        assert pace.weeks_until_busy(3600.0) is None
