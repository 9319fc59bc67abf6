"""What a sync with nothing to do takes, with many small tables, and whether it reads one of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.cases.replication import phases_of
from bench.model import Case, Group, Round, Sizes
from bench.stage import OURS, Stage, open_stage
from lab.cluster import Cluster
from shared.postgres.queries import load_queries

FAST_TABLES: Final = 1_000
MANY_LOCKS: Final = {"max_locks_per_transaction": "1024"}
"""So that pg_dump can hold all tables at once."""
TABLES: Final = """
DO $$
BEGIN
    FOR number IN 1..{tables} LOOP
        EXECUTE format('CREATE TABLE small_%s (id integer PRIMARY KEY, name text)', number);
        EXECUTE format('INSERT INTO small_%s SELECT n, n FROM generate_series(1, 10) AS n', number);
        IF number % 500 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;
VACUUM ANALYZE;
"""
SCANS: Final = """
SELECT pg_stat_force_next_flush();
SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables WHERE schemaname = 'public';
"""


@dataclass(frozen=True, slots=True)
class SmallTables:
    """Many tables with a key and ten rows each."""

    tables: int

    def fill(self, cluster: Cluster, database: str, *, with_rows: bool) -> None:
        """Make them; they are never empty."""
        assert with_rows
        cluster.psql(TABLES.format(tables=self.tables), database=database)


@dataclass(frozen=True, slots=True)
class Calm:
    """A synced stage where nothing happens."""

    stage: Stage
    syncs: int


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return a group for each number of tables."""
    return tuple(_group(sizes, tables) for tables in sizes.idle_tables)


def _group(sizes: Sizes, tables: int) -> Group[Calm]:
    limit = 100.0 if tables <= FAST_TABLES else 1000.0
    return Group(
        partial(open_calm, sizes=sizes, tables=tables),
        (
            Case(f"idle sync, {tables:,} tables", idle_sync, "ms", wanted=limit),
            Case(f"idle sync's scans of tables, {tables:,} tables", scans, "scans", wanted=0, rounds=1),
            Case(f"idle sync's token of definitions, {tables:,} tables", token_of_definitions, "ms", rounds=1),
        ),
    )


@asynccontextmanager
async def open_calm(folder: Path, *, sizes: Sizes, tables: int) -> AsyncIterator[Calm]:
    """Open a stage with small tables; the first delta after the seed is over, too."""
    content = SmallTables(tables)
    async with open_stage(folder, major=sizes.major, content=content, databases=(OURS,), server=MANY_LOCKS) as stage:
        await stage.sync()
        yield Calm(stage, sizes.idle_syncs)


async def idle_sync(calm: Calm) -> Round:
    """The median of several syncs, each by its own record, with the phases of the last one."""
    syncs = [await calm.stage.sync() for _ in range(calm.syncs)]
    assert all(sync["components"][0]["kind"] == "delta" and sync["rows"] == 0 for sync in syncs), syncs
    return Round(statistics.median(sync["duration_seconds"] for sync in syncs) * 1000, note=phases_of(syncs[-1]))


async def scans(calm: Calm) -> Round:
    """How many scans of any table, by sequence or by index, both servers count over an idle sync."""
    before = _count_scans(calm.stage)
    await calm.stage.sync()
    return Round(float(_count_scans(calm.stage) - before))


async def token_of_definitions(calm: Calm) -> Round:
    """What the query takes by which an export sees that no definition has changed."""
    query = load_queries("shared.postgres", "catalog.sql")["read_definitions_token"]
    session = await asyncpg.connect(calm.stage.source.dsn(OURS))
    try:
        seconds = []
        for _ in range(calm.syncs):
            begun = time.monotonic()
            await session.fetchval(query)
            seconds.append(time.monotonic() - begun)
    finally:
        await session.close()
    return Round(statistics.median(seconds) * 1000)


def _count_scans(stage: Stage) -> int:
    return sum(int(cluster.psql(SCANS, OURS).splitlines()[-1]) for cluster in (stage.source, stage.target))
