"""A node whose clock is wrong, or is set while it runs: measured and named, and neither data nor roles depend on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lab.node import Node
from lab.node_toml import lay_over
from lab.pair import Pair
from lab.people import ApiError, Json, change_config
from tests.failover.conftest import Open
from tests.failover.false_clock import FalseClock
from tests.failover.stage import QUICK, Stage
from tests.tier import in_full_tier, rounds

SLACK_SECONDS = 1.5  # of a busy machine
RESOLUTION_SECONDS = 1e-5
SEVERITIES = {0.0: None, 3.0: "warning", -3.0: "warning", 3600.0: "critical", -3600.0: "critical"}


@asynccontextmanager
async def false_clock_at(
    open_pair: Open, number: int, *, ahead_seconds: float = 0.0, **wishes: Any
) -> AsyncIterator[tuple[Stage, FalseClock]]:
    """Open a pair of which the primary (0) or the secondary (1) has a false clock."""
    clocks: list[FalseClock] = []

    async def prepare(pair: Pair) -> None:
        await asyncio.sleep(0)
        clocks.append(FalseClock(pair.nodes[number], ahead_seconds=ahead_seconds))

    settings = lay_over(QUICK, {"controller": {"heartbeat_timeout_seconds": 3.0}})  # the false clock costs time itself
    async with open_pair(prepare=prepare, settings=settings, **wishes) as stage:
        yield stage, clocks[0]


async def sees_offset(stage: Stage, node: Node, ahead_seconds: float) -> Json:
    """Wait until a node has noticed how far the other's clock is, and return what it knows of that node."""

    async def is_seen() -> Json | None:
        (peer,) = (await stage.status(node))["peers"]
        offset = peer["clock_offset"]
        if offset is None:
            return None
        low, high = (offset[f"{end}_seconds"] for end in ("low", "high"))
        is_inside = low - RESOLUTION_SECONDS <= ahead_seconds <= high + RESOLUTION_SECONDS
        return peer if is_inside and abs(offset["middle_seconds"] - ahead_seconds) < 0.5 else None

    found: Json = await stage.until(is_seen, f"{node.name} sees the other clock {ahead_seconds:+g} s ahead")
    return found


async def advised_severity(stage: Stage, node: Node) -> str | None:
    advisories = (await stage.status(node))["advisories"]
    return next((one["severity"] for one in advisories if one["code"] == "clock_skew"), None)


async def sync_unharmed(stage: Stage, ahead_seconds: float) -> None:
    """Sync, and see that its duration and the age of the copy are those of a clock that nobody set."""
    began = time.monotonic()
    sync = await stage.sync()
    took = time.monotonic() - began
    assert 0 < sync["duration_seconds"] <= took
    assert 0 <= sync["components"][0]["duration_seconds"] <= sync["duration_seconds"]
    low, high = sync["offset_low_seconds"], sync["offset_high_seconds"]
    assert low - RESOLUTION_SECONDS <= ahead_seconds <= high + RESOLUTION_SECONDS
    component, *_ = (await stage.status(stage.secondary))["components"]
    assert 0 <= component["data_age_seconds"] <= time.monotonic() - began


async def losses(stage: Stage) -> list[str]:
    """Return the events that told of a lost node; while the pair starts, there may be some."""
    told = [await stage.ask(node, "GET", "/v1/events?kind=peer_lost") for node in stage.pair.nodes]
    return sorted({str(event["id"]) for events in told for event in events["items"]})


async def nothing_happened(stage: Stage, losses_before: list[str]) -> None:
    """See that the roles are as they were, and that nobody was taken for dead."""
    assert [await stage.state(node) for node in (stage.primary, stage.secondary)] == ["active", "standby"]
    for node in (stage.primary, stage.secondary):
        assert (await stage.ask(node, "GET", "/v1/transitions"))["items"] == []
    assert await losses(stage) == losses_before


@pytest.mark.parametrize("number", rounds([0], [0, 1]), ids=lambda number: ("primary", "secondary")[number])
async def test_a_clock_that_is_set_while_the_node_runs_changes_nothing_else(open_pair: Open, number: int) -> None:
    """It is measured within its own error bound, told, and noted in each sync; held are syncs only where asked for."""
    async with false_clock_at(open_pair, number) as (stage, clock):
        before = await losses(stage)
        sign = 1 if number == 0 else -1  # the secondary measures the primary's clock against its own
        for ahead in rounds([3.0, -3.0, 3600.0], [3.0, -3.0, 3600.0, -3600.0]):
            clock.set(ahead)
            peer = await sees_offset(stage, stage.secondary, sign * ahead)
            assert peer["silent_seconds"] < 5
            assert await advised_severity(stage, stage.secondary) == SEVERITIES[ahead]
            await sees_offset(stage, stage.primary, -sign * ahead)
            assert await advised_severity(stage, stage.primary) == SEVERITIES[ahead]
            await sync_unharmed(stage, sign * ahead)
        await change_monitor(stage, {"clock_skew_policy": "hold_syncs"})
        await stage.until(lambda: is_held(stage), "syncs are held")
        await stage.is_protected()
        clock.set(0.0)
        await sees_offset(stage, stage.secondary, 0.0)
        await sync_unharmed(stage, 0.0)

        async def is_told() -> bool:
            events = (await stage.ask(stage.secondary, "GET", "/v1/events?limit=100"))["items"]
            told = [one for one in events if one["subject"] == stage.primary.name and one["kind"].startswith("clock")]
            oldest_first = [one["kind"] for one in sorted(told, key=lambda one: str(one["id"]))]
            return oldest_first == ["clock_skew", "clock_skew", "clock_well"]

        await stage.until(is_told, "the skew is told, and its end")
        await nothing_happened(stage, before)


@in_full_tier
@pytest.mark.parametrize("number", [0, 1], ids=["primary", "secondary"])
@pytest.mark.parametrize("ahead", [3.0, -3.0, 3600.0])
async def test_a_takeover_does_not_wait_for_the_right_time(open_pair: Open, number: int, ahead: float) -> None:
    """A clock that was wrong from the start, with syncs held for it where that is much; the other host dies."""
    async with false_clock_at(open_pair, number, ahead_seconds=ahead) as (stage, _):
        before = await losses(stage)
        await sees_offset(stage, stage.secondary, ahead if number == 0 else -ahead)
        await sync_unharmed(stage, ahead if number == 0 else -ahead)
        await change_monitor(stage, {"clock_skew_policy": "hold_syncs"})
        await stage.is_protected()
        await nothing_happened(stage, before)
        worst = (await stage.status(stage.secondary))["worst_case_detection_seconds"]
        began = time.monotonic()
        await stage.kill_host(stage.primary)
        await stage.becomes(stage.secondary, "active")
        took = time.monotonic() - began
        print(f"active after {took:.2f} s; certain after {worst:.2f} s at most")
        assert took <= worst + 2 * SLACK_SECONDS
        told = await told_transition(stage, "failover")
        assert 0 <= told["duration_seconds"] <= time.monotonic() - began


@in_full_tier
@pytest.mark.parametrize("number", [0, 1], ids=["primary", "secondary"])
async def test_a_switchover_takes_as_long_as_it_takes(open_pair: Open, number: int) -> None:
    """An hour between the clocks is in no duration, and what was written survives; the last sync is never held."""
    async with false_clock_at(open_pair, number, ahead_seconds=3600.0) as (stage, _):
        await change_monitor(stage, {"clock_skew_policy": "hold_syncs"})
        await stage.is_protected()
        async with stage.writing():
            began = time.monotonic()
            change = await stage.change(stage.secondary, "/v1/switchover")
        assert change["failure"] is None, change
        assert await stage.state(stage.secondary) == "active"
        told = await told_transition(stage, "switchover")
        assert 0 <= told["duration_seconds"] <= time.monotonic() - began
        stage.check_covered(stage.secondary, began)


async def told_transition(stage: Stage, kind: str) -> Json:
    """Wait until the secondary's history tells that a transition is over, and return it."""

    async def is_told() -> Json | None:
        items = (await stage.ask(stage.secondary, "GET", f"/v1/transitions?kind={kind}"))["items"]
        return next((item for item in items if item["ended_at"]), None)

    found: Json = await stage.until(is_told, f"the history tells of the {kind}")
    return found


async def change_monitor(stage: Stage, values: Json) -> None:
    """Change the group on one node, and wait until both have it."""
    node = stage.primary
    await asyncio.to_thread(change_config, node.controller_url, node.token, {"monitor": values})

    async def is_on_both() -> bool:
        found = [(await stage.ask(one, "GET", "/v1/config"))["document"]["monitor"] for one in stage.pair.nodes]
        return all(values.items() <= document.items() for document in found)

    await stage.until(is_on_both, f"{values} on both nodes")


async def is_held(stage: Stage) -> bool:
    """Ask for a sync that is refused because of the clocks."""
    try:
        sync = await stage.ask(stage.secondary, "POST", "/v1/syncs")
    except ApiError as error:
        return error.code == "clock_skew"
    raise AssertionError(f"it began: {sync}")
