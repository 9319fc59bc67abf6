"""A session that reads tables at an export's snapshot, one at a time, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import asyncpg

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.spool import Capture
from shared.errors import TableRewritten
from shared.postgres.catalog import Table, TableColumn
from shared.postgres.copy import copy_in, pipe_copy
from shared.postgres.digest import NO_DIGEST, Digest, digest_rows
from shared.postgres.keys import write_key_match, write_key_selection
from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session, translated
from shared.replication.model import TableMode

_QUERIES: Final = load_queries("services.primary_agent.export", "export.sql")
_HASH_SHARE: Final = 0.02
"""Share of a table's rows from which reading it through is cheaper than looking every key up."""

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class TableExport:
    """What a worker needs to know of a table."""

    number: int
    table: Table
    mode: TableMode
    columns: tuple[TableColumn, ...]
    key_operators: Mapping[str, str]
    key_count: int
    counters: str | None = None

    @property
    def shipped(self) -> tuple[TableColumn, ...]:
        """Return the columns that travel: those not generated."""
        return tuple(column for column in self.columns if not column.is_generated)

    @property
    def key_columns(self) -> tuple[TableColumn, ...]:
        """Return the key's columns in the table's order."""
        return tuple(column for column in self.columns if column.name in self.table.key)


class TableWorker:
    """One session; `begin` and `end` frame the reading of one table."""

    def __init__(self, capture: ComponentCapture, snapshot_id: str, encoding: str) -> None:
        """Connects in `open`."""
        self._capture = capture
        self._snapshot_id = snapshot_id
        self._encoding = encoding
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._node: Session | None = None
        self._has_key_table = False

    async def open(self) -> None:
        """Connect."""
        self._session = await self._stack.enter_async_context(self._capture.source.session())

    async def close(self) -> None:
        """End the session and whatever it was doing; repeatable."""
        self._session = self._node = None
        await self._stack.aclose()

    def abort(self) -> None:
        """Cut the session off, so that whoever reads by it fails and the snapshot is given back at once."""
        if self._session is not None:
            self._session.terminate()

    async def begin(self, export: TableExport) -> None:
        """Import the snapshot and see that the table is still the one of the snapshot.

        Raises TableRewritten when it was truncated or rewritten since, TableLocked when the application holds it.
        """
        session = self._use()
        if export.mode is TableMode.DELTA and not self._has_key_table:
            await session.execute(_QUERIES["make_key_table"])
            self._has_key_table = True
        name = export.table.qualified_name
        with translated(f"reading table {name}"):
            begin = _QUERIES["begin_view" if export.mode is TableMode.REFRESHED else "begin_worker"]
            snapshot_id = quote_literal(self._snapshot_id)
            try:
                await session.execute(begin.format(snapshot_id=snapshot_id, table=export.table.sql_name))
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.WrongObjectTypeError) as error:
                raise TableRewritten(f"table {name} was dropped or renamed during the export") from error
            except asyncpg.LockNotAvailableError:
                raise  # to the driver it is one of the next kind
            except asyncpg.ObjectNotInPrerequisiteStateError as error:
                raise TableRewritten(f"materialized view {name} was emptied during the export") from error
            filenode = await session.fetchval(_QUERIES["read_filenode"], export.table.oid, export.table.sql_name)
        if filenode != export.table.filenode:
            raise TableRewritten(f"table {name} was truncated, rewritten or replaced during the export")

    async def begin_objects(self) -> Session:
        """Import the snapshot for reading what lies in no table, and return the session."""
        await self._use().execute(_QUERIES["begin_reader"].format(snapshot_id=quote_literal(self._snapshot_id)))
        return self._use()

    async def digest(self, export: TableExport) -> Digest | str:
        """Return what the table's rows come to, or in words why that cannot be computed."""
        try:
            return await digest_rows(self._use(), f"ONLY {export.table.sql_name} AS t", export.shipped)
        except NO_DIGEST as error:
            return str(error)

    async def load_keys(self, export: TableExport, capture: Capture, since_snapshot: str) -> None:
        """Bring the table's changed keys from the spool, as they are committed now, into this session."""
        session = self._use()
        if self._node is None:
            self._node = await self._stack.enter_async_context(self._capture.spool.session())
        node = self._node
        await pipe_copy(
            lambda sink: self._capture.spool.copy_keys(node, capture, export.table.oid, since_snapshot, sink),
            partial(_copy_in, session),
        )

    async def copy_keys(self, sink: Sink) -> int:
        """Write the loaded keys to the sink (binary COPY, one bytea column) and return their number."""
        return await self._copy(_QUERIES["copy_keys"], sink, "binary")

    async def copy_rows(self, export: TableExport, sink: Sink) -> int:
        """Write the table's rows, or those with a loaded key, to the sink (text COPY) and return their number."""
        session = self._use()
        columns = ", ".join(f"t.{quote_identifier(column.name)}" for column in export.shipped)
        if export.mode is not TableMode.DELTA:
            query = _QUERIES["copy_all_rows"].format(columns=columns, table=export.table.sql_name)
            return await self._copy(query, sink, "text")
        if export.key_count > export.table.estimated_rows * _HASH_SHARE:
            await session.execute("SET LOCAL enable_nestloop = off")
        keys = export.key_columns
        names = [column.name for column in keys]
        selection = write_key_selection("pg_temp.export_keys", [column.type for column in keys], self._encoding)
        query = _QUERIES["copy_changed_rows"].format(
            columns=columns,
            table=export.table.sql_name,
            keys=selection,
            match=write_key_match(names, [export.key_operators[name] for name in names], table="t", keys="k"),
        )
        return await self._copy(query, sink, "text")

    async def copy_query(self, query: str, sink: Sink) -> None:
        """Write the rows of a query about the table to the sink (binary COPY)."""
        await self._copy(query, sink, "binary")

    async def end(self) -> None:
        """End the table's transaction, so that nothing is held longer than the reading took."""
        await self._use().execute("ROLLBACK")

    def _use(self) -> Session:
        assert self._session is not None, "open() comes first"
        return self._session

    async def _copy(self, query: str, sink: Sink, form: Literal["text", "binary"]) -> int:
        encoding = self._encoding if form == "text" else None
        result = await self._use().copy_from_query(query, output=sink, format=form, encoding=encoding)
        return int(result.split()[-1])


async def _copy_in(session: Session, chunks: AsyncIterator[bytes]) -> None:
    await copy_in(session, "export_keys", chunks, schema="pg_temp", form="binary")
