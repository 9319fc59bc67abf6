"""Syncs through the API: one at a time, watched, cancelled, listed, and what each way to fail is called."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cluster import Cluster
from services.standby_controller.store.tokens import Role
from shared.errors import Divergence, PeerRefusedUs, PeerUnreachable
from shared.node.model import State, Term
from tests.integration.standby_controller.stage import Stage, eventually, open_stage


async def test_a_sync_is_started_and_ends_in_the_history(newest_dsn: str, tmp_path: Path) -> None:
    """With the rows of each table, the reason of a seed, and an event."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        response = await stage.http.post("/v1/syncs", headers=stage.auth(Role.OPERATOR))
        assert response.status_code == 202
        assert response.headers["Location"] == f"/v1/syncs/{response.json()['id']}"
        sync = await stage.ended(response.json()["id"])
        assert (sync["result"], sync["trigger"], sync["requested_by"], sync["source"]) == (
            "succeeded", "request", "operator", "a",
        )  # fmt: skip
        assert [part["component"] for part in sync["components"]] == ["shop", "mail"]
        assert sync["components"][0]["rows_per_table"] == {"public.item": 3}
        assert sync["components"][0]["reason"] == "there is no copy yet"
        assert (sync["rows"], sync["progress"], sync["failure"]) == (6, None, None)
        assert stage.copy.cleared == 1
        await eventually(lambda: _has_event(stage, "sync_succeeded"))
        events = await stage.get("/v1/events?kind=sync_succeeded")
        assert [event["subject"] for event in events["items"]] == [sync["id"]]


async def test_a_second_sync_is_refused_while_one_runs(newest_dsn: str, tmp_path: Path) -> None:
    """However many ask, one runs; the progress is live meanwhile."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.hold.clear()
        answers = await asyncio.gather(*(stage.http.post("/v1/syncs", headers=stage.auth()) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
        refusal = next(answer for answer in answers if answer.status_code == 409)
        assert refusal.json()["code"] == "sync_running"
        assert refusal.headers["Content-Type"] == "application/problem+json"
        (started,) = (answer.json() for answer in answers if answer.status_code == 202)
        running = await stage.get(f"/v1/syncs/{started['id']}")
        progress = running["progress"]
        assert (running["result"], progress["phase"], progress["component"]) == ("running", "copying", "shop")
        assert (progress["rows_done"], progress["bytes_done"], progress["bytes_total"]) == (3, 100, 1000)
        assert progress["current_tables"] == ["public.item"]
        assert (await stage.get("/v1/status"))["sync_in_progress"]["id"] == started["id"]
        stage.copy.hold.set()
        await stage.ended(started["id"])
        assert stage.copy.calls == 2


async def test_an_idempotency_key_starts_one_sync(newest_dsn: str, tmp_path: Path) -> None:
    """A program that lost the answer asks again, and gets the same sync."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        first = await stage.post("/v1/syncs", headers={"Idempotency-Key": "once"})
        await stage.ended(first["id"])
        second = await stage.post("/v1/syncs", headers={"Idempotency-Key": "once"})
        third = await stage.post("/v1/syncs", headers={"Idempotency-Key": "other"})
        assert (second["id"], second["result"]) == (first["id"], "succeeded")
        assert third["id"] != first["id"]
        await stage.ended(third["id"])


async def test_a_sync_is_cancelled(newest_dsn: str, tmp_path: Path) -> None:
    """By name, with nothing half done, and only once."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.hold.clear()
        started = await stage.post("/v1/syncs")
        await eventually(lambda: _is(stage.copy.calls == 1))
        await stage.post(f"/v1/syncs/{started['id']}/cancel")
        sync = await stage.ended(started["id"])
        assert (sync["result"], sync["failure"]["code"]) == ("cancelled", "cancelled")
        assert "admin" in sync["failure"]["detail"]
        assert [part["result"] for part in sync["components"]] == ["cancelled"]
        again = await stage.post(f"/v1/syncs/{started['id']}/cancel", expect=409)
        assert again["code"] == "sync_not_running"
        await stage.post("/v1/syncs/b.0000000099/cancel", expect=404)
        stage.copy.hold.set()
        await stage.ended((await stage.post("/v1/syncs"))["id"])


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [(State.ACTIVE, "not_standby", 409), (State.UNINITIALISED, "not_standby", 409), (State.FENCED, "not_standby", 409)],
)
async def test_only_a_standby_syncs(newest_dsn: str, tmp_path: Path, state: State, code: str, status: int) -> None:
    """An active node must never be overwritten; the own agent is asked again at that moment."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.own.state = state
        answer = await stage.post("/v1/syncs", expect=status)
        assert answer["code"] == code
        assert stage.copy.calls == 0
        assert (await stage.get("/v1/syncs"))["items"] == []


async def test_there_must_be_somebody_to_copy_from(newest_dsn: str, tmp_path: Path) -> None:
    """Each way that the other node can be missing has its own answer."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.peer.error = PeerUnreachable("no route")
        await eventually(lambda: _is(stage.parts.monitor.peers[0].state is None))
        assert (await stage.post("/v1/syncs", expect=503))["code"] == "peer_unreachable"
        stage.peer.error = PeerRefusedUs("wrong key")
        await stage.parts.monitor.look("a")
        assert (await stage.post("/v1/syncs", expect=503))["code"] == "peer_refused_us"
        stage.peer.error, stage.peer.state = None, State.STANDBY
        await stage.parts.monitor.look("a")
        assert (await stage.post("/v1/syncs", expect=409))["code"] == "not_active"
        stage.peer.state, stage.peer.term = State.ACTIVE, Term(epoch=17, owner="b")
        await stage.parts.monitor.look("a")
        assert (await stage.post("/v1/syncs", expect=409))["code"] == "not_standby"
        stage.own.error = PeerUnreachable("no socket")
        for _ in range(3):
            await stage.parts.monitor.look("b")
        answer = await stage.post("/v1/syncs", expect=503)
        assert answer["code"] == "peer_unreachable"
        assert "own agent" in answer["detail"]


@pytest.mark.parametrize(
    ("error", "code", "tried"),
    [
        (Divergence("somebody wrote here"), "divergence", 2),
        (PeerUnreachable("the line is cut"), "peer_unreachable", 1),
        (ZeroDivisionError("a bug"), "internal", 2),
    ],
)
async def test_a_failure_is_recorded_with_its_code(
    newest_dsn: str, tmp_path: Path, error: Exception, code: str, tried: int
) -> None:
    """The other components are tried too, unless the source is gone."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.error = error
        sync = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert (sync["result"], sync["failure"]["code"]) == ("failed", code)
        assert [part["result"] for part in sync["components"]] == ["failed"] * tried
        assert sync["components"][0]["kind"] == "seed"
        status = await stage.get("/v1/status")
        assert status["last_sync"]["failure"]["code"] == code
        assert "sync_failing" in [advisory["code"] for advisory in status["advisories"]]


async def test_a_list_is_read_as_json_or_csv(newest_dsn: str, tmp_path: Path) -> None:
    """A page at a time."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        ids = [(await stage.ended((await stage.post("/v1/syncs"))["id"]))["id"] for _ in range(3)]
        page = await stage.get("/v1/syncs?limit=2")
        assert [sync["id"] for sync in page["items"]] == [ids[2], ids[1]]
        assert page["items"][0]["components"][0]["rows_per_table"] is None
        rest = await stage.get(f"/v1/syncs?limit=2&cursor={page['next_cursor']}")
        assert ([sync["id"] for sync in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)
        response = await stage.http.get("/v1/syncs?limit=2", headers={**stage.auth(), "Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert response.headers["Content-Type"].startswith("text/csv")
        assert [(row["id"], row["rows"], row["kinds"]) for row in rows] == [
            (ids[2], "6", "seed"),
            (ids[1], "6", "seed"),
        ]
        assert 'rel="next"' in response.headers["Link"]
        assert (await stage.get("/v1/syncs?limit=201", expect=422))["code"] == "request_invalid"
        assert (await stage.get("/v1/syncs?cursor=x", expect=422))["code"] == "list_cursor_invalid"


async def test_what_a_dead_controller_left_running_is_interrupted_at_the_start(newest_dsn: str, tmp_path: Path) -> None:
    """And nothing needs cleaning by hand."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        started = await stage.ended((await stage.post("/v1/syncs"))["id"])
        await stage.parts.database.execute(
            "UPDATE control.syncs SET result = 'running', ended_at = NULL, change = NULL"
        )  # as kill -9
    async with open_stage(newest_dsn, tmp_path) as stage:
        left = await stage.get(f"/v1/syncs/{started['id']}")
        assert (left["result"], left["failure"]["code"]) == ("interrupted", "controller_died")
        again = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert again["result"] == "succeeded"


async def test_a_sync_of_a_controller_that_is_stopped_is_interrupted(newest_dsn: str, tmp_path: Path) -> None:
    """Said at once, not at the next start."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.hold.clear()
        started = await stage.post("/v1/syncs")
    async with open_stage(newest_dsn, tmp_path) as stage:
        left = await stage.get(f"/v1/syncs/{started['id']}")
        assert (left["result"], left["failure"]["code"]) == ("interrupted", "controller_stopped")


async def test_how_a_sync_ended_is_recorded_when_the_server_is_back(
    new_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """What happened while the control database was away must be known: the sync, its rows, and its event."""
    server = new_cluster()
    async with open_stage(server.dsn(), tmp_path) as stage:
        stage.copy.hold.clear()
        started = await stage.post("/v1/syncs")
        await eventually(lambda: _is(stage.copy.calls == 1))
        await asyncio.to_thread(server.kill)
        stage.copy.hold.set()
        await asyncio.sleep(1.5)
        status = await stage.get("/v1/status")
        assert status["sync_in_progress"]["id"] == started["id"]
        assert status["components"][0]["last_success_at"] is not None
        await asyncio.to_thread(server.start)
        sync = await stage.ended(started["id"])
        assert (sync["result"], [part["rows"] for part in sync["components"]]) == ("succeeded", [3, 3])
        await eventually(lambda: _has_event(stage, "sync_succeeded"))
        await stage.ended((await stage.post("/v1/syncs"))["id"])


async def test_the_schedule_runs_syncs_by_itself(newest_dsn: str, tmp_path: Path) -> None:
    """The first at once, then on the interval, and none while the node is no standby."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True) as stage:
        config = await stage.http.get("/v1/config", headers=stage.auth())
        patch = {"sync": {"run_every": "PT1S", "first_run": "now", "accept_short_interval": True}}
        headers = {**stage.auth(), "If-Match": config.headers["ETag"]}
        assert (await stage.http.patch("/v1/config", json=patch, headers=headers)).status_code == 200
        await eventually(lambda: _has_syncs(stage, 3))
        items = (await stage.get("/v1/syncs"))["items"]
        assert {(item["trigger"], item["requested_by"]) for item in items} == {("schedule", None)}
        assert (await stage.get("/v1/status"))["next_sync_at"] is not None
        stage.own.state = State.ACTIVE
        await stage.parts.monitor.look("b")
        calls = stage.copy.calls
        await asyncio.sleep(1.5)
        assert stage.copy.calls <= calls + 1
        assert (await stage.get("/v1/status"))["next_sync_at"] is None


async def test_a_scheduled_sync_without_a_source_is_a_failed_one(newest_dsn: str, tmp_path: Path) -> None:
    """So that the history shows why the data grows old."""
    async with open_stage(newest_dsn, tmp_path, is_scheduled=True, peer_error=PeerUnreachable("no route")) as stage:
        await eventually(lambda: _has_syncs(stage, 1))
        items = (await stage.get("/v1/syncs"))["items"]
        sync = await stage.ended(items[0]["id"])
        assert (sync["result"], sync["failure"]["code"]) == ("failed", "peer_unreachable")
        assert (sync["trigger"], sync["source"], sync["components"]) == ("schedule", None, [])
        await asyncio.sleep(1.5)
        assert len((await stage.get("/v1/syncs"))["items"]) == 1  # the next try waits


async def _is(condition: bool) -> bool:
    return condition


async def _has_syncs(stage: Stage, count: int) -> bool:
    return len((await stage.get("/v1/syncs"))["items"]) >= count


async def _has_event(stage: Stage, kind: str) -> bool:
    return bool((await stage.get(f"/v1/events?kind={kind}"))["items"])
