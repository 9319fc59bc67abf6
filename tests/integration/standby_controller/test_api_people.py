"""The API for people besides syncs: who may do what, configuration, status, tokens, events, heartbeats, probes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.standby_controller.store.tokens import Role
from shared.errors import PeerRefusedUs, PeerUnreachable
from shared.node.model import AbsentSubscriber, CaptureState, CaptureStatus, ComponentStatus, Problem, State, Term
from tests.integration.standby_controller.stage import Stage, eventually, open_stage

ROUTES = [
    ("GET", "/v1/status", Role.VIEWER),
    ("GET", "/v1/components", Role.VIEWER),
    ("GET", "/v1/syncs", Role.VIEWER),
    ("GET", "/v1/syncs/b.1", Role.VIEWER),
    ("POST", "/v1/syncs", Role.OPERATOR),
    ("POST", "/v1/syncs/b.1/cancel", Role.OPERATOR),
    ("GET", "/v1/heartbeats", Role.VIEWER),
    ("GET", "/v1/heartbeats/summary", Role.VIEWER),
    ("GET", "/v1/heartbeats/series", Role.VIEWER),
    ("GET", "/v1/syncs/series", Role.VIEWER),
    ("GET", "/v1/events", Role.VIEWER),
    ("POST", "/v1/failover", Role.OPERATOR),
    ("POST", "/v1/switchover", Role.OPERATOR),
    ("POST", "/v1/resync", Role.OPERATOR),
    ("GET", "/v1/resync", Role.VIEWER),
    ("GET", "/v1/rescues", Role.VIEWER),
    ("GET", "/v1/rescues/r", Role.VIEWER),
    ("GET", "/v1/rescues/r/files/f", Role.OPERATOR),
    ("DELETE", "/v1/rescues/r", Role.ADMIN),
    ("GET", "/v1/verifications", Role.VIEWER),
    ("GET", "/v1/verifications/v", Role.VIEWER),
    ("POST", "/v1/verifications", Role.OPERATOR),
    ("POST", "/v1/verifications/v/repair", Role.OPERATOR),
    ("POST", "/v1/fence", Role.OPERATOR),
    ("POST", "/v1/unfence", Role.OPERATOR),
    ("GET", "/v1/transitions", Role.VIEWER),
    ("GET", "/v1/transitions/t", Role.VIEWER),
    ("GET", "/v1/notifications", Role.VIEWER),
    ("GET", "/v1/notifications/channels", Role.VIEWER),
    ("GET", "/v1/notifications/1", Role.VIEWER),
    ("POST", "/v1/notifications/test", Role.OPERATOR),
    ("POST", "/v1/notifications/1/resend", Role.OPERATOR),
    ("GET", "/v1/config", Role.VIEWER),
    ("PUT", "/v1/config", Role.ADMIN),
    ("PATCH", "/v1/config", Role.ADMIN),
    ("POST", "/v1/config/preview", Role.VIEWER),
    ("GET", "/v1/audit", Role.ADMIN),
    ("GET", "/v1/advisories", Role.VIEWER),
    ("POST", "/v1/transitions/plan", Role.VIEWER),
    ("PUT", "/v1/maintenance", Role.OPERATOR),
    ("PUT", "/v1/arming", Role.OPERATOR),
    ("GET", "/v1/tokens", Role.ADMIN),
    ("POST", "/v1/tokens", Role.ADMIN),
    ("DELETE", "/v1/tokens/x", Role.ADMIN),
]


async def test_every_route_asks_who_calls_and_what_they_may(newest_dsn: str, tmp_path: Path) -> None:
    """Missing, wrong and expired credentials are 401, a role that is too low 403; none of them reaches the route."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        now = stage.parts.clock.now()
        _, expired = await stage.parts.tokens.create("old", Role.ADMIN, now, now - timedelta(seconds=1))
        for method, path, role in ROUTES:
            codes = {
                None: "credential_missing",
                "Bearer nobody": "credential_invalid",
                "Basic eDp5": "credential_invalid",
                f"Bearer {stage.secrets[Role.ADMIN]}x": "credential_invalid",
                f"Bearer {expired}": "credential_expired",
            }
            for credential, code in codes.items():
                headers = {} if credential is None else {"Authorization": credential}
                response = await stage.http.request(method, path, headers=headers)
                assert (response.status_code, response.json()["code"]) == (401, code), (method, path, credential)
                assert response.headers["Content-Type"] == "application/problem+json"
                assert response.headers["WWW-Authenticate"] == "Bearer"
            for lower in Role:
                if not lower.includes(role):
                    response = await stage.http.request(method, path, headers=stage.auth(lower))
                    assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (method, path, lower)
        assert stage.copy.calls == 0


async def test_every_route_is_in_the_table_above(newest_dsn: str, tmp_path: Path) -> None:
    """A new one cannot be forgotten there; probes and documentation are open."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        paths = (await stage.http.get("/openapi.json")).json()["paths"]
        known = {(method, path) for method, path, _ in ROUTES}
        for path, operations in paths.items():
            for method in operations:
                if path.startswith("/v1/"):
                    shown = path.replace("{sync_id}", "b.1").replace("{token_id}", "x").replace("{number}", "1")
                    shown = shown.replace("{rescue_id}", "r").replace("{file}", "f")
                    shown = shown.replace("{transition_id}", "t").replace("{verification_id}", "v")
                    assert (method.upper(), shown) in known
                    assert operations[method]["security"] == [{"token": []}]


async def test_the_configuration_names_the_version_it_is_changed_from(newest_dsn: str, tmp_path: Path) -> None:
    """428 without, 412 with an old one, and the ETag moves on."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        answer = await stage.http.get("/v1/config", headers=stage.auth(Role.VIEWER))
        etag, document = answer.headers["ETag"], answer.json()["document"]
        sync = document["sync"]
        assert (sync["start_time"], sync["time_zone"], sync["run_every"]) == ("00:00", "UTC", "PT1H")

        async def change(method: str, body: object, if_match: str | None) -> tuple[int, str | None, str | None]:
            headers = stage.auth() | ({} if if_match is None else {"If-Match": if_match})
            response = await stage.http.request(method, "/v1/config", json=body, headers=headers)
            return response.status_code, response.json().get("code"), response.headers.get("ETag")

        patch = {"sync": {"run_every": "PT2H", "first_run": "next_on_grid"}}
        assert await change("PATCH", patch, None) == (428, "precondition_required", None)
        assert await change("PATCH", patch, '"9.9"') == (412, "precondition_failed", None)
        assert await change("PATCH", patch, etag) == (200, None, '"1.2.b"')
        assert await change("PATCH", patch, etag) == (412, "precondition_failed", None)
        assert await change("PATCH", {"sync": {"run_every": "PT1M"}}, '"1.2.b"') == (422, "config_refused", None)
        assert await change("PATCH", {"sync": {"intervall": 60}}, '"1.2.b"') == (422, "request_invalid", None)
        on_grid = {**document, "sync": {**sync, "first_run": "next_on_grid"}}
        assert await change("PUT", on_grid, '"0.1", "1.2.b"') == (200, None, '"1.3.b"')
        short = {"sync": {"run_every": "PT5S", "first_run": "now", "accept_short_interval": True}}
        assert await change("PATCH", short, '"1.3.b"') == (200, None, '"1.4.b"')
        back = {"sync": {"run_every": None, "first_run": "now", "accept_short_interval": None}}
        assert await change("PATCH", back, '"1.4.b"') == (200, None, '"1.5.b"')
        now = await stage.get("/v1/config")
        moved = {key: now["document"]["sync"][key] for key in ("first_run", "anchor_at", "first_at")}
        assert (now["changed_by"], now["epoch"]) == ("admin", 1)
        assert now["document"] == {**document, "sync": {**sync, **moved}}


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/heartbeats?result=ok&result=peer_unreachable", "'result': given more than once"),
        ("/v1/syncs?limit=1&limit=2", "'limit': given more than once"),
        ("/v1/heartbeats?peers=a", "'peers': unknown"),
        ("/v1/status?a=1", "this route knows none"),
    ],
)
async def test_no_filter_is_left_out_in_silence(newest_dsn: str, tmp_path: Path, path: str, named: str) -> None:
    """A parameter with a typing error, or one of two values, would give another list than was asked for."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        refusal = await stage.get(path, expect=422)
        assert (refusal["code"], named in refusal["detail"]) == ("request_invalid", True)
        await stage.get("/v1/syncs?result=failed&result=succeeded")


async def test_a_token_is_made_used_and_deleted(newest_dsn: str, tmp_path: Path) -> None:
    """Its secret is in one answer, and in no list or event."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        demand = {"name": "grafana", "role": "viewer", "expires_in_days": 30}
        made = await stage.post("/v1/tokens", expect=201, json=demand)
        headers = {"Authorization": f"Bearer {made['secret']}"}
        assert (await stage.http.get("/v1/status", headers=headers)).status_code == 200
        assert (await stage.post("/v1/tokens", expect=409, json=demand))["code"] == "name_taken"
        for wrong in ({"name": "x y"}, {"role": "root"}, {"expires_in_days": "30"}, {"extra": 1}):
            assert (await stage.post("/v1/tokens", expect=422, json={**demand, **wrong}))["code"] == "request_invalid"
        listed = await stage.http.get("/v1/tokens", headers=stage.auth())
        events = await stage.http.get("/v1/events", headers=stage.auth())
        for text in (listed.text, events.text):
            assert "grafana" in text
            assert made["secret"].split("_", 2)[2] not in text
        assert (await stage.http.delete(f"/v1/tokens/{made['id']}", headers=stage.auth())).status_code == 204
        assert (await stage.http.get("/v1/status", headers=headers)).status_code == 401
        assert (await stage.http.delete(f"/v1/tokens/{made['id']}", headers=stage.auth())).status_code == 404


async def test_the_status_shows_the_pair(newest_dsn: str, tmp_path: Path) -> None:
    """Protected or not comes first; then nodes, ages and advice."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.peer.clock_ahead_seconds = 100.0
        await stage.parts.monitor.look("a")
        status = await stage.get("/v1/status")
        assert next(iter(status)) == "protected"
        assert status["protected"] is False
        assert [reason["code"] for reason in status["reasons"]] == ["not_eligible", "unsynced"]
        assert "Nothing was copied yet of shop and mail" in status["summary"]
        assert (status["node"]["node_id"], status["node"]["state"]) == ("b", "standby")
        (peer,) = status["peers"]
        assert (peer["node_id"], peer["state"], peer["reach"]) == ("a", "active", "answering")
        offset = peer["clock_offset"]
        assert offset["low_seconds"] <= 100.0 <= offset["high_seconds"]
        assert {"clock_skew", "never_seeded"} <= {advisory["code"] for advisory in status["advisories"]}
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        status = await stage.get("/v1/status")
        assert [component["name"] for component in status["components"]] == ["shop", "mail"]
        assert status["components"][0]["unkept"] == [{"name": "public.log", "reason": "it has no key"}]
        assert 95 < status["components"][0]["data_age_seconds"] < 105  # the scripted snapshot is by this node's clock
        assert status["last_sync"]["result"] == "succeeded"


async def test_a_peer_that_falls_silent_is_lost_and_comes_back(newest_dsn: str, tmp_path: Path) -> None:
    """After three misses, with an event each way; a refusal is not a silence."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.peer.error = PeerUnreachable("no route to host")
        await eventually(lambda: _reach(stage, "lost"))
        status = await stage.get("/v1/status")
        assert (status["peers"][0]["state"], status["peers"][0]["failure"]["code"]) == (
            "not_available", "peer_unreachable",
        )  # fmt: skip
        assert status["peers"][0]["term"] == {"epoch": 1, "owner": "a"}
        assert "peer_silent" in [advisory["code"] for advisory in status["advisories"]]
        stage.peer.error = PeerRefusedUs("wrong key")
        await eventually(lambda: _reach(stage, "refused"))
        stage.peer.error = None
        await eventually(lambda: _reach(stage, "answering"))
        await eventually(lambda: _has_events(stage, ["peer_back", "peer_refused", "peer_lost"]))
        await eventually(lambda: _has_looks(stage, {"ok", "peer_unreachable", "peer_refused_us"}))
        looks = (await stage.get("/v1/heartbeats?peer=a&limit=200"))["items"]
        assert {look["state"] for look in looks if look["result"] == "ok"} == {"active"}


async def test_broken_capture_on_the_active_node_is_told(newest_dsn: str, tmp_path: Path) -> None:
    """Once, and once more when it is mended."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        broken = CaptureStatus(state=CaptureState.BROKEN, problem=Problem(code="budget", text="the slot was dropped"))
        stage.peer.components = (ComponentStatus(name="shop", database="shop", capture=broken),)
        await eventually(lambda: _has_events(stage, ["capture_broken"]))
        status = await stage.get("/v1/status")
        assert "capture_broken" in [advisory["code"] for advisory in status["advisories"]]
        ready = CaptureStatus(state=CaptureState.READY)
        stage.peer.components = (ComponentStatus(name="shop", database="shop", capture=ready),)
        await eventually(lambda: _has_events(stage, ["capture_mended", "capture_broken"]))
        (event,) = (await stage.get("/v1/events?kind=capture_broken"))["items"]
        assert "the slot was dropped" in event["text"]


async def test_a_standby_that_nothing_is_kept_for_is_told(newest_dsn: str, tmp_path: Path) -> None:
    """Once, however often it is seen; that it follows again is told where the same capture goes on."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        lost = AbsentSubscriber(node_id="dr", last_seen_at=datetime(2026, 1, 2, tzinfo=UTC))

        def serve(*absent: AbsentSubscriber, capture_id: str = "c") -> None:
            capture = CaptureStatus(state=CaptureState.READY, capture_id=capture_id, absent=absent)
            stage.peer.components = (ComponentStatus(name="shop", database="shop", capture=capture),)

        serve(lost)
        await eventually(lambda: _has_events(stage, ["subscriber_dropped"]))
        (event,) = (await stage.get("/v1/events?kind=subscriber_dropped"))["items"]
        assert (event["severity"], event["subject"]) == ("warning", "dr")
        assert "was not seen since 2026-01-02T00:00:00" in event["text"]
        serve(capture_id="another")
        serve(lost, capture_id="another")
        await stage.parts.monitor.look("a")
        serve(capture_id="another")
        await eventually(lambda: _has_events(stage, ["subscriber_back", "subscriber_dropped"]))


async def test_probes_say_what_the_own_agent_says(newest_dsn: str, tmp_path: Path) -> None:
    """Without a credential; a silent agent is neither active nor standby."""
    async with open_stage(newest_dsn, tmp_path) as stage:

        async def probe(path: str, method: str = "GET") -> int:
            return (await stage.http.request(method, path)).status_code

        assert [await probe(path) for path in ("/active", "/standby", "/health/live", "/health/ready")] == [
            503, 200, 200, 200,
        ]  # fmt: skip
        assert [await probe("/standby", method) for method in ("HEAD", "OPTIONS")] == [200, 200]
        stage.own.state, stage.own.term = State.ACTIVE, Term(epoch=18, owner="b")
        await eventually(lambda: _answers(stage, "/active", 200))
        assert await probe("/standby") == 503
        stage.own.error = PeerUnreachable("no socket")
        await eventually(lambda: _answers(stage, "/active", 503))
        assert [await probe("/health/live"), await probe("/health/ready")] == [200, 503]


async def test_a_question_that_makes_no_sense_is_refused(newest_dsn: str, tmp_path: Path) -> None:
    """As a problem, and without asking the database."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        for path in (
            "/v1/syncs?limit=0",
            "/v1/syncs?result=odd",
            "/v1/syncs?started_from=yesterday",
            "/v1/syncs?started_from=2026-01-01T00:00:00",
            "/v1/heartbeats?peer=%00",
            "/v1/events?after=x",
            "/v1/events?kind=odd",
        ):
            answer = await stage.get(path, expect=422)
            assert answer["code"] in ("request_invalid", "list_cursor_invalid"), path
            assert answer["hint"]


async def test_any_instant_may_be_asked_for(newest_dsn: str, tmp_path: Path) -> None:
    """Also the first and the last ones that exist."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        for instant in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00Z"):
            assert (await stage.get(f"/v1/syncs?started_from={instant}&started_before={instant}"))["items"] == []


async def _reach(stage: Stage, reach: str) -> bool:
    return bool(stage.parts.monitor.peers[0].reach == reach)


async def _has_looks(stage: Stage, results: set[str]) -> bool:
    looks = (await stage.get("/v1/heartbeats?peer=a&limit=200"))["items"]
    return {look["result"] for look in looks} == results


async def _has_events(stage: Stage, newest_first: list[str]) -> bool:
    return [event["kind"] for event in (await stage.get("/v1/events"))["items"]] == newest_first


async def _answers(stage: Stage, path: str, status: int) -> bool:
    return (await stage.http.get(path)).status_code == status
