"""What the active node's server keeps of its log for us: bounded while a standby is away, let go beyond the budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import asyncpg

from lab.cluster import Cluster
from tests.crash.conftest import BUDGET, CHUNK, INTERVAL_SECONDS
from tests.crash.generations import NAME
from tests.crash.stage import Stage
from tests.tier import in_full_tier, rounds

MIB = 2**20
SMALL_BUDGET = 64 * MIB
SERVER_SECONDS = 15.0
"""How often a server before version 16 lets the start of a slot move up by itself."""
SLOT = f"warmstandby_{NAME}"
WRITTEN = rounds(120, 1500) * MIB
CATCH_UP = rounds(80, 600) * MIB
RATE = rounds(10, 12) * MIB
"""Log that the application writes in a second: this much for hours is a heavy load, and two cores do more than that."""


@dataclass
class KeptLog:
    """What the slot held, sampled, and how fast the application wrote."""

    kept: list[int] = field(default_factory=list)
    drained: list[int] = field(default_factory=list)
    written_bytes: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Return the bytes of log written in a second."""
        return self.written_bytes / self.seconds

    def steps(self) -> list[int]:
        """Return how far each drain came."""
        places = sorted(set(self.drained))
        return [after - before for before, after in pairwise(places)]


async def test_the_log_kept_is_bounded_while_the_standby_is_away(stage: Stage) -> None:
    """Keys wait in the spool, not log in the server: however much is written, only the last drains' worth is kept."""
    stage.controller.stop()
    async with watching(stage.source) as kept:
        await write(stage, WRITTEN, rate=RATE)
    server = 2 * SERVER_SECONDS if stage.source.major < 16 else 0.0
    bound = 3 * CHUNK + kept.rate * (4 * INTERVAL_SECONDS + server)
    print(
        f"{kept.written_bytes / MIB:.0f} MiB of log in {kept.seconds:.1f} s: "
        f"kept at most {max(kept.kept) / MIB:.0f} MiB, bound {bound / MIB:.0f} MiB, "
        f"{len(kept.steps())} steps of at most {max(kept.steps()) / MIB:.0f} MiB"
    )
    assert kept.written_bytes >= WRITTEN
    assert max(kept.kept) < bound
    await stage.revive()
    assert [part["kind"] for part in (await stage.recover())["components"]] == ["delta"]


async def test_an_agent_that_was_dead_catches_up_in_pieces(stage: Stage) -> None:
    """What piled up while nobody read the slot is read chunk by chunk, each stored before the next."""
    stage.agent.kill()
    stage.controller.stop()
    await write(stage, CATCH_UP)
    async with watching(stage.source, pause_seconds=0.02) as kept:  # one drain follows the other at once
        stage.agent.start()
        async with asyncio.timeout(100):
            await until(lambda: bool(kept.kept) and kept.kept[-1] < 2 * CHUNK)
    print(
        f"from {kept.kept[0] / MIB:.0f} MiB to {kept.kept[-1] / MIB:.0f} MiB in {len(kept.steps())} "
        f"steps of at most {max(kept.steps()) / MIB:.0f} MiB"
    )
    assert kept.kept[0] > CATCH_UP
    assert len(kept.steps()) > CATCH_UP / CHUNK / 2
    assert median(kept.steps()) <= CHUNK + 2 * MIB
    assert max(kept.steps()) <= 5 * CHUNK + 2 * MIB  # a piece that holds no change makes the next one larger
    await stage.revive()
    assert [part["kind"] for part in (await stage.recover())["components"]] == ["delta"]


@in_full_tier
async def test_capture_gives_up_beyond_its_budget_and_the_next_sync_seeds(stage: Stage) -> None:
    """A transaction that stays open pins the log: the slot goes before the application's disk does, and says so."""
    stage.controller.stop()
    await set_budget(stage, SMALL_BUDGET)
    try:
        holder = await asyncpg.connect(stage.data.dsn)
        try:
            await holder.execute("BEGIN; INSERT INTO shape VALUES (1, 'never committed')")
            async with watching(stage.source) as kept:
                await write(stage, SMALL_BUDGET + 8 * MIB)
                async with asyncio.timeout(60):
                    await until(lambda: stage.source.psql("SELECT 1 FROM pg_replication_slots") == "")
        finally:
            await holder.close()
        assert "code=capture_lost" in stage.agent.log_text(since_start=True)
        stage.controller.start()
        await stage.revive()
        told = await stage.read_capture("broken")
        assert told["problem"]["code"] == "capture_lost"
        print(f"given up with {max(kept.kept) / MIB:.0f} MiB kept, budget {SMALL_BUDGET / MIB:.0f} MiB")
        (component,) = (await stage.recover())["components"]
        assert component["kind"] == "seed"
        assert component["reason"]
        await stage.data.advance()
        assert [part["kind"] for part in (await stage.recover())["components"]] == ["delta"]
    finally:
        await set_budget(stage, BUDGET)


async def write(stage: Stage, log_bytes: int, *, rate: float = float("inf")) -> None:
    """Change rows by several sessions at once until so much log is written, not faster than told; then a generation."""

    async def change(session: int) -> None:
        connection = await asyncpg.connect(stage.data.dsn)
        try:
            start, began, number = await connection.fetchval(_POSITION), time.monotonic(), session
            while (written := await connection.fetchval(_POSITION) - start) < log_bytes:
                number += 7
                first = 1 + (number * 401) % 40_000
                await connection.execute(_CHANGE, first, first + 400, str(number))
                await asyncio.sleep(max(0.0, began + written / rate - time.monotonic()))
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        for session in range(3):
            group.create_task(change(session))
    await stage.data.advance()


@asynccontextmanager
async def watching(source: Cluster, *, pause_seconds: float = 0.05) -> AsyncIterator[KeptLog]:
    """Sample the slot and the drained position beside a block."""
    log = KeptLog()
    own = await asyncpg.connect(source.dsn("warmstandby"))

    async def look_on() -> None:
        while True:
            row = await own.fetchrow(_LOOK, SLOT)
            if row is not None and row["kept"] is not None:
                log.kept.append(row["kept"])
                log.drained.append(row["drained"])
            await asyncio.sleep(pause_seconds)

    start, began = await own.fetchval(_POSITION), time.monotonic()
    task = asyncio.create_task(look_on())
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.wait([task])
        log.written_bytes, log.seconds = await own.fetchval(_POSITION) - start, time.monotonic() - began
        await own.close()


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    while True:
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.1)


async def set_budget(stage: Stage, budget_bytes: int) -> None:
    """Change the active node's budget, as an administrator does in node.toml."""
    config = stage.pair.primary.config
    lines = config.read_text().splitlines()
    changed = [f"budget_bytes = {budget_bytes}" if line.startswith("budget_bytes") else line for line in lines]
    assert any(line.startswith("budget_bytes") for line in lines)
    config.write_text("\n".join(changed) + "\n")
    await asyncio.to_thread(stage.agent.restart)
    await asyncio.to_thread(stage.agent.wait_ready, 30.0, "/active")


_CHANGE = "UPDATE big SET filler = md5(filler) || md5($3) WHERE id BETWEEN $1 AND $2"
_POSITION = "SELECT (pg_current_wal_lsn() - '0/0')::bigint"
_LOOK = """
SELECT (pg_current_wal_lsn() - s.restart_lsn)::bigint AS kept, (c.drained_lsn - '0/0')::bigint AS drained
  FROM pg_replication_slots AS s LEFT JOIN agent.captures AS c ON c.slot_name = s.slot_name::text
 WHERE s.slot_name = $1
"""
