"""Do syncs fit into their interval, and for how long will they? Judged from how long the last ones took. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from services.standby_controller.policy.intervals import DAY_SECONDS

WINDOW: Final = timedelta(days=28)
MOST_RUNS: Final = 1000
FEWEST: Final = 5
"""With fewer syncs nothing is said of their pace."""
_BUSY_SHARE: Final = 0.5
_WEEK_SECONDS: Final = 7 * DAY_SECONDS
_STEPS_SECONDS: Final = (60, 120, 300, 600, 900, 1800, 3600, 5400, 7200, 10800, 14400, 21600, 28800, 43200, 86400)
_GROWTH_THAT_COUNTS: Final = 0.1
_TREND_FEWEST: Final = 20
_TREND_SPAN_SECONDS: Final = 2 * _WEEK_SECONDS


@dataclass(frozen=True, slots=True)
class RunDuration:
    """One sync that succeeded."""

    started_at: datetime
    seconds: float
    is_seed: bool


@dataclass(frozen=True, slots=True)
class SyncPace:
    """How long the syncs of the last weeks took; seeds, which are rare and long, are left out."""

    count: int
    median_seconds: float
    p95_seconds: float
    longest_seconds: float
    growth_per_week: float | None
    """Share by which the duration grows in a week; None where that cannot be told yet."""

    def is_busy(self, interval_seconds: float) -> bool:
        """Say whether the 95th percentile passes half of the interval."""
        return self.p95_seconds > _BUSY_SHARE * interval_seconds

    def weeks_until_busy(self, interval_seconds: float) -> float | None:
        """Return in how many weeks the trend passes half of the interval; None where it does not within a year."""
        growth = self.growth_per_week
        if growth is None or growth < _GROWTH_THAT_COUNTS or self.is_busy(interval_seconds) or self.p95_seconds <= 0:
            return None
        weeks = (_BUSY_SHARE * interval_seconds / self.p95_seconds - 1) / growth
        return weeks if weeks <= 52 else None

    def proposed_interval_seconds(self) -> int:
        """Return an interval of which the 95th percentile is less than half, in steps that people use."""
        wanted = self.p95_seconds / _BUSY_SHARE * 1.2
        fitting = [step for step in _STEPS_SECONDS if step >= wanted]
        return fitting[0] if fitting else math.ceil(wanted / DAY_SECONDS) * DAY_SECONDS


def judge_pace(newest_first: Sequence[RunDuration]) -> SyncPace | None:
    """Return the pace of syncs; None where too few are known."""
    runs = [run for run in newest_first if not run.is_seed]
    if len(runs) < FEWEST:
        return None
    seconds = sorted(run.seconds for run in runs)
    return SyncPace(
        count=len(runs),
        median_seconds=median(seconds),
        p95_seconds=_percentile(seconds, 0.95),
        longest_seconds=seconds[-1],
        growth_per_week=_growth_per_week(runs),
    )


def _percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that at least this share does not pass (nearest rank)."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def _growth_per_week(runs: Sequence[RunDuration]) -> float | None:
    """Return the slope of the line through all durations (least squares), as a share of their mean."""
    if len(runs) < _TREND_FEWEST or (runs[0].started_at - runs[-1].started_at).total_seconds() < _TREND_SPAN_SECONDS:
        return None
    weeks = [(run.started_at - runs[-1].started_at).total_seconds() / _WEEK_SECONDS for run in runs]
    values = [run.seconds for run in runs]
    mean_week, mean_value = sum(weeks) / len(weeks), sum(values) / len(values)
    spread = sum((week - mean_week) ** 2 for week in weeks)
    if spread == 0 or mean_value <= 0:
        return None
    slope = sum((week - mean_week) * (value - mean_value) for week, value in zip(weeks, values, strict=True)) / spread
    return slope / mean_value
