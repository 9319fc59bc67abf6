"""How long writers wait, against what is promised; the figures are printed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest

from lab.ledger import longest_gap_seconds
from lab.node import Node
from lab.people import NO_TLS, Json
from services.standby_controller.pair_groups import FailoverGroup
from shared.settings import AgentSettings, ControllerSettings
from tests.failover.conftest import Open
from tests.failover.stage import Stage
from tests.failover.test_return import return_by_hand
from tests.tier import rounds

DECISIONS: Final = rounds(3, 10)
ONE_SECOND: Final = {
    "settings": {
        "agent": {"heartbeat_seconds": 1.0},
        "controller": {"heartbeat_seconds": 1.0, "heartbeat_timeout_seconds": 1.0},
    },
    "failover": {"recheck_seconds": 0.5, "failures": 3},
}
DEFAULTS: Final = {
    "settings": {
        "agent": {"heartbeat_seconds": AgentSettings.model_fields["heartbeat_seconds"].default},
        "controller": {
            name: ControllerSettings.model_fields[name].default
            for name in ("heartbeat_seconds", "heartbeat_timeout_seconds")
        },
    },
    "failover": {name: FailoverGroup.model_fields[name].default for name in ("recheck_seconds", "failures")},
}
PATRONI_SECONDS: Final = 21.0
"""The shortest gap of a Patroni pair with its defaults, seen by a client that follows the probe of the role."""


@pytest.mark.timeout(600)
async def test_the_probe_says_active_within_a_second_of_the_decision(open_pair: Open) -> None:
    """Median of several failovers to and fro, without hooks."""
    seconds: list[float] = []
    async with open_pair() as stage:
        active, standby = stage.primary, stage.secondary
        for _ in range(DECISIONS):
            await stage.kill_host(active)
            answered = await when_active(standby)
            decided = datetime.fromisoformat((await stage.status(standby))["role_change"]["started_at"])
            seconds.append((answered - decided).total_seconds())
            await stage.boot_host(active)
            await stage.becomes(active, "fenced")
            await return_by_hand(stage, active)
            await stage.is_protected_after_sync(active)
            active, standby = standby, active
    print("decision to /active:", [f"{one:.2f}" for one in seconds], f"median {statistics.median(seconds):.2f} s")
    assert statistics.median(seconds) < 1.0


async def refuse(stage: Stage) -> None:
    """Let the host die; who connects is refused."""
    await stage.kill_host(stage.primary)


async def freeze(stage: Stage) -> None:
    """Let the whole host stop: connections are taken by nobody, and nothing is answered, as if packets were dropped."""
    for service in stage.primary.services:
        service.pause()
    stage.primary.cluster.pause()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("wishes", "fault", "limit_seconds"),
    [
        pytest.param(ONE_SECOND, refuse, 4.0, id="one_second-refused"),
        pytest.param(ONE_SECOND, freeze, 7.0, id="one_second-dropped"),
        pytest.param(DEFAULTS, refuse, PATRONI_SECONDS, id="defaults-refused"),
        pytest.param(DEFAULTS, freeze, PATRONI_SECONDS, id="defaults-dropped"),
    ],
)
async def test_the_gap_that_a_writer_sees_is_as_short_as_promised(
    open_pair: Open, wishes: Json, fault: Callable[[Stage], Awaitable[None]], limit_seconds: float
) -> None:
    """From the last write on the old node to the first on the new one, by a client that follows the probe."""
    async with open_pair(**wishes) as stage, stage.writing(everywhere=False) as client:
        worst = (await stage.status(stage.secondary))["worst_case_detection_seconds"]
        await asyncio.sleep(3)
        begun = time.monotonic()
        await fault(stage)

        async def goes_on() -> bool:
            return client.accepted[-1].place == "secondary"

        await stage.until(goes_on, "the client writes to the other node", 60)
        gap = longest_gap_seconds(write for write in client.accepted if write.ended > begun - 1)
        print(f"gap {gap:.2f} s, promised {limit_seconds:g} s, detection of at most {worst:.2f} s was computed")
        assert gap <= limit_seconds
        if fault is freeze:
            await stage.kill_host(stage.primary)


async def when_active(node: Node) -> datetime:
    """Wait until the node's probe says that it serves; return when that was."""
    async with httpx.AsyncClient(base_url=node.agent_url, timeout=1.0, verify=NO_TLS, trust_env=False) as http:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer: Any = await http.get("/active")
            if answer.status_code == 200:
                return datetime.now(UTC)
            await asyncio.sleep(0.01)
    raise AssertionError("not active within 60 s")
