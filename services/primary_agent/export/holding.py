"""All tables at an export's snapshot, and digests of their rows: what a copy is compared with.

The export may ship nothing of a table: whatever stands at its snapshot can be asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from services.primary_agent.capture.source import PUBLICATION
from services.primary_agent.export.service import Export, ExportService, Sink, WriteQuery
from services.primary_agent.export.worker import TableExport
from shared.errors import NotFound, RequestError
from shared.postgres.catalog import TableColumn, list_columns, list_tables
from shared.postgres.digest import write_hashes, write_parts
from shared.postgres.queries import load_queries, quote_literal
from shared.postgres.sessions import Session, translated
from shared.replication.model import Column, TableMode
from shared.replication.verification import HeldTable, Holding

_QUERIES: Final = load_queries("services.primary_agent.export", "export.sql")


@dataclass(frozen=True, slots=True)
class _Held:
    """The tables that stand at an export's snapshot, by number."""

    told: tuple[HeldTable, ...]
    exports: tuple[TableExport, ...]


class HoldingService:
    """Answers for all tables of open exports."""

    def __init__(self, exports: ExportService) -> None:
        """Know nothing of any export yet."""
        self._exports = exports
        self._held: WeakKeyDictionary[Export, _Held] = WeakKeyDictionary()

    async def list_tables(self, export_id: str, caller: str) -> Holding:
        """Return every table that held data at the snapshot."""
        export = self._exports.find(export_id, caller)
        held = await self._read(export)
        return Holding(**self._exports.envelope(), export_id=export.id, tables=held.told)

    async def copy_digests(
        self, export_id: str, number: int, caller: str, sink: Sink, *, bits: int, has_hashes: bool
    ) -> None:
        """Write part, row count and sum of hashes of a table's parts (binary COPY) to the sink."""
        async with self._reading(export_id, number, caller) as (table, write):
            columns, key = _columns(table)
            query = write_parts(_rows(table), columns, key, bits=bits, has_hashes=has_hashes)
            await write(query, sink)

    async def copy_hashes(
        self, export_id: str, number: int, caller: str, sink: Sink, *, bits: int, parts: Sequence[int]
    ) -> None:
        """Write key and hash of the rows of some parts (binary COPY) to the sink; of all where none is named."""
        async with self._reading(export_id, number, caller) as (table, write):
            columns, key = _columns(table)
            if not key:
                raise RequestError("this table has no usable key; its rows have no names")
            await write(write_hashes(_rows(table), columns, key, bits=bits, parts=parts), sink)

    @asynccontextmanager
    async def _reading(self, export_id: str, number: int, caller: str) -> AsyncIterator[tuple[TableExport, WriteQuery]]:
        """Give a table at the snapshot, and the way to send a query's rows."""
        export = self._exports.find(export_id, caller)
        held = await self._read(export)
        if not 0 <= number < len(held.exports):
            raise NotFound(f"the export holds no table {number}")
        table = held.exports[number]
        async with self._exports.querying(export, table) as write:
            yield table, write

    async def _read(self, export: Export) -> _Held:
        known = self._held.get(export)
        if known is None:
            component = export.component
            async with component.source.session() as session:
                with translated(f"listing tables of component {component.component.name}"):
                    known = await self._look(session, export)
            self._held[export] = known
        return known

    async def _look(self, session: Session, export: Export) -> _Held:
        snapshot_id = quote_literal(export.opened.snapshot_id)
        await session.execute(_QUERIES["begin_reader"].format(snapshot_id=snapshot_id))
        tables = [table for table in await list_tables(session, PUBLICATION) if table.holds_data]
        columns = await list_columns(session, [table.oid for table in tables]) if tables else {}
        await session.execute("ROLLBACK")
        exports = tuple(
            TableExport(number, table, TableMode.WHOLE, columns.get(table.oid, ()), {}, 0)
            for number, table in enumerate(tables)
        )
        unkept = {table.name for table in export.opened.unkept}
        told = tuple(
            _to_wire(
                one,
                is_followed=export.component.is_followed(table),
                is_kept=table.qualified_name not in unkept,
            )
            for one, table in zip(exports, tables, strict=True)
        )
        return _Held(told, exports)


def _columns(table: TableExport) -> tuple[tuple[TableColumn, ...], tuple[TableColumn, ...]]:
    return table.shipped, table.key_columns if table.table.is_keyed else ()


def _rows(table: TableExport) -> str:
    return f"ONLY {table.table.sql_name} AS t"


def _to_wire(one: TableExport, *, is_followed: bool, is_kept: bool) -> HeldTable:
    columns, key = _columns(one)
    return HeldTable(
        number=one.number,
        schema_name=one.table.schema_name,
        name=one.table.name,
        columns=tuple(
            Column(name=column.name, type=column.type, is_identity_always=column.is_identity_always)
            for column in columns
        ),
        key=tuple(column.name for column in key),
        is_followed=is_followed,
        is_kept=is_kept,
        estimated_rows=one.table.estimated_rows,
    )
