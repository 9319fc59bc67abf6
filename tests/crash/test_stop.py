"""A service that is asked to stop in the middle of a sync: it ends within seconds, and the next sync goes on."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.crash.stage import Stage, at_phase, check_told
from tests.tier import rounds

STOP_SECONDS = 15.0
STOPS = [
    ("secondary controller", "indexes", "seed"),
    *rounds(
        [],
        [
            (name, phase, kind)
            for name in ("primary agent", "primary controller", "secondary agent", "secondary controller")
            for phase, kind in (("schema", "seed"), ("copying", "seed"), ("applying", "delta"), ("swapping", "seed"))
        ],
    ),
]


@pytest.mark.parametrize(("name", "phase", "kind"), STOPS)
async def test_a_service_stops_in_the_middle_of_a_sync(
    stage: Stage, chance: random.Random, name: str, phase: str, kind: str
) -> None:
    """SIGTERM: exit code 0, and what it leaves on the standby is cleared away by itself."""
    service = next(service for service in stage.pair.services if service.name == " of ".join(reversed(name.split())))
    await stage.data.advance()
    if kind == "seed":
        await stage.data.reshape()
    sync = await stage.sync_until(at_phase(phase, kind=kind), delay_seconds=chance.uniform(0, 0.3))
    began = time.monotonic()
    await asyncio.to_thread(service.stop, within_seconds=STOP_SECONDS)
    print(f"{service.name} stopped in {time.monotonic() - began:.1f} s")
    assert service.exit_code == 0
    if service is stage.controller:
        assert stage.leftover_databases() == []
    await stage.revive()
    ended = await stage.read_end(sync["id"])
    check_told(ended)
    if service is stage.controller and ended["result"] != "succeeded":
        assert ended["failure"]["code"] == "controller_stopped"
        assert await stage.has_event("sync_interrupted", sync["id"])
    await stage.recover()
