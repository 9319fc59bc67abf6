"""When scheduled syncs run: the start time, the grid, zones, what is missed, what failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.standby_controller.policy.intervals import Every, format_seconds, parse_every
from services.standby_controller.policy.schedule import (
    FIRST_RETRY_SECONDS,
    FirstRun,
    LastRun,
    Schedule,
    Why,
    begin_schedule,
    gap_seconds,
    next_run,
    run_after,
    runs_after,
)

HOURLY = Schedule(time(13), "UTC", Every(0, 3600))
HOUR = timedelta(hours=1)
INSTANTS = st.integers(1293840000, 1893456000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 2011 to 2029
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_13_00_saved_at_14_00_is_13_00_tomorrow() -> None:
    """The first run is at the next start time after the moment of saving; run every counts from it."""
    begun = begin_schedule(HOURLY, FirstRun.START_TIME, at("2026-03-01T14:00"))
    assert begun.first_at == begun.anchor_at == at("2026-03-02T13:00")
    assert next_run(begun, at("2026-03-01T13:30"), None, at("2026-03-01T14:01")).at == at("2026-03-02T13:00")
    assert list(islice(runs_after(begun, at("2026-03-01T14:00")), 3)) == [
        at("2026-03-02T13:00"), at("2026-03-02T14:00"), at("2026-03-02T15:00"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "saved_at", "first_at", "second_at"),
    [
        (FirstRun.START_TIME, "2026-03-01T12:59:59", "2026-03-01T13:00", "2026-03-01T14:00"),
        (FirstRun.START_TIME, "2026-03-01T13:00", "2026-03-02T13:00", "2026-03-02T14:00"),
        (FirstRun.NEXT_ON_GRID, "2026-03-01T14:10", "2026-03-01T15:00", "2026-03-01T16:00"),
        (FirstRun.NEXT_ON_GRID, "2026-03-01T12:10", "2026-03-01T13:00", "2026-03-01T14:00"),
        (FirstRun.NOW, "2026-03-01T14:10", "2026-03-01T14:10", "2026-03-01T15:00"),
    ],
)
def test_where_a_schedule_begins(first: FirstRun, saved_at: str, first_at: str, second_at: str) -> None:
    """At the next start time, at the next point of the grid from the last one, or at once and then on that grid."""
    begun = begin_schedule(HOURLY, first, at(saved_at))
    assert (begun.first_at, run_after(begun, begun.first_at)) == (at(first_at), at(second_at))


@pytest.mark.parametrize(
    ("handled_at", "last", "now", "expected", "why"),
    [
        (None, None, "13:00:05", "13:00", Why.FIRST),
        ("13:00", None, "13:30", "14:00", Why.INTERVAL),
        ("13:00", None, "14:00", "14:00", Why.INTERVAL),
        ("13:00", None, "18:20", "14:00", Why.CATCH_UP),  # nobody could run for hours: due now
        ("18:20", None, "18:25", "19:00", Why.INTERVAL),  # … and one run was enough for all of them
        ("13:59:58", None, "14:00", "14:00", Why.INTERVAL),  # a sync by hand moves nothing
        ("14:30", None, "13:10", "14:00", Why.INTERVAL),  # the clock was set back: not held up until 15:00
        ("13:00", ("13:00", 0.0, 1), "13:10", "13:10:30", Why.RETRY),
        ("13:00", ("13:00", 20.0, 1), "13:10", "13:10:10", Why.RETRY),
        ("13:00", ("13:00", 0.0, 3), "13:10", "13:12", Why.RETRY),
        ("13:00", ("13:00", 0.0, 30), "13:10", "14:00", Why.INTERVAL),  # never later than the grid
        ("13:00", ("12:00", 0.0, 1), "13:10", "14:00", Why.INTERVAL),  # what failed was before this schedule
    ],
)
def test_the_next_run(
    handled_at: str | None, last: tuple[str, float, int] | None, now: str, expected: str, why: Why
) -> None:
    """Each row is one way the last run can have gone."""
    begun = begin_schedule(HOURLY, FirstRun.START_TIME, at("2026-03-01T12:30"))

    def today(text: str) -> datetime:
        return at(f"2026-03-01T{text}")

    run = None if last is None else LastRun(today(last[0]), last[1], last[2])
    found = next_run(begun, None if handled_at is None else today(handled_at), run, today(now))
    assert (found.at, found.why) == (today(expected), why)


def test_after_a_change_of_roles_one_runs_at_once() -> None:
    """The copy of an earlier term is no reason to take over; the grid goes on from there."""
    begun = begin_schedule(HOURLY, FirstRun.START_TIME, at("2026-03-01T12:30"))
    now = at("2026-03-01T13:20")
    found = next_run(begun, at("2026-03-01T13:00"), None, now, is_term_new=True)
    assert (found.at, found.why) == (now, Why.NEW_TERM)
    assert next_run(begun, now, None, now).at == at("2026-03-01T14:00")


def test_the_first_retry_comes_after_half_a_minute() -> None:
    """Doubled each time; the rows above have its figures."""
    assert FIRST_RETRY_SECONDS == 30.0


def test_a_pair_whose_schedule_nobody_has_saved_is_due_at_once_and_then_on_full_hours() -> None:
    """A standby without data must not wait for its first copy."""
    fresh = Schedule(time(0), "UTC", Every(0, 3600))
    now = at("2026-03-01T14:25:10")
    assert next_run(fresh, None, None, now).at <= now
    assert next_run(fresh, now, None, now).at == at("2026-03-01T15:00")


@pytest.mark.parametrize(
    ("zone", "start", "saved_at", "every", "expected"),
    [
        # The clocks go forward: days are days of the calendar, and 13:00 stays 13:00 there.
        ("Europe/Berlin", time(13), "2026-03-27T13:00", Every(1, 0),
         ["2026-03-28T12:00", "2026-03-29T11:00", "2026-03-30T11:00"]),
        # 24 hours are 24 hours.
        ("Europe/Berlin", time(13), "2026-03-27T13:00", Every(0, 86400),
         ["2026-03-28T12:00", "2026-03-29T12:00", "2026-03-30T12:00"]),
        # 02:30 is left out on that day and counts as 03:30; the day after it is 02:30 again.
        ("Europe/Berlin", time(2, 30), "2026-03-28T12:00", Every(1, 0),
         ["2026-03-29T01:30", "2026-03-30T00:30", "2026-03-31T00:30"]),
        # The clocks go back: 02:30 comes twice, and the run once.
        ("Europe/Berlin", time(2, 30), "2026-10-24T12:00", Every(1, 0),
         ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"]),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", time(6), "2011-12-28T17:00", Every(1, 0),
         ["2011-12-29T16:00", "2011-12-30T16:00", "2011-12-31T16:00"]),
        ("UTC", time(6), "2028-02-28T07:00", Every(1, 0), ["2028-02-29T06:00", "2028-03-01T06:00"]),
        ("UTC", time(6), "2026-03-01T07:00", Every(7, 0), ["2026-03-02T06:00", "2026-03-09T06:00"]),
    ],
)  # fmt: skip
def test_zones_and_their_changes(zone: str, start: time, saved_at: str, every: Every, expected: list[str]) -> None:
    """Instants in UTC."""
    begun = begin_schedule(Schedule(start, zone, every), FirstRun.START_TIME, at(saved_at))
    assert list(islice(runs_after(begun, at(saved_at)), len(expected))) == list(map(at, expected))


def test_a_year_of_hours_has_8760_runs() -> None:
    """Counted from the first, none twice; played minute by minute, as the loop sees it."""
    saved_at = at("2026-01-01T10:17")
    begun = begin_schedule(replace(HOURLY, zone="Europe/Berlin"), FirstRun.START_TIME, saved_at)
    now, handled, runs = saved_at, saved_at, list[datetime]()
    while now < begun.first_at + timedelta(days=365):
        due = next_run(begun, handled, None, now)
        if due.at <= now:
            runs.append(due.at)
            handled = now
        now += timedelta(minutes=1)
    assert len(runs) == len(set(runs)) == 8760
    assert all(later - earlier == HOUR for earlier, later in pairwise(runs))


@given(
    zone=st.sampled_from(ZONES),
    start=st.times().map(lambda one: one.replace(microsecond=0)),
    every=st.sampled_from([Every(0, 60), Every(0, 3600), Every(0, 5400), Every(1, 0), Every(7, 0), Every(1, 43200)]),
    saved_at=INSTANTS,
    first=st.sampled_from(list(FirstRun)),
    pauses=st.lists(st.integers(1, 60 * 24 * 9), max_size=30),
)
@example("Europe/Berlin", time(2, 30), Every(1, 0), at("2026-10-24T12:00"), FirstRun.NEXT_ON_GRID, [700] * 30)
@example("Pacific/Apia", time(12), Every(1, 0), at("2011-12-27T12:00"), FirstRun.NOW, [600] * 30)
def test_whenever_the_controller_runs_there_is_one_run_for_all_points_that_have_passed(
    zone: str, start: time, every: Every, saved_at: datetime, first: FirstRun, pauses: list[int]
) -> None:
    """Random saves, zones and times without a controller: never early, never two for one point, no pile-up."""
    begun = begin_schedule(Schedule(start, zone, every), first, saved_at)
    assert begun.first_at >= saved_at
    if first is FirstRun.START_TIME:
        wall = begun.first_at.astimezone(ZoneInfo(zone))
        assert wall.replace(tzinfo=None, fold=0).time() >= start or wall.time() == start
        assert begun.first_at - saved_at <= timedelta(days=3)
    now, handled = saved_at, saved_at - HOUR
    taken: set[datetime] = set()
    for minutes in pauses:
        now += timedelta(minutes=minutes)
        for _ in range(2):  # looks at once again: what was handled is not due a second time
            due = next_run(begun, handled, None, now)
            if due.at <= now:
                assert due.at not in taken
                assert due.at >= begun.first_at
                taken.add(due.at)
                handled = now
        assert next_run(begun, handled, None, now).at > now
    assert len(taken) <= len(pauses)


@given(
    zone=st.sampled_from(ZONES),
    every=st.builds(Every, st.integers(0, 31), st.integers(0, 90000)).filter(lambda one: one.nominal_seconds > 0),
    saved_at=INSTANTS,
    offset=st.integers(0, 10**9),
)
def test_the_next_run_found_from_anywhere_is_the_one_found_step_by_step(
    zone: str, every: Every, saved_at: datetime, offset: int
) -> None:
    """Looking far ahead leaves no run out: what comes before the next one is not after the instant."""
    begun = begin_schedule(Schedule(time(2, 30), zone, every), FirstRun.NEXT_ON_GRID, saved_at)
    instant = saved_at + timedelta(seconds=offset)
    found = run_after(begun, instant)
    assert found > instant
    before = run_after(begun, max(saved_at, instant - timedelta(days=3) - 3 * timedelta(seconds=every.nominal_seconds)))
    while before <= instant:
        before = run_after(begun, before)
    assert before == found


@pytest.mark.parametrize(
    ("first", "age_seconds", "hours"),
    [(FirstRun.START_TIME, 600.0, 23 + 1 / 6), (FirstRun.NEXT_ON_GRID, 600.0, 1 + 1 / 6), (FirstRun.NOW, None, 0.0),
     (FirstRun.NOW, 90_000.0, 1.0)],
)  # fmt: skip
def test_how_old_the_data_becomes_before_the_first_run(
    first: FirstRun, age_seconds: float | None, hours: float
) -> None:
    """A copy that is too old already is no reason to refuse a schedule."""
    now = at("2026-03-01T14:00")
    assert gap_seconds(begin_schedule(HOURLY, first, now), age_seconds, now) == pytest.approx(hours * 3600)


@pytest.mark.parametrize(
    ("text", "every"),
    [("PT60M", Every(0, 3600)), ("PT1H", Every(0, 3600)), ("P1D", Every(1, 0)), ("P1W", Every(7, 0)),
     ("P1DT12H", Every(1, 43200)), ("PT1H30M10S", Every(0, 5410))],
)  # fmt: skip
def test_durations_are_read(text: str, every: Every) -> None:
    """Days are days of the calendar, everything else elapses."""
    assert parse_every(text) == every


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "P1M", "P1Y", "60", "PT1.5H", "pt1h", "PT0S", "P-1D", "PT١H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Months and years have no fixed length."""
    with pytest.raises(ValueError, match=r"allowed|nothing"):
        parse_every(text)


@given(seconds=st.integers(1, 10**6))
def test_seconds_become_durations_and_come_back(seconds: int) -> None:
    """Settings of earlier releases held seconds."""
    assert parse_every(format_seconds(seconds)) == Every(0, seconds)
