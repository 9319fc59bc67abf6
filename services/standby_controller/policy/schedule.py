"""When scheduled syncs run: a start time in a zone, an interval that counts from it, and what became of the last run.

Wall-clock instants in UTC, because a start time is one; only the pause after a failure is a duration. Nothing here
reads a clock: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from services.standby_controller.policy.intervals import DAY_SECONDS, Every

FIRST_RETRY_SECONDS: Final = 30.0
LATE_SECONDS: Final = 30.0
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A schedule that nobody has saved counts from here: it is always due, and runs on full hours."""


class FirstRun(StrEnum):
    """Where a schedule begins when it is saved."""

    START_TIME = "start_time"
    NEXT_ON_GRID = "next_on_grid"
    NOW = "now"


class Why(StrEnum):
    """Why the next run is when it is."""

    FIRST = "first_run"
    INTERVAL = "interval"
    CATCH_UP = "catch_up"
    RETRY = "retry"
    NEW_TERM = "new_term"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A grid of instants, and the first run, which need not lie on it.

    The point `k` of the grid is `anchor_at` and `k` times `every`: days are days of the calendar in `zone`, at
    `start_time`; everything else elapses, whatever the clocks there show.
    """

    start_time: time
    zone: str
    every: Every
    anchor_at: datetime = BEGINNING
    first_at: datetime = BEGINNING

    def has_rhythm_of(self, other: Schedule) -> bool:
        """Say whether start time, zone and interval are the same, so that saving one over the other moves nothing."""
        return (self.start_time, self.zone, self.every) == (other.start_time, other.zone, other.every)


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run, started by whomever; `ended_ago_seconds` is monotonic where this process saw it end."""

    started_at: datetime
    ended_ago_seconds: float = 0.0
    failures_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class NextRun:
    """When the next scheduled sync starts, and why then; an instant that has passed means now."""

    at: datetime
    why: Why


def begin_schedule(schedule: Schedule, first: FirstRun, now: datetime) -> Schedule:
    """Return the schedule as it is when it is saved at that moment.

    `start_time`: the first run is at the next start time after now, and the interval counts from it. `next_on_grid`:
    the interval counts from the start time that has passed last. `now`: the same, and one run at once.
    """
    zone = ZoneInfo(schedule.zone)
    today = now.astimezone(zone).date()
    starts = [
        _at_wall(datetime.combine(today + timedelta(days=days), schedule.start_time), zone) for days in range(-2, 3)
    ]
    if first is FirstRun.START_TIME:
        anchor = min(start for start in starts if start > now)
        return replace(schedule, anchor_at=anchor, first_at=anchor)
    begun = replace(schedule, anchor_at=max(start for start in starts if start <= now))
    if first is FirstRun.NOW:
        return replace(begun, first_at=now)
    return replace(begun, first_at=_next_point(begun, now))


def run_after(schedule: Schedule, instant: datetime) -> datetime:
    """Return the first run after an instant."""
    if instant < schedule.first_at:
        return schedule.first_at
    return _next_point(schedule, instant)


def runs_after(schedule: Schedule, instant: datetime) -> Iterator[datetime]:
    """Yield one run after the other."""
    while True:
        instant = run_after(schedule, instant)
        yield instant


def next_run(
    schedule: Schedule, handled_at: datetime | None, last: LastRun | None, now: datetime, *, is_term_new: bool = False
) -> NextRun:
    """Return the next run, given how far the schedule was seen to, and how the last run ended.

    `handled_at` is the start of the last run or of one that was left out: all points up to it are over, so points that
    passed while nobody could run give one run, not one for each. A clock that was set back does not hold syncs up:
    what was handled in the future counts as handled now. After a failure the next try comes sooner than the grid: after
    30 s, doubled each time; not before the first run of the schedule. Where roles have changed since the last sync
    (`is_term_new`), one runs at once: before it nobody would take over.
    """
    if is_term_new:
        return NextRun(now, Why.NEW_TERM)
    if handled_at is None or handled_at < schedule.first_at:
        return NextRun(schedule.first_at, Why.FIRST)
    at = run_after(schedule, min(handled_at, now))
    if last is not None and last.failures_in_a_row > 0 and last.started_at >= schedule.first_at:
        pause = FIRST_RETRY_SECONDS * 2.0 ** min(last.failures_in_a_row - 1, 20)
        retry_at = now + timedelta(seconds=max(0.0, pause - last.ended_ago_seconds))
        if retry_at < at:
            return NextRun(retry_at, Why.RETRY)
    is_late = (now - at).total_seconds() > LATE_SECONDS
    return NextRun(at, Why.CATCH_UP if is_late else Why.INTERVAL)


def gap_seconds(schedule: Schedule, data_age_seconds: float | None, now: datetime) -> float:
    """Return how old the data becomes before the first run of a schedule that is saved now.

    An age that has passed the interval already is not its doing, and counts as the interval.
    """
    age = min(data_age_seconds or 0.0, float(schedule.every.nominal_seconds))
    return max(0.0, (schedule.first_at - now).total_seconds()) + age


def _next_point(schedule: Schedule, instant: datetime) -> datetime:
    """Return the first point of the grid after an instant that is not before the anchor."""
    number = max(0, _estimate(schedule, instant) - 3)
    while (point := _point(schedule, number)) <= instant:
        number += 1
    return point


def _estimate(schedule: Schedule, instant: datetime) -> int:
    """Return about which point of the grid an instant is; a zone moves its clocks by a day at most."""
    elapsed = (instant - schedule.anchor_at).total_seconds()
    return int((elapsed - (DAY_SECONDS if schedule.every.days else 0)) // schedule.every.nominal_seconds)


def _point(schedule: Schedule, number: int) -> datetime:
    if schedule.every.days == 0 or number == 0:
        return schedule.anchor_at + timedelta(seconds=number * schedule.every.seconds)
    zone = ZoneInfo(schedule.zone)
    day = schedule.anchor_at.astimezone(zone).date() + timedelta(days=number * schedule.every.days)
    at = _at_wall(datetime.combine(day, schedule.start_time), zone)
    return at + timedelta(seconds=number * schedule.every.seconds)


def _at_wall(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which a clock on the wall shows a time; one it leaves out is so much later (PEP 495)."""
    return wall.replace(tzinfo=zone).astimezone(UTC)
