"""The active node dies, its standby takes over: by itself, once, and nothing that a sync covered is lost."""

from __future__ import annotations

import asyncio
import time

from lab.ledger import longest_gap_seconds, places_in_order
from tests.failover.conftest import Open


async def test_a_dead_host_is_taken_over_from_and_stays_out(open_pair: Open) -> None:
    """F2, F13: killed as a whole; it boots fenced and accepts nothing."""
    async with open_pair() as stage, stage.writing() as client:
        await asyncio.sleep(1)
        await stage.sync()
        await asyncio.sleep(0.5)
        died = time.monotonic()
        await stage.kill_host(stage.primary)
        await stage.becomes(stage.secondary, "active")
        taken_over = time.monotonic() - died
        await asyncio.sleep(1)
        stage.check_covered(stage.secondary)
        await stage.boot_host(stage.primary)
        await stage.becomes(stage.primary, "fenced")
        await asyncio.sleep(2)
        assert places_in_order(stage.accepted) == ["primary", "secondary"]
        assert client.accepted[-1].place == "secondary"
        record = await stage.record(stage.secondary)
        assert record["term"] == {"epoch": 2, "owner": "secondary"}
        print(f"taken over {taken_over:.2f} s after the death, gap {longest_gap_seconds(client.accepted):.2f} s")
