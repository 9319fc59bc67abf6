"""Notifications beside a failover: whoever is told slowly, or never, costs the promotion nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

import pytest

from lab.node import Node
from lab.people import Json, change_config
from tests.failover.conftest import Open
from tests.failover.stage import Stage
from tests.failover.test_return import return_by_hand
from tests.failover.test_times import when_active
from tests.integration.standby_controller.receivers import Hook, black_hole, webhook_server
from tests.tier import rounds

MOST_SECONDS = 3.0
"""A promotion that waits for an attempt of a channel takes 120; one that waits for none about one."""


def silent_channels(port: int) -> Json:
    """Return channels of which nothing ever comes back."""
    place = {"timeout_seconds": 120, "include": ["sync_succeeded", "config_changed"]}
    mails = {"kind": "mail", "host": "127.0.0.1", "port": port, "security": "none", "sender": "a@b.example"}
    hooks = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/"}
    return {
        **{f"mail-{number}": {**mails, "recipients": ["c@d.example"], **place} for number in range(3)},
        **{f"hook-{number}": {**hooks, **place} for number in range(3)},
    }


async def seconds_to_active(stage: Stage, active: Node, standby: Node) -> float:
    """Let the active host die, and return how long the other one takes from the decision to its answer."""
    await stage.kill_host(active)
    answered = await when_active(standby)
    decided = datetime.fromisoformat((await stage.status(standby))["role_change"]["started_at"])
    return (answered - decided).total_seconds()


@pytest.mark.timeout(300)
async def test_a_promotion_takes_no_longer_while_mail_and_webhook_hang(open_pair: Open) -> None:
    """Listeners that take every call and never answer; whoever can be reached hears of the failover meanwhile."""
    hook = Hook()
    with black_hole() as (hole, calls), webhook_server(hook) as http:
        async with open_pair() as stage:
            active, standby = stage.primary, stage.secondary
            without: list[float] = []
            for _ in range(rounds(0, 2)):
                without.append(await seconds_to_active(stage, active, standby))
                await stage.boot_host(active)
                await stage.becomes(active, "fenced")
                await return_by_hand(stage, active)
                await stage.is_protected_after_sync(active)
                active, standby = standby, active
            channels = {**silent_channels(hole), "works": {"kind": "webhook", "url": f"http://127.0.0.1:{http}/"}}
            notifications = {"channels": channels, "dead_man_url": f"http://127.0.0.1:{hole}/", "dead_man_seconds": 5}
            await asyncio.to_thread(
                change_config, standby.controller_url, standby.token, {"notifications": notifications}
            )
            await stage.sync(standby)

            async def hang() -> bool:
                return calls() >= len(silent_channels(hole))

            await stage.until(hang, "all channels hang")
            took = await seconds_to_active(stage, active, standby)
            print(f"decision to /active: {took:.2f} s while six channels hang, {without} without channels")
            assert took < MOST_SECONDS

            async def is_told() -> bool:
                kinds = [json.loads(body)["type"] for body in hook.bodies()]
                return {"warmstandby.peer_lost", "warmstandby.transition_done"} <= set(kinds)

            await stage.until(is_told, "the channel that works has heard of it")
            await stage.boot_host(active)
