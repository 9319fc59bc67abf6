"""A sync that a guard stopped, through the API: what is told, and how an administrator lets one sync pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.standby_controller.policy.guards import Guard, ShrinkLimits
from services.standby_controller.store.tokens import Role
from shared.errors import DiskShort, Divergence, SourceChanged, SourceShrank, WarmstandbyError
from shared.node.model import FenceView
from tests.integration.standby_controller.stage import Stage, eventually, open_stage


async def has_event(stage: Stage, kind: str) -> bool:
    """Say whether there is an event of this kind."""
    return bool((await stage.get(f"/v1/events?kind={kind}"))["items"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SourceShrank("the source is empty"), "source_shrank"),
        (SourceChanged("the database was made anew"), "source_changed"),
        (DiskShort("a full copy needs about 9.0 GB"), "disk_short"),
    ],
)
async def test_a_stopped_sync_is_told_and_passed_once(
    newest_dsn: str, tmp_path: Path, error: WarmstandbyError, code: str
) -> None:
    """Result, event and advisory name the guard; what is accepted is kept with the sync and in the audit trail."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.error = error
        sync = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert (sync["result"], sync["failure"]["code"], sync["accepted"]) == ("refused_guard", code, [])
        assert f"--accept {code}" in sync["failure"]["hint"]
        await eventually(lambda: has_event(stage, "sync_refused"))
        event = (await stage.get("/v1/events?kind=sync_refused"))["items"][0]
        assert (event["severity"], event["subject"]) == ("critical", sync["id"])
        assert error.detail in event["text"]
        advisories = {item["code"]: item for item in (await stage.get("/v1/status"))["advisories"]}
        assert error.detail in advisories["sync_refused"]["text"]
        assert f"--accept {code}" in advisories["sync_refused"]["hint"]
        assert "sync_failing" not in advisories
        listed = await stage.get("/v1/syncs?result=refused_guard")
        assert [item["id"] for item in listed["items"]] == [sync["id"]]

        stage.copy.error = None
        sync = await stage.ended((await stage.post("/v1/syncs", json={"accept": [code, code]}))["id"])
        assert (sync["result"], sync["accepted"]) == ("succeeded", [code])
        assert stage.copy.guards.accepted == {Guard(code)}
        noted = {"who": "admin", "subject": sync["id"], "after": {"accept": [code]}}

        async def is_in_the_audit_trail() -> bool:
            entries = (await stage.get("/v1/audit?action=sync_started"))["items"]
            return noted in [{key: entry[key] for key in noted} for entry in entries]

        await eventually(is_in_the_audit_trail)
        assert "sync_refused" not in {item["code"] for item in (await stage.get("/v1/status"))["advisories"]}

        await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert stage.copy.guards.accepted == frozenset(), "it held for one sync alone"


async def test_a_stopped_component_hides_no_failed_one(newest_dsn: str, tmp_path: Path) -> None:
    """A sync is stopped by guards only where nothing else went wrong."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.errors = {"shop": SourceShrank("the source is empty"), "mail": Divergence("somebody wrote")}
        sync = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert sync["result"] == "failed"
        assert [part["failure"]["code"] for part in sync["components"]] == ["source_shrank", "divergence"]


async def test_only_guards_are_accepted(newest_dsn: str, tmp_path: Path) -> None:
    """What is no guard is refused with what is allowed, and whoever only looks may accept nothing."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        refused: tuple[dict[str, object], ...] = ({"accept": ["everything"]}, {"accept": "x"}, {"accepted": []})
        for wrong in refused:
            response = await stage.http.post("/v1/syncs", headers=stage.auth(), json=wrong)
            assert (response.status_code, response.json()["code"]) == (422, "request_invalid"), wrong
        assert (
            "source_shrank" in (await stage.http.post("/v1/syncs", headers=stage.auth(), json={"accept": ["x"]})).text
        )
        body = {"accept": ["source_shrank"]}
        response = await stage.http.post("/v1/syncs", headers=stage.auth(Role.VIEWER), json=body)
        assert response.status_code == 403
        assert stage.copy.calls == 0


async def test_the_limits_are_the_pairs_settings(newest_dsn: str, tmp_path: Path) -> None:
    """A changed limit holds from the next sync on; one that means nothing is refused."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert stage.copy.guards.limits == ShrinkLimits()
        etag = (await stage.http.get("/v1/config", headers=stage.auth())).headers["ETag"]
        for limit, status in ((0, 422), (1.5, 422), (0.9, 200)):
            patch = {"guards": {"max_rows_lost_share": limit, "least_rows": 10}}
            headers = {**stage.auth(), "If-Match": etag}
            response = await stage.http.patch("/v1/config", headers=headers, json=patch)
            assert response.status_code == status, response.text
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert stage.copy.guards.limits == ShrinkLimits(max_rows_lost_share=0.9, least_rows=10)


async def test_a_standby_that_is_open_to_applications_is_told(newest_dsn: str, tmp_path: Path) -> None:
    """The status shows how the databases of each node stand to applications, and warns of a standby that is open."""
    async with open_stage(newest_dsn, tmp_path) as stage:

        async def shows(*, is_closed: bool) -> bool:
            status = await stage.get("/v1/status")
            own = status["node"]
            is_told = "standby_open" in {item["code"] for item in status["advisories"]}
            return bool(own["fence"] and own["fence"]["is_closed"] is is_closed and is_told is not is_closed)

        for is_closed in (False, True):
            stage.own.fence = FenceView(strength="hba", is_closed=is_closed)
            await eventually(lambda: shows(is_closed=is_closed))  # noqa: B023  it ends before the next round
