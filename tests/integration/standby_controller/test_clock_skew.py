"""Clocks that differ: shown with their error bound, told once, noted in each sync; syncs are held where that is set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.standby_controller.source import Source
from services.standby_controller.store.records import Trigger
from shared.errors import ClockSkew
from shared.node.model import Term
from tests.integration.standby_controller.stage import Stage, eventually, open_stage


async def _set_clock(stage: Stage, ahead_seconds: float) -> None:
    """Set the peer's clock, and have it seen."""
    stage.peer.clock_ahead_seconds = ahead_seconds
    await stage.parts.monitor.look("a")


async def _configure(stage: Stage, monitor: dict[str, Any], *, expect: int = 200) -> Any:
    config = await stage.http.get("/v1/config", headers=stage.auth())
    headers = {**stage.auth(), "If-Match": config.headers["ETag"]}
    response = await stage.http.patch("/v1/config", json={"monitor": monitor}, headers=headers)
    assert response.status_code == expect, response.text
    return response.json()


async def _advisories(stage: Stage) -> dict[str, Any]:
    return {one["code"]: one for one in (await stage.get("/v1/status"))["advisories"]}


async def test_skew_is_told_when_it_comes_grows_and_goes(newest_dsn: str, tmp_path: Path) -> None:
    """Naming the clock that is wrong, as the kernels say."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.peer.is_clock_synchronised = False
        await _set_clock(stage, 3.0)
        found = await _advisories(stage)
        assert found["clock_skew"]["severity"] == "warning"
        assert "the clock of node a is wrong" in found["clock_skew"]["text"]
        assert found["clock_unsynchronised"]["subject"] == "a"
        (peer,) = (await stage.get("/v1/status"))["peers"]
        assert (peer["is_clock_synchronised"], peer["clock_drift"]) == (False, None)
        assert abs(peer["clock_offset"]["middle_seconds"] - 3.0) <= peer["clock_offset"]["error_seconds"] + 1e-5
        await _set_clock(stage, -3600.0)
        assert (await _advisories(stage))["clock_skew"]["severity"] == "critical"
        stage.peer.is_clock_synchronised = True
        await _set_clock(stage, 0.0)
        assert not {"clock_skew", "clock_unsynchronised"} & (await _advisories(stage)).keys()

        async def is_told() -> bool:
            items = (await stage.get("/v1/events"))["items"]
            told = [(one["kind"], one["severity"]) for one in items if one["kind"] in ("clock_skew", "clock_well")]
            return told == [("clock_well", "info"), ("clock_skew", "critical"), ("clock_skew", "warning")]

        await eventually(is_told)


async def test_each_sync_records_the_offset_of_its_source(newest_dsn: str, tmp_path: Path) -> None:
    """And how long it took by the monotonic clock; the data's age does not depend on the clocks either."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await _set_clock(stage, 3600.0)
        sync = await stage.ended((await stage.post("/v1/syncs"))["id"])
        assert sync["result"] == "succeeded"
        assert sync["offset_low_seconds"] <= 3600.0 <= sync["offset_high_seconds"] + 1e-5
        assert 0 < sync["components"][0]["duration_seconds"] <= sync["duration_seconds"] < 60
        response = await stage.http.get("/v1/syncs", headers={**stage.auth(), "Accept": "text/csv"})
        head, row = response.text.splitlines()[:2]
        values = dict(zip(head.split(","), row.split(","), strict=True))
        assert float(values["offset_low_seconds"]) == sync["offset_low_seconds"]


async def test_syncs_are_held_while_the_clocks_differ_too_much(newest_dsn: str, tmp_path: Path) -> None:
    """Where the policy says so, whatever starts them; those that a change of roles needs run all the same."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await _set_clock(stage, 11.0)
        await stage.ended((await stage.post("/v1/syncs"))["id"])  # the default only warns
        await _configure(stage, {"clock_skew_policy": "hold_syncs"})
        refusal = await stage.post("/v1/syncs", expect=409)
        assert refusal["code"] == "clock_skew"
        assert "11.0 s ahead" in refusal["detail"]
        assert "clock_skew_policy" in refusal["hint"]
        with pytest.raises(ClockSkew, match="allowed are 10 s"):
            await stage.parts.runner.start(Trigger.SCHEDULE)
        record = await stage.parts.runner.run_from(Source("a", Term(epoch=1, owner="a")), "switchover")
        assert record.result == "succeeded"
        assert "Syncs are held" in (await _advisories(stage))["clock_skew"]["hint"]
        await _set_clock(stage, 9.0)
        assert (await stage.ended((await stage.post("/v1/syncs"))["id"]))["result"] == "succeeded"


async def test_a_limit_under_the_warning_is_refused(newest_dsn: str, tmp_path: Path) -> None:
    """Naming both."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        problem = await _configure(stage, {"offset_limit_seconds": 0.5}, expect=422)
        assert problem["code"] == "config_refused"
        assert "monitor.offset_limit_seconds (0.5)" in problem["detail"]
        assert "monitor.offset_warning_seconds (1)" in problem["detail"]
