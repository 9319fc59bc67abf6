"""The schedule through the API and its loop: what a save means, what is left out and told, what moves the next run."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from shared.errors import PeerUnreachable
from shared.node.model import State, Term
from tests.integration.standby_controller.stage import Stage, eventually, open_stage

HOUR = timedelta(hours=1)
EACH_SECOND = {"run_every": "PT1S", "first_run": "now", "accept_short_interval": True}


async def save(stage: Stage, patch: dict[str, Any], *, expect: int = 200) -> Any:
    """Change the configuration from its present version."""
    present = await stage.http.get("/v1/config", headers=stage.auth())
    headers = {**stage.auth(), "If-Match": present.headers["ETag"]}
    response = await stage.http.patch("/v1/config", json=patch, headers=headers)
    assert response.status_code == expect, response.text
    return response.json()


async def preview(stage: Stage, patch: dict[str, Any], *, expect: int = 200) -> Any:
    """Ask what a change would mean."""
    return await stage.post("/v1/config/preview", json=patch, expect=expect)


async def results(stage: Stage) -> list[str]:
    """Return the results of all syncs, newest first."""
    return [item["result"] for item in (await stage.get("/v1/syncs"))["items"]]


async def events(stage: Stage, kind: str) -> list[str]:
    """Return the texts of events, newest first."""
    return [event["text"] for event in (await stage.get(f"/v1/events?kind={kind}"))["items"]]


async def test_a_start_time_that_has_just_passed_is_a_gap_of_a_day(newest_dsn: str, tmp_path: Path) -> None:
    """Refused with the hours unless that is accepted; the answer says when the first run is."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        now = stage.parts.clock.now()
        patch = {"sync": {"start_time": f"{now - timedelta(minutes=1):%H:%M}"}}
        refusal = await save(stage, patch, expect=422)
        assert (refusal["code"], "next_on_grid" in refusal["hint"]) == ("schedule_gap", True)
        assert refusal["detail"].startswith("sync.start_time: the first run would be in 2")
        saved = await save(stage, {"sync": {**patch["sync"], "accept_gap": True}})
        sync = saved["document"]["sync"]
        first = datetime.fromisoformat(saved["next_run"]["at"])
        assert (saved["next_run"]["why"], sync["accept_gap"]) == ("first_run", False)
        assert first == datetime.fromisoformat(sync["first_at"])
        assert timedelta(hours=23, minutes=57) < first - now <= timedelta(hours=24)
        assert (await stage.get("/v1/status"))["next_sync_at"] == saved["next_run"]["at"]


async def test_only_another_rhythm_moves_the_next_run(newest_dsn: str, tmp_path: Path) -> None:
    """Saving other settings, or the same ones again, does not; `rebase` does, for one change alone."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        begun = await save(stage, {"sync": {"run_every": "PT2H", "first_run": "now"}})
        first = begun["document"]["sync"]["first_at"]
        for patch in (
            {"history": {"sync_days": 30}},
            {"sync": {"run_every": "PT2H", "enabled": False}},
            {"sync": {"enabled": True, "first_run": "next_on_grid"}},
        ):
            assert (await save(stage, patch))["document"]["sync"]["first_at"] == first
        moved = (await save(stage, {"sync": {"rebase": True}}))["document"]["sync"]
        assert (moved["first_at"] > first, moved["rebase"]) == (True, False)
        again = (await save(stage, {"sync": {"first_run": "now"}}))["document"]["sync"]
        assert again["first_at"] == moved["first_at"]
        zone = (await save(stage, {"sync": {"time_zone": "Asia/Kathmandu"}}))["document"]["sync"]
        assert zone["anchor_at"].endswith(":15:00Z")


async def test_a_preview_shows_the_next_runs_and_saves_nothing(newest_dsn: str, tmp_path: Path) -> None:
    """With the worst cases and what would be refused or warned of."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        before = await stage.get("/v1/config")
        shown = await preview(stage, {"sync": {"run_every": "PT3H", "first_run": "next_on_grid"}})
        runs = [datetime.fromisoformat(text) for text in shown["next_runs"]]
        assert [later - earlier for earlier, later in pairwise(runs[1:])] == [3 * HOUR] * 3
        assert all((run.hour % 3, run.minute) == (0, 0) for run in runs[1:])
        assert (shown["worst_case_data_loss_seconds"], shown["refusal"]) == (3 * 3600, None)
        assert shown["worst_case_detection_seconds"] == before["worst_case_detection_seconds"]
        refused = await preview(stage, {"sync": {"run_every": "P1D"}, "failover": {"policy": "keep_in_standby"}})
        assert [warning["code"] for warning in refused["warnings"]] == ["keep_in_standby"]
        weekly = await preview(stage, {"sync": {"run_every": "P1W", "first_run": "next_on_grid"}})
        assert weekly["worst_case_data_loss_seconds"] == 7 * 86400
        short = await preview(stage, {"sync": {**EACH_SECOND, "enabled": False}})
        assert [warning["code"] for warning in short["warnings"]] == ["schedule_off", "short_interval"]
        assert short["next_runs"] == []
        for bad, named in (
            ({"sync": {"run_every": "PT1M"}}, "config_refused"),
            ({"sync": {"run_every": 5}}, "request_invalid"),
            ({"sync": {"anchor_at": "2026-01-01T00:00:00Z"}}, "request_invalid"),
            ({"failover": {"data_age_limit_seconds": 60}}, "config_refused"),
        ):
            assert (await preview(stage, bad, expect=422))["code"] == named
        assert await stage.get("/v1/config") == before


async def test_a_run_due_while_one_is_going_is_left_out_and_told_once(newest_dsn: str, tmp_path: Path) -> None:
    """Each has its line in the history; a sync of many intervals is one event, and the grid stays where it is."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        stage.copy.hold.clear()
        saved = await save(stage, {"sync": EACH_SECOND})
        await eventually(lambda: _are(stage, ["skipped_overlap"] * 3 + ["running"]))
        (running,) = (await stage.get("/v1/syncs?result=running"))["items"]
        await eventually(lambda: _told(stage, "sync_skipped"))
        (told,) = await events(stage, "sync_skipped")
        assert running["id"] in told
        skipped = (await stage.get("/v1/syncs?result=skipped_overlap"))["items"][0]
        assert (skipped["failure"]["code"], skipped["trigger"], skipped["rows"]) == ("sync_running", "schedule", 0)
        assert (await stage.get("/v1/status"))["last_sync"] is None
        stage.copy.hold.set()
        await eventually(lambda: _has(stage, "succeeded", 2))
        assert len(await events(stage, "sync_skipped")) == 1
        anchor = datetime.fromisoformat(saved["document"]["sync"]["anchor_at"])
        starts = [datetime.fromisoformat(item["started_at"]) for item in (await stage.get("/v1/syncs"))["items"][:-1]]
        for start in starts:
            assert ((start - anchor) % timedelta(seconds=1)).total_seconds() < 0.9


async def test_in_maintenance_runs_are_left_out_and_one_by_hand_is_not(newest_dsn: str, tmp_path: Path) -> None:
    """After it the schedule goes on."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        await stage.ended((await _first(stage))["id"])
        await stage.http.put("/v1/maintenance", json={"enabled": True, "reason": "cables"}, headers=stage.auth())
        await save(stage, {"sync": EACH_SECOND})
        await eventually(lambda: _has(stage, "skipped_maintenance", 2))
        await eventually(lambda: _told(stage, "sync_skipped"))
        assert len(await events(stage, "sync_skipped")) == 1
        by_hand = await stage.post("/v1/syncs")
        assert (await stage.ended(by_hand["id"]))["result"] == "succeeded"
        await stage.http.put("/v1/maintenance", json={"enabled": False}, headers=stage.auth())
        await eventually(lambda: _has(stage, "succeeded", 3))


async def test_what_was_missed_is_caught_up_by_one_run(newest_dsn: str, tmp_path: Path) -> None:
    """While the controller was down points passed; after its start one sync runs, and then the grid goes on."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        rhythm = {"run_every": "PT3S", "first_run": "now", "accept_short_interval": True}
        await save(stage, {"sync": rhythm})
        await eventually(lambda: _has(stage, "succeeded", 1))
        count = len(await results(stage))
    await asyncio.sleep(6.5)
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        await eventually(lambda: _has(stage, "succeeded", count + 1), within_seconds=2)
        await asyncio.sleep(0.5)
        started = [datetime.fromisoformat(item["started_at"]) for item in (await stage.get("/v1/syncs"))["items"]]
        assert len(started) <= count + 2  # the one, and perhaps a point of the grid right after it


async def test_after_a_change_of_roles_a_sync_runs_at_once(newest_dsn: str, tmp_path: Path) -> None:
    """The new standby is no good before it; later runs keep the grid."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        await stage.ended((await _first(stage))["id"])
        assert (await stage.get("/v1/status"))["next_sync_why"] == "interval"
        stage.own.term = stage.peer.term = Term(epoch=17, owner="a")
        await eventually(lambda: _has(stage, "succeeded", 2))
        await asyncio.sleep(1.5)
        assert await results(stage) == ["succeeded"] * 2


async def test_syncs_are_held_while_the_clocks_differ_too_much(newest_dsn: str, tmp_path: Path) -> None:
    """Where that is asked for: recorded, told once, refused by hand with a way out; by default they run."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        stage.peer.clock_ahead_seconds = 20.0
        await stage.ended((await _first(stage))["id"])
        await save(stage, {"sync": EACH_SECOND, "monitor": {"clock_skew_policy": "hold_syncs"}})
        await eventually(lambda: _has(stage, "held_clock_skew", 2))
        await eventually(lambda: _told(stage, "sync_skipped"))
        assert len(await events(stage, "sync_skipped")) == 1
        refusal = await stage.post("/v1/syncs", expect=409)
        assert (refusal["code"], "clock_skew_policy" in refusal["hint"]) == ("clock_skew", True)
        before = (await results(stage)).count("succeeded")
        stage.peer.clock_ahead_seconds = 0.0
        await eventually(lambda: _has(stage, "succeeded", before + 2))


async def test_a_sync_of_a_term_that_is_over_is_superseded(newest_dsn: str, tmp_path: Path) -> None:
    """The node was promoted meanwhile: nothing failed that anybody must look after."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.hold.clear()
        stage.copy.error = PeerUnreachable("the connection was reset")
        started = await stage.post("/v1/syncs")
        stage.own.state = State.ACTIVE
        stage.copy.hold.set()
        assert (await stage.ended(started["id"]))["result"] == "superseded"
        await eventually(lambda: _told(stage, "sync_cancelled"))
        assert stage.parts.runner.memory.last_run() is not None
        assert "sync_failing" not in {advisory["code"] for advisory in (await stage.get("/v1/status"))["advisories"]}


async def test_the_audit_trail_says_who_changed_what(newest_dsn: str, tmp_path: Path) -> None:
    """With before and after of settings; also as CSV, by pages and filters."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await save(stage, {"history": {"sync_days": 30}})
        await stage.http.put("/v1/maintenance", json={"enabled": True, "reason": "cables"}, headers=stage.auth())
        sync = await stage.post("/v1/syncs")
        made = await stage.post("/v1/tokens", expect=201, json={"name": "grafana", "role": "viewer"})
        await stage.http.delete(f"/v1/tokens/{made['id']}", headers=stage.auth())

        async def is_written() -> bool:
            return len((await stage.get("/v1/audit"))["items"]) == 6

        await eventually(is_written)
        listed = await stage.get("/v1/audit")
        by_action = {entry["action"]: entry for entry in listed["items"]}
        assert {entry["who"] for entry in listed["items"]} == {"admin"}
        assert by_action["maintenance_set"]["after"] == {"enabled": True, "reason": "cables"}
        assert (by_action["sync_started"]["subject"], by_action["token_deleted"]["subject"]) == (sync["id"], made["id"])
        changed = (await stage.get("/v1/audit?action=config_changed"))["items"]
        assert [entry["after"]["history"]["sync_days"] for entry in changed] == [30, 30]
        assert [entry["before"]["history"]["sync_days"] for entry in changed] == [30, 90]
        assert made["secret"] not in str(listed)
        table = await stage.http.get("/v1/audit?limit=2", headers={**stage.auth(), "Accept": "text/csv"})
        assert table.text.splitlines()[0] == "id,at,node,who,action,subject"
        assert (len(table.text.splitlines()), "cursor=" in table.headers["Link"]) == (3, True)


async def _first(stage: Stage) -> Any:
    await eventually(lambda: _any(stage))
    return (await stage.get("/v1/syncs"))["items"][-1]


async def _any(stage: Stage) -> bool:
    return bool(await results(stage))


async def _are(stage: Stage, expected: list[str]) -> bool:
    found = await results(stage)
    return found[-len(expected) :] == expected or found[: len(expected)] == expected


async def _has(stage: Stage, result: str, count: int) -> bool:
    return (await results(stage)).count(result) >= count


async def _told(stage: Stage, kind: str) -> bool:
    return bool(await events(stage, kind))
