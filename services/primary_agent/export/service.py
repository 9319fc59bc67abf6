"""Open exports: one for each component and standby, closed when done, replaced or forgotten by its reader."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.damage import note_damage
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.export.opening import OpenedExport, open_export
from services.primary_agent.export.worker import TableExport, TableWorker
from services.primary_agent.node.node import EnvelopeFields
from shared.clock import Clock
from shared.errors import CursorUnknown, ExportGone, NotFound, RequestError, TableRewritten, WarmstandbyError
from shared.postgres.dump import dump_definitions
from shared.postgres.large_objects import write_contents, write_named, write_object_list
from shared.postgres.sessions import translated
from shared.replication.model import (
    Column,
    Confirm,
    ExportedTable,
    ExportView,
    Manifest,
    OpenExport,
    SyncKind,
    TableDigest,
    TableMode,
    TableSent,
)
from shared.settings import Settings

_LOOK_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)

Sink = Callable[[bytes], Coroutine[Any, Any, None]]
WriteQuery = Callable[[str, Sink], Coroutine[Any, Any, None]]


class ExportingNode(Protocol):
    """What exports need to know of their node."""

    def require_exporting(self, caller: str) -> None:
        """Raise NotActive unless this node serves the application, or hands over to the caller."""

    def require_term(self, epoch: int) -> None:
        """Raise StaleTerm when the caller follows an older term."""

    def envelope(self) -> EnvelopeFields:
        """Return who speaks."""


@dataclass(slots=True)
class Sent:
    """What went out of one table."""

    rows: int = 0
    keys: int = 0
    bytes: int = 0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Export:
    """One open export."""

    id: str
    caller: str
    kind: SyncKind
    component: ComponentCapture
    opened: OpenedExport
    used_at: float
    is_closed: bool = False
    sent: dict[int, Sent] = field(default_factory=dict)
    busy: set[TableWorker] = field(default_factory=set)
    idle: list[TableWorker] = field(default_factory=list)
    holding: dict[int, TableWorker] = field(default_factory=dict)
    """Workers that shipped a table's keys and wait to ship its rows from the same list."""


class ExportService:
    """Opens exports and serves their parts."""

    def __init__(self, settings: Settings, clock: Clock, node: ExportingNode, capture: CaptureService) -> None:
        """Start without an export."""
        self._settings = settings
        self._clock = clock
        self._node = node
        self._capture = capture
        self._exports: dict[str, Export] = {}

    async def run(self) -> None:
        """Close exports that nobody reads from any more, also in the middle of a table; never returns."""
        try:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                limit = self._clock.monotonic() - self._settings.agent.export_idle_seconds
                for export in [export for export in self._exports.values() if export.used_at < limit]:
                    _log.warning(
                        "export closed, nobody reads from it", extra={"export": export.id, "caller": export.caller}
                    )
                    await self._close(export)
        finally:
            for export in list(self._exports.values()):
                await self._close(export)

    def envelope(self) -> EnvelopeFields:
        """Return who speaks."""
        return self._node.envelope()

    async def open(self, component_name: str, request: OpenExport, caller: str) -> Manifest:
        """Open an export; those that the caller left open for this component are closed."""
        self._node.require_exporting(caller)
        self._node.require_term(request.term)
        component = self._capture.component(component_name)
        await self._close_former(component, caller)
        await self._capture.prepare()
        try:
            opened = await open_export(component, request, caller, self._clock)
        except WarmstandbyError as error:
            note_damage(component, error)
            raise
        export = Export(secrets.token_hex(16), caller, request.kind, component, opened, self._clock.monotonic())
        self._exports[export.id] = export
        await self._close_former(component, caller, but=export)  # one that was still being opened for a dead caller
        _log.info(
            "export opened",
            extra={"export": export.id, "caller": caller, "component": component_name, "kind": request.kind.value},
        )
        return self._manifest(export)

    def view(self, export_id: str, caller: str) -> ExportView:
        """Return what was sent so far."""
        export = self.find(export_id, caller)
        return ExportView(
            **self._node.envelope(),
            export_id=export.id,
            component=export.component.component.name,
            kind=export.kind,
            point=export.opened.point,
            sent=tuple(
                TableSent(number=number, rows=sent.rows, keys=sent.keys, bytes=sent.bytes)
                for number, sent in sorted(export.sent.items())
            ),
        )

    async def close(self, export_id: str, caller: str) -> None:
        """Close an export; its snapshot is given back at once."""
        await self._close(self.find(export_id, caller))

    async def confirm(self, export_id: str, confirm: Confirm, caller: str) -> None:
        """Note that the caller has committed a point; works after the export is closed too. Idempotent."""
        await self._capture.prepare()
        export = self._exports.get(export_id)
        captures = self._capture.components.values() if export is None else [export.component]
        for component in captures:
            async with component.spool.session() as node:
                capture = await component.spool.find_capture(node)
                if capture is None or capture.capture_id != confirm.point.capture_id:
                    continue
                if await component.spool.find_point(node, capture, confirm.point) is None:
                    continue
                if await component.spool.confirm(node, capture, caller, confirm.point.seq):
                    component.is_trim_wanted = True
                    return
        raise CursorUnknown(f"this node did not make sync point {confirm.point.seq} for {caller}")

    async def copy_keys(self, export_id: str, number: int, caller: str, sink: Sink) -> None:
        """Write a table's changed keys (binary COPY of one bytea column); `copy_rows` then ships just their rows."""
        export = self.find(export_id, caller)
        table = self._table(export, number)
        if table.mode is not TableMode.DELTA:
            raise RequestError("this table is shipped whole; it has no list of keys")
        assert export.opened.since_snapshot is not None
        held = export.holding.pop(number, None)
        if held is not None:
            await held.close()
        async with self._working(export, f"table {table.table.qualified_name}") as worker:
            await worker.begin(table)
            await worker.load_keys(table, export.opened.capture, export.opened.since_snapshot)
            counted = _Counted(sink, export, self._clock)
            keys = await worker.copy_keys(counted)
            _refuse_closed(export)
            export.holding[number] = worker
            export.sent[number] = Sent(keys=keys, bytes=counted.bytes)

    async def copy_rows(self, export_id: str, number: int, caller: str, sink: Sink) -> None:
        """Write a table's rows (text COPY): all of them, or those of the keys shipped just before."""
        export = self.find(export_id, caller)
        table = self._table(export, number)
        if table.mode is TableMode.REFRESHED:
            raise RequestError("rows of a materialized view cannot be copied; the other node fills its own")
        held = export.holding.pop(number, None)
        if held is None and table.mode is TableMode.DELTA:
            raise RequestError("a table's changed keys are read before its rows, once each")
        async with self._working(export, f"table {table.table.qualified_name}", held) as worker:
            if table.mode is not TableMode.DELTA:
                await worker.begin(table)
            counted = _Counted(sink, export, self._clock)
            rows = await worker.copy_rows(table, counted)
            await self._put_back(export, worker)
            sent = export.sent.setdefault(number, Sent())
            sent.rows = rows
            sent.bytes += counted.bytes

    async def digest(self, export_id: str, number: int, caller: str) -> TableDigest:
        """Return what a compared table's rows come to; a view that was filled anew meanwhile has no digest."""
        export = self.find(export_id, caller)
        table = self._table(export, number)
        if table.mode not in (TableMode.COMPARED, TableMode.REFRESHED):
            raise RequestError("this table is not compared")
        async with self._working(export, f"table {table.table.qualified_name}") as worker:
            try:
                await worker.begin(table)
                found = await worker.digest(table)
            except TableRewritten as error:
                if table.mode is not TableMode.REFRESHED:
                    raise
                found = error.detail
            await self._put_back(export, worker)
        if isinstance(found, str):
            return TableDigest(**self._node.envelope(), row_count=None, hash_sum=None, problem=found)
        return TableDigest(**self._node.envelope(), row_count=found.row_count, hash_sum=found.hash_sum)

    async def copy_object_list(self, export_id: str, caller: str, sink: Sink) -> None:
        """Write what there is of large objects, with a digest of each one's content (binary COPY)."""
        await self._copy_objects(export_id, caller, write_object_list(), sink)

    async def copy_object_contents(self, export_id: str, caller: str, oids: Sequence[int], sink: Sink) -> None:
        """Write the content of large objects in pieces (binary COPY of oid, place, data)."""
        await self._copy_objects(export_id, caller, write_contents(write_named(oids)), sink)

    async def _copy_objects(self, export_id: str, caller: str, query: str, sink: Sink) -> None:
        export = self.find(export_id, caller)
        async with self._working(export, "large objects") as worker:
            session = await worker.begin_objects()
            await session.copy_from_query(query, output=_Counted(sink, export, self._clock), format="binary")
            await self._put_back(export, worker)

    async def _put_back(self, export: Export, worker: TableWorker) -> None:
        await worker.end()
        _refuse_closed(export)
        export.idle.append(worker)

    @asynccontextmanager
    async def querying(self, export: Export, table: TableExport) -> AsyncIterator[WriteQuery]:
        """Give a way to write a query's rows (binary COPY) about a table at the export's snapshot."""
        async with self._working(export, f"table {table.table.qualified_name}") as worker:
            await worker.begin(table)

            async def write(query: str, sink: Sink) -> None:
                await worker.copy_query(query, _Counted(sink, export, self._clock))

            yield write
            await worker.end()
            _refuse_closed(export)
            export.idle.append(worker)

    async def dump_schema(self, export_id: str, caller: str, sink: Sink) -> None:
        """Write the database's definitions as a pg_dump archive at the export's snapshot."""
        export = self.find(export_id, caller)
        await dump_definitions(
            self._settings.postgres,
            database=export.component.component.database,
            snapshot_id=export.opened.snapshot_id,
            server_version=export.opened.server_version,
            lock_timeout_seconds=self._settings.capture.lock_timeout_seconds,
            has_large_objects=export.kind is SyncKind.SEED,
            sink=_Counted(sink, export, self._clock),
        )

    def find(self, export_id: str, caller: str) -> Export:
        """Return an open export of the caller; raises ExportGone."""
        export = self._exports.get(export_id)
        if export is None or export.caller != caller:
            raise ExportGone("this export is not open (any more)")
        export.used_at = self._clock.monotonic()
        return export

    def _table(self, export: Export, number: int) -> TableExport:
        if not 0 <= number < len(export.opened.tables):
            raise NotFound(f"the manifest has no table {number}")
        return export.opened.tables[number]

    @asynccontextmanager
    async def _working(
        self, export: Export, what: str, worker: TableWorker | None = None
    ) -> AsyncIterator[TableWorker]:
        """Read by a worker; one that failed, or whose export was closed meanwhile, is ended."""
        if worker is None and export.idle:
            worker = export.idle.pop()
        if worker is None:
            worker = TableWorker(export.component, export.opened.snapshot_id, export.opened.encoding)
            await worker.open()
        export.busy.add(worker)
        try:
            with translated(f"reading {what}"):
                _refuse_closed(export)
                yield worker
        except BaseException:
            await worker.close()
            raise
        finally:
            export.busy.discard(worker)
            export.used_at = self._clock.monotonic()

    async def _close_former(self, component: ComponentCapture, caller: str, *, but: Export | None = None) -> None:
        for export in list(self._exports.values()):
            if export is not but and export.caller == caller and export.component is component:
                await self._close(export)

    async def _close(self, export: Export) -> None:
        if self._exports.pop(export.id, None) is None:
            return
        export.is_closed = True
        for worker in export.busy:
            worker.abort()
        for worker in [*export.idle, *export.holding.values()]:
            await worker.close()
        await export.opened.stack.aclose()

    def _manifest(self, export: Export) -> Manifest:
        opened = export.opened
        return Manifest(
            **self._node.envelope(),
            export_id=export.id,
            component=export.component.component.name,
            kind=export.kind,
            point=opened.point,
            snapshot_id=opened.snapshot_id,
            taken_at=opened.taken_at,
            encoding=opened.encoding,
            server_version=opened.server_version,
            tables=tuple(_to_wire(table) for table in opened.tables),
            sequences=opened.sequences,
            populated_views=opened.populated_views,
            large_objects=opened.large_objects,
            database=opened.database,
            unkept=opened.unkept,
            definitions_token=opened.definitions_token,
            schema_change=opened.schema_change,
            kept_lsn=opened.lsn,
            source=opened.source,
        )


class _Counted:
    """A sink that counts, and notes when its reader last took something."""

    def __init__(self, sink: Sink, export: Export, clock: Clock) -> None:
        self._sink = sink
        self._export = export
        self._clock = clock
        self.bytes = 0

    async def __call__(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        await self._sink(chunk)
        self._export.used_at = self._clock.monotonic()


def _refuse_closed(export: Export) -> None:
    if export.is_closed:
        raise ExportGone("the export was closed while it was read")


def _to_wire(export: TableExport) -> ExportedTable:
    table = export.table
    return ExportedTable(
        number=export.number,
        schema_name=table.schema_name,
        name=table.name,
        mode=export.mode,
        columns=tuple(
            Column(name=column.name, type=column.type, is_identity_always=column.is_identity_always)
            for column in export.shipped
        ),
        key=tuple(column.name for column in export.key_columns),
        key_count=export.key_count,
        estimated_rows=table.estimated_rows,
        estimated_bytes=table.estimated_bytes,
        counters=export.counters,
    )
