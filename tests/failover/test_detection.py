"""What a standby makes of a node that does not answer: certain in time, told by its kind, never by its own sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from lab.node import Node
from lab.people import Json, change_config
from tests.failover.conftest import Open
from tests.failover.stage import Stage

SLACK_SECONDS = 1.5  # of a busy machine
SLEEP_SECONDS = 5.0


def sees(stage: Stage, kind: str, *, is_certain: bool = True) -> Callable[[], Awaitable[Json | None]]:
    async def look() -> Json | None:
        found: Json = (await stage.status(stage.secondary))["diagnosis"]
        return found if (found["kind"], found["is_certain"]) == (kind, is_certain) else None

    return look


def freeze(*services: str, node: Node) -> None:
    """Stop services as SIGSTOP does: their ports still take connections, and nothing answers."""
    for service in services:
        getattr(node, service).pause()


def thaw(*services: str, node: Node) -> None:
    """Let them go on."""
    for service in services:
        getattr(node, service).resume()


async def test_a_frozen_node_is_certain_within_the_computed_time(open_pair: Open) -> None:
    """Every look runs into its timeout; its database and its controller are asked at once, not after each other."""
    async with open_pair() as stage:
        patch = {"failover": {"policy": "keep_in_standby"}}
        await asyncio.to_thread(change_config, stage.secondary.controller_url, stage.secondary.token, patch)
        worst = (await stage.status(stage.secondary))["worst_case_detection_seconds"]
        assert worst == 0.5 + 3 * 0.5 + 2 * 0.25
        began = time.monotonic()
        freeze("agent", "controller", node=stage.primary)
        found = await stage.until(sees(stage, "silent"), "the frozen node is certain to be silent")
        took = time.monotonic() - began
        print(f"certain after {took:.2f} s, at most {worst:.2f} s were computed")
        assert took <= worst + SLACK_SECONDS
        assert [look["controller"] for look in found["evidence"][1:]] == ["silent"] * (len(found["evidence"]) - 1)
        thaw("controller", node=stage.primary)
        await stage.until(sees(stage, "agent_down"), "its controller answers again")
        thaw("agent", node=stage.primary)
        await stage.until(sees(stage, "well", is_certain=False), "it is well again")
        assert [await stage.state(node) for node in (stage.primary, stage.secondary)] == ["active", "standby"]


async def test_what_a_sleeping_controller_missed_is_no_evidence(open_pair: Open) -> None:
    """F8: both sleep, the standby's controller wakes last; and a death in its sleep is believed on fresh looks only."""
    async with open_pair() as stage:
        controller = stage.secondary.controller
        for _ in range(2):
            freeze("agent", "controller", node=stage.primary)
            await asyncio.sleep(0.8)  # one look or two have failed, and one is under way
            controller.pause()
            await asyncio.sleep(SLEEP_SECONDS)
            thaw("agent", "controller", node=stage.primary)
            controller.resume()
            await stage.until(sees(stage, "well", is_certain=False), "it is well again")
            await asyncio.sleep(1)
        assert (await stage.ask(stage.secondary, "GET", "/v1/events?kind=peer_lost"))["items"] == []
        assert [await stage.state(node) for node in (stage.primary, stage.secondary)] == ["active", "standby"]
        controller.pause()
        await stage.kill_host(stage.primary)
        await asyncio.sleep(SLEEP_SECONDS)
        woken = time.monotonic()
        controller.resume()
        await stage.becomes(stage.secondary, "active")
        assert time.monotonic() - woken >= 2 * 0.25  # three looks of its own, with their re-check pauses
