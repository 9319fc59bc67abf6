"""Reads one database at one snapshot for the comparison: its tables, its sequences, its rows as sorted text.

Uses nothing of the product: the comparison judges the product.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from sample.transactions.model import Connection

#: The text of a value must not depend on the settings of a database, a role or a server.
PINNED: Final = {
    "application_name": "sample comparison",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "3",
    "idle_in_transaction_session_timeout": "0",
    "intervalstyle": "postgres",
    "jit": "off",
    "lc_monetary": "C",
    "lock_timeout": "10s",
    "row_security": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "timezone": "UTC",
    "work_mem": "64MB",
}

TABLES: Final = """
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relpages AS pages,
           coalesce(array_agg(a.attname::text ORDER BY k.place, a.attnum) FILTER (WHERE a.attnum > 0), '{}') AS columns,
           coalesce(array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.place, a.attnum)
                    FILTER (WHERE a.attnum > 0), '{}') AS types
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    LEFT JOIN LATERAL (SELECT array_position(i.indkey::smallint[], a.attnum) AS place) k ON true
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    GROUP BY c.oid, n.nspname, c.relname, c.relpages
"""

#: Read inside the snapshot: pg_class shows the file of then, pg_relation_filenode the file of now.
IS_AS_IT_WAS: Final = """
    SELECT to_regclass($2)::oid IS NOT DISTINCT FROM $1::oid
       AND pg_relation_filenode($1) IS NOT DISTINCT FROM (SELECT relfilenode FROM pg_class WHERE oid = $1)
"""

SEQUENCES: Final = """
    SELECT n.nspname AS schema, c.relname AS name, s.seqincrement AS increment, s.seqcycle AS cycle,
           s.seqmin AS lowest, s.seqmax AS highest
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

GONE: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError)


class NotComparableError(Exception):
    """A table can no longer be read as it was at the snapshot."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the snapshot shows it; columns of the primary key come first."""

    oid: int
    schema: str
    name: str
    pages: int
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def qualified(self) -> str:
        """Name the table for people and filters."""
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Name the table for SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence's rules and where it stands."""

    name: str
    increment: int
    cycle: bool
    lowest: int
    highest: int
    last_value: int
    is_called: bool

    @property
    def next_value(self) -> int:
        """Say which value it would give out next, were there no bounds."""
        return self.last_value + self.increment if self.is_called else self.last_value


@dataclass(frozen=True, slots=True)
class Content:
    """How much a table holds, and the hash of it."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class SnapshotReader:
    """One database at one snapshot; every read is a transaction of its own that imports it."""

    dsn: str
    snapshot: str
    tables: Mapping[str, Table]

    @asynccontextmanager
    async def open_table(self, table: Table) -> AsyncIterator[Connection]:
        """Yield a connection that reads the table at the snapshot; raise NotComparableError when none can."""
        async with connect(self.dsn) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{self.snapshot}'")
            try:
                await connection.execute(f"LOCK TABLE ONLY {table.quoted} IN ACCESS SHARE MODE")
            except GONE as error:
                raise NotComparableError("dropped, renamed or altered since the snapshot") from error
            except asyncpg.LockNotAvailableError as error:
                raise NotComparableError("locked by somebody for more than 10 s") from error
            if not await connection.fetchval(IS_AS_IT_WAS, table.oid, table.quoted):
                raise NotComparableError("truncated or rewritten since the snapshot")
            yield connection

    async def hash_sorted_rows(self, table: Table, columns: tuple[str, ...]) -> Content:
        """Stream all rows in sorted order and hash them here."""
        digest = hashlib.sha256()

        async def consume(chunk: bytes) -> None:
            digest.update(chunk)

        async with self.open_table(table) as connection:
            status = await connection.copy_from_query(sorted_rows(table, columns), output=consume)
        return Content(rows=int(status.rsplit(" ", 1)[-1]), digest=digest.hexdigest())

    async def sum_row_hashes(self, table: Table, columns: tuple[str, ...]) -> Content:
        """Let the server add up two hashes of every row."""
        async with self.open_table(table) as connection:
            rows, first, second = await connection.fetchrow(
                f"""SELECT count(*), coalesce(sum(hashtextextended(r, 0)::numeric), 0)::text,
                           coalesce(sum(hashtextextended(r, 4711)::numeric), 0)::text
                    FROM (SELECT {row_text(columns)} AS r FROM ONLY {table.quoted}) t"""
            ) or (0, "0", "0")
        return Content(rows=rows, digest=f"{first}:{second}")

    async def stream_sorted_rows(self, table: Table, columns: tuple[str, ...]) -> AsyncGenerator[bytes, None]:
        """Yield the sorted rows one by one, as COPY writes them."""
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=4)

        async def produce() -> None:
            try:
                async with self.open_table(table) as connection:
                    await connection.copy_from_query(sorted_rows(table, columns), output=chunks.put)
            except Exception:
                await chunks.put(None)  # wakes the reader, who then meets the error; a cancelled one has no reader
                raise
            await chunks.put(None)

        producer = asyncio.create_task(produce())
        try:
            rest = b""
            while (chunk := await chunks.get()) is not None:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
            await producer
        finally:
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)


@asynccontextmanager
async def open_reader(dsn: str, snapshot: str | None = None) -> AsyncIterator[SnapshotReader]:
    """Hold a snapshot open, somebody else's or a new one, as long as the block runs."""
    async with connect(dsn) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        if snapshot is not None:
            await connection.execute("SET TRANSACTION SNAPSHOT " + quote_literal(snapshot))
        own_snapshot: str = await connection.fetchval("SELECT pg_export_snapshot()")
        tables = [
            Table(
                oid=row["oid"],
                schema=row["schema"],
                name=row["name"],
                pages=row["pages"],
                columns=tuple(row["columns"]),
                types=tuple(row["types"]),
            )
            for row in await connection.fetch(TABLES)
        ]
        yield SnapshotReader(dsn=dsn, snapshot=own_snapshot, tables={table.qualified: table for table in tables})


async def read_sequences(dsn: str) -> dict[str, Sequence]:
    """Read where all sequences stand now; sequences do not obey snapshots."""
    async with connect(dsn) as connection:
        rules = await connection.fetch(SEQUENCES)
        found: dict[str, Sequence] = {}
        for schema, name, *limits in rules:
            state = await connection.fetchrow(f"SELECT last_value, is_called FROM {quote(schema)}.{quote(name)}")
            assert state is not None, "a sequence has one row"
            found[f"{schema}.{name}"] = Sequence(f"{schema}.{name}", *limits, *state)
    return found


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Connection]:
    """Open a session whose texts do not depend on anybody's settings."""
    connection = await asyncpg.connect(dsn, server_settings=PINNED)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


def sorted_rows(table: Table, columns: tuple[str, ...]) -> str:
    """Write the query for all rows of a table as text, in the order of their bytes."""
    return f'SELECT {row_text(columns)} COLLATE "C" FROM ONLY {table.quoted} ORDER BY 1'


def row_text(columns: tuple[str, ...]) -> str:
    """Write the expression for a whole row as text; NULL and the empty string differ in it."""
    return f"ROW({', '.join(quote(column) for column in columns)})::text"


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a text value where none can be bound."""
    return "'" + text.replace("'", "''") + "'"
