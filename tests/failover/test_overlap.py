"""Syncs never overlap, whoever starts them and whatever dies: a real pair, a short interval, a lock that holds one."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import pairwise
from typing import Any

from lab.ledger import TABLE
from lab.people import ApiError, Json, change_config
from shared.postgres.sessions import connect
from tests.failover.conftest import Open
from tests.failover.stage import DATABASE, Stage

EACH_2_S = {"run_every": "PT2S", "first_run": "now", "accept_short_interval": True, "enabled": True}


async def history(stage: Stage) -> list[Json]:
    """Return the syncs of the pair, oldest first."""
    return list(reversed((await stage.ask(stage.secondary, "GET", "/v1/syncs?limit=200"))["items"]))


async def count(stage: Stage, result: str) -> int:
    """Return how many syncs ended, or stand, like that."""
    return sum(sync["result"] == result for sync in await history(stage))


async def has(stage: Stage, result: str, number: int) -> None:
    """Wait for so many syncs of a result."""

    async def is_so() -> bool:
        return await count(stage, result) >= number

    await stage.until(is_so, f"{number} syncs {result}")


async def ask_ten_times(stage: Stage) -> list[str]:
    """Ask both controllers for syncs, all at once; return what each answer comes to."""

    async def ask(number: int) -> str:
        try:
            await stage.ask(stage.pair.nodes[number % 2], "POST", "/v1/syncs")
        except ApiError as error:
            return str(error.code)
        return "started"

    return sorted(await asyncio.gather(*map(ask, range(10))))


async def test_never_two_syncs_at_once_and_never_a_lock_left(open_pair: Open) -> None:
    """Ten requests at once; a sync longer than its interval; kill -9 of the controller in it; then it goes on."""
    async with open_pair() as stage:
        held = await connect(stage.secondary.cluster.dsn(DATABASE))
        transaction = held.transaction()
        await transaction.start()
        await held.execute(f"LOCK TABLE public.{TABLE} IN ACCESS EXCLUSIVE MODE")
        stage.primary.cluster.psql(f"INSERT INTO {TABLE} (writer, number) VALUES ('now', 1)", DATABASE)
        answers = await ask_ten_times(stage)
        assert answers == ["not_standby"] * 5 + ["started"] + ["sync_running"] * 4
        node = stage.secondary
        await asyncio.to_thread(change_config, node.controller_url, node.token, {"sync": EACH_2_S})
        await has(stage, "skipped_overlap", 2)
        assert await ask_ten_times(stage) == ["not_standby"] * 5 + ["sync_running"] * 5
        node.controller.kill()
        await transaction.rollback()
        await held.close()
        node.controller.restart()
        await asyncio.to_thread(node.controller.wait_ready, path="/health/live")
        before = 0

        async def goes_on() -> bool:
            nonlocal before
            before = await count(stage, "succeeded")
            return before >= 3  # the first one of the stage, and two since

        await stage.until(goes_on, "the schedule goes on")
        await asyncio.to_thread(change_config, node.controller_url, node.token, {"sync": {"enabled": False}})
        await _is_quiet(stage)
        check_history(await history(stage))
        stage.check_equal()


def check_history(syncs: list[Json]) -> None:
    """See that no sync began before the one before it had ended, and that each has an end."""
    runs = [sync for sync in syncs if not sync["result"].startswith("skipped")]
    assert {sync["result"] for sync in runs} == {"succeeded", "interrupted"}
    assert [sync["failure"]["code"] for sync in runs if sync["result"] == "interrupted"] == ["controller_died"]
    for earlier, later in pairwise(runs):
        assert _at(earlier["ended_at"]) <= _at(later["started_at"]), (earlier, later)
    skipped: list[Any] = [sync for sync in syncs if sync["result"] == "skipped_overlap"]
    assert all(sync["started_at"] == sync["ended_at"] for sync in skipped)


async def _is_quiet(stage: Stage) -> None:
    async def is_so() -> bool:
        return await count(stage, "running") == 0

    await stage.until(is_so, "no sync runs")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
