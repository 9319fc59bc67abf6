"""What a sync costs when little or nothing changed: rows shipped, tables read, log written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import asyncpg

from lab.cluster import Cluster
from tests.replication.world import Place, World

_RUNNING_XACTS_SECONDS: Final = 0.5
NOTES_ON_REQUEST: Final = 16
"""From this major on the server notes on request which transactions run; a slot starts only from such a note."""

SCHEMA = """
CREATE TABLE busy (id int PRIMARY KEY, v int);
INSERT INTO busy SELECT i, i FROM generate_series(1, 500) AS i;
CREATE TABLE calm (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
INSERT INTO calm (v) SELECT 'x' FROM generate_series(1, 500);
"""
NOISE = "SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000)) FROM generate_series(1, {})"
SCANS = """
SELECT pg_stat_clear_snapshot(), pg_stat_force_next_flush();
SELECT relname, seq_scan, coalesce(idx_scan, 0), seq_tup_read, coalesce(idx_tup_fetch, 0)
  FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1
"""


async def test_a_row_changed_a_thousand_times_is_shipped_once(world: World) -> None:
    """Also when drains come in between: the spool holds one key."""
    for _ in range(4):
        world.sql("DO $$ BEGIN FOR i IN 1..250 LOOP UPDATE busy SET v = v + 1 WHERE id = 7; COMMIT; END LOOP; END $$")
        await world.drain()
    outcome = await world.delta()
    assert (outcome.keys, outcome.rows_per_table) == (1, {"public.busy": 1})


async def test_a_sync_with_nothing_changed_reads_no_table(world: World) -> None:
    """Neither side scans a keyed table, by sequence or by index; no row travels."""
    await world.delta()
    before = (world.place.sql(SCANS), world.place.copy_sql(SCANS))
    outcome = await world.target.sync()  # not world.delta(): the judge reads the tables
    assert (outcome.keys, outcome.rows) == (0, 0)
    assert (world.place.sql(SCANS), world.place.copy_sql(SCANS)) == before


async def test_an_idle_drain_writes_nothing(new_cluster: Callable[..., Cluster], tmp_path: Path, major: int) -> None:
    """Not a byte of log, neither of the application's database nor of the node's; and it reads none again."""
    cluster = new_cluster(major, autovacuum="off", checkpoint_timeout="1h")
    place = Place.create(cluster, tmp_path / "place", SCHEMA)
    try:
        async with place.open() as world:
            await world.seed()
            place.sql(NOISE.format(30))
            await world.delta()  # goes past it, and the slot's start stays where it is
            for _ in range(3):
                await world.tick()
            await asyncio.sleep(_RUNNING_XACTS_SECONDS)
            if major >= NOTES_ON_REQUEST:
                kept = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots"
                assert int(place.node_sql(kept)) < 2**20
            look = "SELECT pg_current_wal_insert_lsn()"
            before = place.node_sql(look)
            for _ in range(5):
                await world.tick()
            assert place.node_sql(look) == before
    finally:
        place.remove()


async def test_nor_does_it_while_a_transaction_stays_open(new_place: Callable[..., Place]) -> None:
    """The slot's start stays where it is until then, and moves up afterwards."""
    place = new_place(SCHEMA)
    async with place.open() as world:
        await world.seed()
        writer: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(place.dsn)
        try:
            await writer.execute("BEGIN; INSERT INTO busy VALUES (0, 0)")
            place.sql(NOISE.format(10))
            for _ in range(4):
                await world.drain()
            facts = world.source.capture.drainer.facts
            before, look = facts.kept_bytes, "SELECT pg_current_wal_insert_lsn()"
            assert before is not None
            assert before > 5_000_000
            written = []
            for _ in range(4):
                written.append(place.sql(look))
                await world.drain()
            assert len(set(written)) <= 2, "the server itself may note something once"
            await writer.execute("COMMIT")
        finally:
            await writer.close()
        for _ in range(3):
            await world.drain()
        if world.place.cluster.major >= NOTES_ON_REQUEST:
            assert facts.kept_bytes is not None
            assert facts.kept_bytes < 2**20
