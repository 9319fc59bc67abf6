"""What would be lost now, seen from both nodes, and the alarm when that grows although nothing failed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from services.standby_controller.data_age import DataAge
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventFilter, EventKind, Events, NewEvent
from shared.errors import PeerUnreachable
from shared.node.controller_model import ControllerView
from shared.node.model import State
from tests.integration.standby_controller.stage import Stage, eventually, open_stage
from tests.integration.standby_controller.test_schedule_kept import save

LIMIT = {"sync": {"run_every": "PT1S", "first_run": "now", "accept_short_interval": True},
         "failover": {"data_age_limit_seconds": 3}}  # fmt: skip


async def told(stage: Stage) -> list[str]:
    """Return the alarms, oldest first."""
    page = await stage.parts.events.list_events(EventFilter(), 200, None)
    kinds = [record.event.kind.value for record in page.items]
    return [kind for kind in reversed(kinds) if kind in ("data_old", "data_fresh")]


def view(age_seconds: float | None) -> ControllerView:
    """Return what a standby's controller says of its copy."""
    return ControllerView(
        pair_id="pair", node_id="a", boot_id="boot", state=State.STANDBY, reasons=(), data_age_seconds=age_seconds
    )


async def test_a_copy_that_grows_old_is_told_although_nothing_failed(newest_dsn: str, tmp_path: Path) -> None:
    """No sync is due; the next one ends the alarm. A restart of the controller does not tell it again."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        await save(stage, LIMIT)
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        status = await stage.get("/v1/status")
        assert 0 <= status["data_loss_seconds"] < 3
        assert f"last {status['data_loss_seconds']:.0f} s of changes" in status["summary"]
        await eventually(lambda: _is_told(stage, ["data_old"]), within_seconds=20)
    async with open_stage(newest_dsn, tmp_path) as stage:
        await stage.ended((await stage.post("/v1/syncs"))["id"])
        await eventually(lambda: _is_told(stage, ["data_old", "data_fresh"]), within_seconds=20)


async def test_what_another_node_told_is_not_taken_for_told_and_no_history_is_no_silence(
    newest_dsn: str, tmp_path: Path
) -> None:
    """The peer's alarm is its own; and while nothing was recalled, the alarm is raised all the same."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        parts, age = stage.parts, 0.0

        def new_watch() -> DataAge:
            views = parts.gatekeeper._views
            return DataAge(parts.monitor, views, lambda: age, lambda: parts.config.known, parts.recorder, parts.clock)

        now = parts.clock.now()
        old = NewEvent(now, EventKind.DATA_OLD, Severity.CRITICAL, "a", "by the other node")
        await Events(parts.database, "a").add(old)
        watch = new_watch()
        await watch.recall(parts.events, parts.database)
        await watch.look()
        age, blind = 1e6, new_watch()
        await blind.look()
        await eventually(lambda: _is_told(stage, ["data_old", "data_old"]))


async def test_the_active_node_says_what_it_would_lose(newest_dsn: str, tmp_path: Path) -> None:
    """By the word of its standby's controller; when that falls silent, the active node raises the alarm itself."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        stage.own.state, stage.peer.state = State.ACTIVE, State.STANDBY
        stage.peer_controller.error, stage.peer_controller.told = None, view(120.0)
        await save(stage, {"failover": {"data_age_limit_seconds": 3600}})
        await eventually(lambda: _status(stage, lambda status: status["data_loss_seconds"] is not None))
        status = await stage.get("/v1/status")
        assert timedelta(seconds=119) < timedelta(seconds=status["data_loss_seconds"]) < timedelta(seconds=130)
        assert "This node is active. If the active node died now, the last 2 min" in status["summary"]
        stage.peer_controller.told = view(3600.0)
        await eventually(lambda: _status(stage, lambda status: status["data_loss_seconds"] > 3000))
        assert await told(stage) == []  # the standby tells that itself
        stage.peer_controller.error = PeerUnreachable("connection refused")
        await eventually(lambda: _is_told(stage, ["data_old"]), within_seconds=20)
        stage.peer_controller.error, stage.peer_controller.told = None, view(5.0)
        await eventually(lambda: _is_told(stage, ["data_old", "data_fresh"]), within_seconds=20)


async def test_advisories_are_listed_with_their_figures(newest_dsn: str, tmp_path: Path) -> None:
    """The same as in the status."""
    async with open_stage(newest_dsn, tmp_path) as stage:
        listed = (await stage.get("/v1/advisories"))["items"]
        assert listed == (await stage.get("/v1/status"))["advisories"]
        assert {"never_seeded", "no_referee"} <= {advisory["code"] for advisory in listed}
        assert all({"evidence", "hint", "severity", "text", "subject"} <= advisory.keys() for advisory in listed)


async def _is_told(stage: Stage, expected: list[str]) -> bool:
    return await told(stage) == expected


async def _status(stage: Stage, holds: Any) -> bool:
    return bool(holds(await stage.get("/v1/status")))
