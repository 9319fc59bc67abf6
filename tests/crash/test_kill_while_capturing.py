"""Deaths on the active node between two syncs: nothing that was captured is lost, and capture comes back by itself."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from tests.crash.generations import NAME
from tests.crash.stage import Part, Stage
from tests.tier import rounds


@pytest.mark.parametrize("part", [Part.AGENT, Part.SOURCE])
async def test_a_drain_that_is_killed_loses_no_change(stage: Stage, chance: random.Random, part: Part) -> None:
    """Keys are stored before the slot moves: what the dead drain had read is read again."""
    for _ in range(rounds(1, 5)):
        await stage.data.advance()
        await stage.kill_at_a_drain(part, delay_seconds=chance.uniform(0, 0.3))
        await stage.revive()
        succeeded = await stage.recover()
        assert [part["kind"] for part in succeeded["components"]] == ["delta"]


async def test_the_server_dies_while_it_makes_the_slot(stage: Stage) -> None:
    """Making a slot waits for every open transaction; a server that dies meanwhile ends no agent."""
    pid = stage.agent.pid
    holder = await asyncpg.connect(stage.data.dsn)
    try:
        await holder.execute("BEGIN; INSERT INTO shape VALUES (2, 'never committed')")
        await stage.wait_for(stage.source, _DROPPED)
        await stage.wait_for(stage.source, _MAKING)
        await asyncio.to_thread(stage.kill, Part.SOURCE)
    finally:
        holder.terminate()
    await stage.revive()
    assert stage.agent.pid == pid
    (component,) = (await stage.recover())["components"]
    assert component["kind"] == "seed"


_DROPPED = f"""
SELECT pg_drop_replication_slot(slot_name) IS NOT NULL FROM pg_replication_slots
 WHERE slot_name = 'warmstandby_{NAME}' AND NOT active
"""
_MAKING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_create_logical%' AND wait_event_type = 'Lock'"
