"""Sums of the history: how well a peer could be reached, also by hours that outlive the looks, and curves of syncs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.standby_controller.store.database import Database
from services.standby_controller.store.heartbeats import HeartbeatRecord, Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.records import (
    ComponentRecord,
    Failure,
    SyncRequest,
    SyncResult,
    Trigger,
)
from services.standby_controller.store.series import HeartbeatSpan, Series, Window
from shared.errors import PeerUnreachable
from shared.node.model import State
from tests.integration.standby_controller.stage import eventually, open_stage

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Window(NOON - timedelta(days=1), NOON)
OK = HeartbeatRecord("a", NOON, "ok", State.ACTIVE, 1, 0.01, 2.0, 2.2, 5.0)


def looks(
    begin: datetime, count: int, *, every_seconds: float = 60.0, failed: Sequence[int] = ()
) -> list[HeartbeatRecord]:
    """Return looks in equal steps, whose round trips are 1 ms, 2 ms and so on; some failed."""
    found = []
    for number in range(count):
        at = begin + timedelta(seconds=number * every_seconds)
        if number in failed:
            found.append(HeartbeatRecord("a", at, "peer_unreachable", silent_seconds=every_seconds * 2))
        else:
            found.append(replace(OK, at=at, round_trip_seconds=(number + 1) / 1000, silent_seconds=every_seconds))
    return found


async def test_a_window_is_summed_up_for_each_peer(control: Database) -> None:
    """Percentiles are those of the answers; a peer without a look has a row of nothing."""
    await Heartbeats(control).add(looks(NOON - HOUR, 60, failed=[7, 8, 9]))
    series = Series(control)
    span, nobody = await series.heartbeats(["a", "c"], DAY)
    assert (span.looks, span.answered, span.silent_seconds) == (60, 57, 120.0)
    assert span.round_trip_p50_seconds == 0.032
    assert span.round_trip_p95_seconds == pytest.approx(0.0572)
    assert span.round_trip_max_seconds == 0.060
    assert span.offset_seconds == pytest.approx(2.1)
    assert nobody == HeartbeatSpan("c", DAY.at_from, 0, 0, *([None] * 6))
    (half,) = await series.heartbeats(["a"], Window(NOON - HOUR, NOON - HOUR / 2))
    assert half.looks == 30


async def test_a_curve_has_no_gaps(control: Database) -> None:
    """A span without a look is there, with nothing in it."""
    await Heartbeats(control).add(looks(NOON - HOUR, 30))
    spans = await Series(control).heartbeats(["a"], Window(NOON - HOUR, NOON), 900)
    assert [(span.at - NOON, span.looks) for span in spans] == [
        (-HOUR, 15), (-HOUR * 3 / 4, 15), (-HOUR / 2, 0), (-HOUR / 4, 0),
    ]  # fmt: skip
    assert [span.round_trip_p50_seconds for span in spans] == [0.008, 0.023, None, None]


async def test_hours_outlive_the_looks(control: Database) -> None:
    """The share of answers stays what it was when looks are forgotten, also where that cuts through an hour."""
    heartbeats, series = Heartbeats(control), Series(control)
    begin = NOON - 5 * HOUR
    await heartbeats.add(looks(begin, 300, failed=range(30, 60)))
    window = Window(begin, NOON)
    (before,) = await series.heartbeats(["a"], window)
    assert await series.sum_up_hours(NOON) == 5
    assert await series.sum_up_hours(NOON) == 0  # again changes nothing
    assert await series.heartbeats(["a"], window) == (before,)  # nothing counts twice
    assert await heartbeats.trim(NOON + timedelta(days=1, hours=-3, minutes=-30), 1, 10_000) == 90
    assert await series.sum_up_hours(NOON) == 0  # what is left of an hour does not pass for it
    (after,) = await series.heartbeats(["a"], window)
    assert (after.looks, after.answered, after.silent_seconds) == (300, 270, before.silent_seconds)
    assert after.round_trip_max_seconds == before.round_trip_max_seconds
    assert after.round_trip_p50_seconds == pytest.approx(before.round_trip_p50_seconds, rel=0.1)
    spans = await series.heartbeats(["a"], window, 3600)
    assert [(span.looks, span.answered) for span in spans] == [(60, 30), (60, 60), (60, 60), (60, 60), (60, 60)]
    await heartbeats.trim(NOON + timedelta(days=30), 1, 10_000)
    (alone,) = await series.heartbeats(["a"], window)
    assert (alone.looks, alone.answered) == (300, 270)
    assert await series.trim_hours(NOON + timedelta(days=9), 9) == 5


async def test_looks_that_were_written_late_count(control: Database) -> None:
    """A control database that was away gets them when it is back."""
    heartbeats, series = Heartbeats(control), Series(control)
    await heartbeats.add(looks(NOON - HOUR, 10))
    assert await series.sum_up_hours(NOON) == 1
    await heartbeats.add(looks(NOON - HOUR / 2, 10))
    assert await series.sum_up_hours(NOON) == 1
    await heartbeats.trim(NOON + timedelta(days=9), 1, 10_000)
    (span,) = await series.heartbeats(["a"], Window(NOON - HOUR, NOON))
    assert span.looks == 20


async def test_an_hour_that_is_not_over_is_not_summed_up(control: Database) -> None:
    """Nor is one in the future, of a clock that was wrong for a while."""
    heartbeats, series = Heartbeats(control), Series(control)
    await heartbeats.add(looks(NOON, 30) + looks(NOON + timedelta(days=365), 5))
    assert await series.sum_up_hours(NOON + HOUR / 2) == 0
    assert await series.sum_up_hours(NOON + timedelta(days=366)) == 2
    await heartbeats.add(looks(NOON + HOUR, 5))  # the clock is right again
    assert await series.sum_up_hours(NOON + 2 * HOUR) == 1


async def _sync(history: History, minute: int, result: SyncResult = SyncResult.SUCCEEDED) -> str:
    at = NOON - HOUR + timedelta(minutes=minute)
    sync, _ = await history.begin(SyncRequest(Trigger.SCHEDULE, None, None, "a", 1), at)
    component = ComponentRecord("shop", result, at, at, rows=minute, bytes=10 * minute)
    await history.add_component(sync, component)
    failure = None if result is SyncResult.SUCCEEDED else Failure("sync_failed", "no", "Wait.")
    await history.end(sync, result, failure, at + HOUR, 1.0 + minute)  # its clock was set an hour ahead meanwhile
    return sync.id


async def test_syncs_are_a_curve_each_or_in_spans(control: Database) -> None:
    """The duration is the monotonic one; the worst result is a span's."""
    history, series, window = History(control, "b"), Series(control), Window(NOON - HOUR, NOON)
    ids = [
        await _sync(history, 1), await _sync(history, 2, SyncResult.FAILED), await _sync(history, 40),
        await _sync(history, 41, SyncResult.CANCELLED),
    ]  # fmt: skip
    await history.begin(SyncRequest(Trigger.SCHEDULE, None, None, "a", 1), NOON - timedelta(minutes=1))  # runs
    each = await series.syncs(window)
    assert [(one.sync_id, one.duration_seconds, one.rows) for one in each] == [
        (ids[0], 2.0, 1), (ids[1], 3.0, 2), (ids[2], 41.0, 40), (ids[3], 42.0, 41),
    ]  # fmt: skip
    spans = await series.syncs(window, 1200)
    assert [(one.syncs, one.succeeded, one.failed, one.result) for one in spans] == [
        (2, 1, 1, SyncResult.FAILED), (0, 0, 0, None), (2, 1, 0, SyncResult.CANCELLED),
    ]  # fmt: skip
    assert [(one.rows, one.bytes, one.duration_seconds) for one in spans] == [
        (3, 30, 3.0),
        (0, 0, None),
        (81, 810, 42.0),
    ]


async def test_the_api_sums_up_what_the_controller_saw(newest_dsn: str, tmp_path: Path) -> None:
    """With windows and spans that can be, and a hint for those that cannot."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.peer.error = PeerUnreachable("no route to host")
        await stage.parts.monitor.look("a")
        stage.peer.error = None
        await stage.ended((await stage.post("/v1/syncs"))["id"])

        async def is_summed_up() -> bool:
            (found,) = (await stage.get("/v1/heartbeats/summary"))["items"]
            return bool(found["looks"] > found["answered"] > 3)

        await eventually(is_summed_up)
        (found,) = (await stage.get("/v1/heartbeats/summary"))["items"]
        assert found["peer"] == "a"
        assert found["answered_share"] == found["answered"] / found["looks"]
        assert 0 < found["longest_silence_seconds"] < 30
        assert found["round_trip_p50_seconds"] <= found["round_trip_p99_seconds"] <= found["round_trip_max_seconds"]
        spans = (await stage.get("/v1/heartbeats/series"))["items"]
        assert len(spans) == 288
        assert spans[-1]["looks"] > 0
        assert len((await stage.get("/v1/heartbeats/series?bucket_seconds=3600"))["items"]) == 24
        for path in (
            "heartbeats/series?bucket_seconds=60",
            "heartbeats/summary?at_from=2026-01-02T00:00:00Z&at_before=2026-01-01T00:00:00Z",
            "heartbeats/summary?at_before=0001-01-01T00:00:00Z",
            "syncs/series?bucket_seconds=1",
        ):
            assert (await stage.get(f"/v1/{path}", expect=422))["code"] == "window_invalid"
        whole = "at_from=0001-01-01T00:00:00Z&at_before=9999-12-31T23:59:59Z"
        assert 0 < len((await stage.get(f"/v1/heartbeats/series?{whole}"))["items"]) <= 500
        (sync,) = (await stage.get("/v1/syncs/series"))["items"]
        assert (sync["syncs"], sync["result"], sync["rows"]) == (1, "succeeded", 6)
        assert len((await stage.get("/v1/syncs/series?bucket_seconds=86400"))["items"]) == 7
        response = await stage.http.get("/v1/heartbeats?limit=2", headers={**stage.auth(), "Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [row["peer"] for row in rows] == ["a", "a"]
        assert {"silent_seconds", "round_trip_seconds"} <= rows[0].keys()
        assert 'rel="next"' in response.headers["Link"]
