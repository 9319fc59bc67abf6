"""A database that carries the number of its generation in every table, and the judges of what a reader sees of it.

One transaction on the active node brings all tables to the next generation, and notes in a ledger what the tables hold
then. So one look at a copy tells its generation, and whether the copy is that generation and nothing between two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from lab.cluster import Cluster
from lab.database import Database

NAME: Final = "shop"
TABLES: Final = ("big", "middle", "small", "other.quiet")
SHARE: Final = 20
"""One row of so many changes in a generation, another one goes and comes back under a new key."""

_SCHEMA: Final = """
CREATE SCHEMA other;
CREATE TABLE big (id bigint PRIMARY KEY, generation int NOT NULL, name text NOT NULL, filler text NOT NULL);
CREATE TABLE middle (id bigint PRIMARY KEY, generation int NOT NULL, name text NOT NULL UNIQUE, filler text NOT NULL);
CREATE TABLE small (id bigint PRIMARY KEY, generation int NOT NULL, name text NOT NULL, filler text NOT NULL);
CREATE TABLE other.quiet (id bigint PRIMARY KEY, generation int NOT NULL, name text NOT NULL, filler text NOT NULL);
CREATE TABLE ledger (generation int PRIMARY KEY, content numeric[] NOT NULL);
CREATE TABLE shape (id int PRIMARY KEY, note text);
CREATE INDEX big_name ON big (name);
CREATE INDEX big_filler ON big (filler, name);
"""
_FILL: Final = """
INSERT INTO {table} SELECT n, 0, '{table} ' || n, md5(n::text) || md5((-n)::text) FROM generate_series(0, {rows}) AS n;
"""
_CHANGE: Final = """
UPDATE {table} SET generation = {generation}, filler = md5(filler)
 WHERE id = 0 OR id % {share} = {generation} % {share};
WITH gone AS (
    DELETE FROM {table} WHERE id > 0 AND id % {share} = ({generation} + 7) % {share} AND id % 3 = {generation} % 3
    RETURNING id, name, filler
)
INSERT INTO {table} SELECT id + 100000000, {generation}, name || '+', filler FROM gone WHERE id < 4000000000;
"""
_CONTENT: Final = "(SELECT sum(id * 31 + generation) + count(*) FROM {table})"
_MARK: Final = "(SELECT generation FROM {table} WHERE id = 0)"
_FINGERPRINT: Final = """
SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS digest FROM {table} AS t
"""
_LEDGER: Final = "(SELECT content FROM ledger ORDER BY generation DESC LIMIT 1)"

#: What a client may be told while servers die, start and swap databases.
_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.PostgresConnectionError,
)


class Generations:
    """The database on the active node."""

    def __init__(self, cluster: Cluster, *, rows: int) -> None:
        """Make it, in generation 0; `rows` is the size of the largest table."""
        self.now = 0
        self._database = Database.create(cluster, NAME)
        self._database.psql(_SCHEMA)
        for table, size in zip(TABLES, (rows, rows // 8, rows // 100, rows // 20), strict=True):
            self._database.psql(_FILL.format(table=table, rows=size))
        self._database.psql(f"INSERT INTO ledger VALUES (0, ARRAY[{_of_all(_CONTENT)}]); ANALYZE")

    @property
    def dsn(self) -> str:
        """Where it is."""
        return self._database.dsn

    async def advance(self) -> int:
        """Bring all tables to the next generation in one transaction, and return its number."""
        self.now += 1
        changes = "".join(_CHANGE.format(table=table, generation=self.now, share=SHARE) for table in TABLES)
        await asyncio.to_thread(
            self._database.psql,
            f"BEGIN; {changes} INSERT INTO ledger VALUES ({self.now}, ARRAY[{_of_all(_CONTENT)}]); COMMIT;",
        )
        return self.now

    async def reshape(self) -> None:
        """Change a definition that data depends on, so that the next sync is a seed."""
        verb = "SET" if self.now % 2 else "DROP"
        await asyncio.to_thread(
            self._database.psql,
            f"ALTER TABLE shape ALTER COLUMN note {verb} NOT NULL; ALTER TABLE shape ADD CHECK (id > 0)",
        )


async def fingerprint(dsn: str) -> dict[str, tuple[int, str]]:
    """Return, for each table, the number of its rows and a digest of all their values."""
    connection = await asyncpg.connect(dsn)
    try:
        found = {}
        for table in (*TABLES, "ledger", "shape"):
            row = await connection.fetchrow(_FINGERPRINT.format(table=table))
            assert row is not None
            found[table] = (row["rows"], row["digest"])
        return found
    finally:
        await connection.close()


@dataclass
class Reader:
    """A client of the copy that connects again and again; `wrong` says what it must never have seen."""

    dsn: str
    seen: list[int] = field(default_factory=list)
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Look once, in one statement and so at one snapshot; each fourth look goes through all rows."""
        content = f"ARRAY[{_of_all(_CONTENT)}]" if len(self.seen) % 4 == 0 else _LEDGER
        try:
            connection = await asyncpg.connect(self.dsn, timeout=10)
        except _AWAY:
            self.refused += 1
            return
        try:
            row = await connection.fetchrow(
                f"SELECT ARRAY[{_of_all(_MARK)}] AS marks, {content} AS content, {_LEDGER} AS ledger,"
                " (SELECT max(generation) FROM ledger) AS generation, (SELECT count(*) FROM ledger) AS generations"
            )
        except _AWAY:
            self.refused += 1
        except asyncpg.PostgresError as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
        else:
            assert row is not None
            generation = row["generation"]
            is_whole = row["content"] == row["ledger"] and row["generations"] == generation + 1
            if set(row["marks"]) != {generation} or not is_whole:
                self.wrong.append(f"between two snapshots: {dict(row)}")
            self.seen.append(generation)
        finally:
            with contextlib.suppress(*_AWAY):
                await connection.close(timeout=1)


@asynccontextmanager
async def reading(dsn: str, *, pause_seconds: float = 0.1) -> AsyncIterator[Reader]:
    """Read again and again beside a block."""
    reader = Reader(dsn)

    async def read_on() -> None:
        while True:
            await reader.read()
            await asyncio.sleep(pause_seconds)

    task = asyncio.create_task(read_on())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _of_all(expression: str) -> str:
    return ", ".join(expression.format(table=table) for table in TABLES)
