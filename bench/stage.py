"""What every comparison runs on: two clusters, a pair that replicates one of two equal databases, the rival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.cluster import Cluster
from lab.pair import Pair
from lab.people import Json

OURS: Final = "ours"
NATIVE: Final = "native"
SETTINGS: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
    "max_logical_replication_workers": "6",
    "max_sync_workers_per_subscription": "2",
    "autovacuum": "off",
    "log_min_duration_statement": "100",
}
TABLE: Final = """
CREATE TABLE accounts (
    id       bigint PRIMARY KEY,
    branch   integer NOT NULL,
    balance  bigint NOT NULL,
    note     text NOT NULL,
    changed  timestamptz NOT NULL
);
"""
ROWS: Final = """
INSERT INTO accounts
SELECT n, n % 1000, n * 7 % 1000000, rpad(md5(n::text), 80, 'x'), '2026-01-01'::timestamptz + n * interval '1 second'
  FROM generate_series(1, {rows}) AS n;
VACUUM ANALYZE accounts;
"""
INDEXES: Final = "CREATE INDEX ON accounts (branch); CREATE INDEX ON accounts (changed, balance);"


@dataclass(frozen=True, slots=True)
class Stage:
    """The two servers and the pair between them."""

    source: Cluster
    target: Cluster
    pair: Pair
    rows: int

    def on_source(self, sql: str, database: str) -> str:
        """Run SQL on the source with psql."""
        return self.source.psql(sql, database=database)

    def on_target(self, sql: str, database: str) -> str:
        """Run SQL on the target with psql."""
        return self.target.psql(sql, database=database)

    async def sync(self) -> Json:
        """Run a sync of the pair to its end."""
        return await self.pair.sync(timeout=1800)

    async def wait_drained(self) -> None:
        """Wait until the background drain has read all there is, the log of its own storing included."""
        async with self.pair.primary.open_api() as api:
            for _ in range(2):
                wanted = self.on_source("SELECT pg_current_wal_flush_lsn()", OURS)
                deadline = time.monotonic() + 1800
                while not self._is_at(wanted, (await api.get("/v1/components"))["items"][0]["position"]):
                    if time.monotonic() > deadline:
                        raise TimeoutError("the drain did not end within 1800 s")
                    await asyncio.sleep(0.1)

    def _is_at(self, wanted: str, position: str | None) -> bool:
        return position is not None and self.on_source(f"SELECT '{position}'::pg_lsn >= '{wanted}'", OURS) == "t"


@asynccontextmanager
async def open_stage(folder: Path, *, major: int, rows: int) -> AsyncIterator[Stage]:
    """Make clusters and pair with equal databases for both sides of the comparison; the pair is not seeded yet."""
    with (
        Cluster.create(folder / "source", major=major, settings=SETTINGS) as source,
        Cluster.create(folder / "target", major=major, settings=SETTINGS) as target,
    ):
        source.start()
        target.start()
        for database in (OURS, NATIVE):
            source.psql(f"CREATE DATABASE {database}")
            source.psql(TABLE + ROWS.format(rows=rows) + INDEXES, database=database)
        quick = {"capture": {"interval_seconds": 1.0}}
        with Pair.create(folder / "pair", source, target, databases=[OURS], settings=quick) as pair:
            pair.start()
            yield Stage(source, target, pair, rows)


class NativeRival:
    """Native logical replication of the other database, made fresh for each comparison."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def prepare(self, *, with_copy: bool) -> None:
        """Make the target's empty table (indexes included, as a subscription needs them) or an equal copy."""
        self._stage.target.psql(f"DROP DATABASE IF EXISTS {NATIVE} WITH (FORCE)")
        self._stage.target.psql(f"CREATE DATABASE {NATIVE}")
        rows = ROWS.format(rows=self._stage.rows) if with_copy else ""
        self._stage.on_target(TABLE + rows + INDEXES, NATIVE)
        self._stage.on_source("DROP PUBLICATION IF EXISTS rival; CREATE PUBLICATION rival FOR TABLE accounts", NATIVE)

    async def copy(self) -> float:
        """Return the seconds of the subscription's initial copy."""
        begun = time.monotonic()
        self._subscribe("copy_data = true")
        await _until(
            lambda: self._ask_target("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel") == "t", "copy"
        )
        return time.monotonic() - begun

    def follow(self) -> None:
        """Subscribe without a copy and stop at once, so that a backlog grows."""
        self._subscribe("copy_data = false")
        self._stage.on_target("ALTER SUBSCRIPTION rival DISABLE", NATIVE)

    async def catch_up(self) -> float:
        """Return the seconds from the subscription's start until it has applied all that is there."""
        wanted = self._stage.on_source("SELECT pg_current_wal_flush_lsn()", NATIVE)
        begun = time.monotonic()
        self._stage.on_target("ALTER SUBSCRIPTION rival ENABLE", NATIVE)
        ask = f"SELECT confirmed_flush_lsn >= '{wanted}' FROM pg_replication_slots WHERE slot_name = 'rival'"
        await _until(lambda: self._stage.on_source(ask, NATIVE) == "t", "the subscription")
        return time.monotonic() - begun

    def end(self) -> None:
        """Drop the subscription with its slot."""
        self._stage.on_target("DROP SUBSCRIPTION IF EXISTS rival", NATIVE)

    def _subscribe(self, options: str) -> None:
        source = self._stage.source.dsn(NATIVE)
        self._stage.on_target(
            f"CREATE SUBSCRIPTION rival CONNECTION '{source}' PUBLICATION rival WITH ({options})", NATIVE
        )

    def _ask_target(self, sql: str) -> str:
        return self._stage.on_target(sql, NATIVE)


async def _until(condition: Callable[[], bool], what: str, *, seconds: float = 1800) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not end within {seconds:g} s")
        await asyncio.sleep(0.05)
