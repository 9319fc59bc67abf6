"""Verifications through the API: started, shown, repaired, told, judged by the gate, and run in the background."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from services.standby_controller.policy.gate_facts import Verification
from services.standby_controller.store.tokens import Role
from shared.replication.verification import Level
from tests.integration.standby_controller.stage import Stage, open_stage


async def verify(stage: Stage, path: str = "/v1/verifications", json: Any = None) -> Any:
    """Start a verification and return what it came to."""
    response = await stage.http.post(path, headers=stage.auth(Role.OPERATOR), json=json)
    assert response.status_code == 202, response.text
    address = response.headers["Location"]
    assert address == f"/v1/verifications/{response.json()['id']}"
    await stage.get(address)  # it is there at once
    await stage.ended(response.json()["id"])
    return await stage.get(address)


async def events_of(stage: Stage) -> list[tuple[str, str, str]]:
    """Return what was told of verifications, the oldest first."""
    await stage.parts.recorder.flush()
    items = (await stage.get("/v1/events?limit=200"))["items"]
    told = [(item["kind"], item["severity"], item["subject"]) for item in items]
    return [one for one in reversed(told) if one[0].startswith("verification")]


async def advised(stage: Stage) -> set[str]:
    """Return the advice on copies."""
    return {item["code"] for item in (await stage.get("/v1/status"))["advisories"]} & {"copy_differs"}


async def test_a_copy_that_is_equal_is_verified(newest_dsn: str, tmp_path: Path) -> None:
    async with open_stage(newest_dsn, tmp_path) as stage:
        assert stage.parts.gatekeeper.judge().facts.copies[0].verification is Verification.NEVER
        found = await verify(stage)
        assert (found["verdict"], found["level"], found["requested_by"]) == ("equal", "full", "operator")
        assert [(part["component"], part["tables"], part["rows"]) for part in found["components"]] == [
            ("shop", 3, 9), ("mail", 3, 9),
        ]  # fmt: skip
        assert [item["id"] for item in (await stage.get("/v1/verifications"))["items"]] == [found["id"]]
        assert await events_of(stage) == [
            ("verification_passed", "info", "shop"), ("verification_passed", "info", "mail"),
        ]  # fmt: skip
        assert stage.parts.gatekeeper.judge().facts.copies[0].verification is Verification.PASSED


async def test_a_difference_is_told_stands_in_the_way_and_is_repaired(newest_dsn: str, tmp_path: Path) -> None:
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.compared.differing = {"public.item"}
        found = await verify(stage, json={"component": "shop"})
        assert found["verdict"] == "differs"
        (part,) = found["components"]
        (difference,) = part["differences"]
        assert {key: difference[key] for key in ("name", "rows_here", "changed", "first_key", "is_open")} == {
            "name": "public.item", "rows_here": 3, "changed": 1, "first_key": "7", "is_open": True,
        }  # fmt: skip
        assert await events_of(stage) == [("verification_failed", "critical", "shop")]
        assert await advised(stage) == {"copy_differs"}
        judgement = stage.parts.gatekeeper.judge()
        assert judgement.facts.copies[0].verification is Verification.FAILED
        assert not judgement.is_protected
        await verify(stage, json={"component": "mail"})
        assert (await verify(stage, json={"level": "counts"}))["verdict"] == "differs"  # counted, it still does
        assert await advised(stage) == {"copy_differs"}
        newest = (await stage.get("/v1/verifications"))["items"][0]["id"]
        repaired = await verify(stage, f"/v1/verifications/{newest}/repair")
        assert (repaired["verdict"], repaired["is_repairing"]) == ("repaired", True)
        assert stage.copy.compared.wishes[-1][1].tables == frozenset({"public.item"})
        assert (await events_of(stage))[-1] == ("verification_passed", "info", "shop")
        assert await advised(stage) == set()
        again = await stage.post(f"/v1/verifications/{newest}/repair", expect=409)
        assert again["code"] == "nothing_to_repair"


async def test_a_difference_that_is_gone_counts_as_repaired(newest_dsn: str, tmp_path: Path) -> None:
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.copy.compared.differing = {"public.item"}
        first = await verify(stage)
        stage.copy.compared.differing = set()
        await verify(stage)
        (part, _) = (await stage.get(f"/v1/verifications/{first['id']}"))["components"]
        assert [(one["is_open"], one["is_repaired"]) for one in part["differences"]] == [(False, True)]
        assert stage.parts.gatekeeper.judge().facts.copies[0].verification is Verification.PASSED
        assert (await events_of(stage))[-2] == ("verification_passed", "info", "shop")


async def test_the_settings_have_syncs_compare_and_repair(newest_dsn: str, tmp_path: Path) -> None:
    async with open_stage(newest_dsn, tmp_path) as stage:
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert stage.copy.compared.wishes == []
        await change(stage, {"after_sync": "changed", "repair": "automatic"})
        stage.copy.compared.differing = {"public.item"}
        sync = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert [(name, wish.level, wish.is_repairing) for name, wish in stage.copy.compared.wishes] == [
            ("shop", Level.CHANGED, True), ("mail", Level.CHANGED, True),
        ]  # fmt: skip
        assert (await stage.get(f"/v1/verifications/{sync['id']}"))["verdict"] == "repaired"
        assert await events_of(stage) == [
            ("verification_failed", "warning", "shop"), ("verification_passed", "info", "shop"),
        ]  # fmt: skip
        assert stage.parts.gatekeeper.judge().facts.copies[0].verification is Verification.NEVER


async def test_the_background_compares_part_by_part_once_it_is_due(newest_dsn: str, tmp_path: Path) -> None:
    """Each part is a sync of its own, so that others run in between; the whole counts when the last one is done."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        parts, desk = stage.parts, stage.parts.verifications
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        await desk.look()
        assert stage.copy.compared.wishes == []  # the history has just begun
        await change(stage, {"background_share": 1.0})
        looking_back = parts.lookout._looking_back
        await looking_back.look()
        assert looking_back.begun_at is not None
        looking_back.begun_at -= timedelta(days=8)
        for _ in range(8):
            await desk.look()
            running = parts.runner.running
            if running is not None:
                await running.ended
        assert [(name, wish.after) for name, wish in stage.copy.compared.wishes] == [
            (name, after) for name in ("shop", "mail") for after in (None, "public.item", "public.log")
        ]
        items = (await stage.get("/v1/verifications"))["items"]
        assert [item["trigger"] for item in items] == ["verification"] * 6
        assert parts.gatekeeper.judge().facts.copies[0].verification is Verification.PASSED


async def change(stage: Stage, settings: dict[str, object]) -> None:
    """Change the settings of verification."""
    etag = (await stage.http.get("/v1/config", headers=stage.auth())).headers["ETag"]
    headers = stage.auth() | {"If-Match": etag}
    response = await stage.http.patch("/v1/config", json={"verification": settings}, headers=headers)
    assert response.status_code == 200, response.text
