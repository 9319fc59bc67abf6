"""How an export is opened: snapshot first, then barrier, then an ordinary drain, then the sync point.

Decoded is not visible and visible is not decoded, so the order matters: whatever is visible in the snapshot is decoded
before the keys are counted, and visibility decides later what may be trimmed, never what is shipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import asyncpg

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.drain import CaptureLost
from services.primary_agent.capture.look import list_definitions, read_states, take_look
from services.primary_agent.capture.spool import Capture, KnownPoint
from services.primary_agent.export.compared import Uncaptured, look_uncaptured
from services.primary_agent.export.identity import identify_source
from services.primary_agent.export.worker import TableExport
from shared.clock import Clock
from shared.errors import CaptureNotReady, CursorTrimmed, CursorUnknown, RequestError, SchemaChanged
from shared.node.model import CaptureState, UnkeptTable
from shared.postgres.catalog import (
    Table,
    describe_database,
    describe_server,
    list_columns,
    list_key_operators,
    list_shapes_before,
    read_definitions_token,
)
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import (
    DatabaseProperties,
    OpenExport,
    SequenceValue,
    SourceIdentity,
    SyncKind,
    SyncPoint,
    TableMode,
    TableName,
)
from shared.replication.plan import (
    DeltaPlan,
    PlannedTable,
    TableStates,
    is_grown,
    list_grown,
    list_mostly_changed,
    plan_delta,
    widen,
)

_QUERIES: Final = load_queries("services.primary_agent.export", "export.sql")
_COUNTING_SECONDS: Final = 5.0
"""Meanwhile nothing is drained, and a large table's count is only worth it where it is soon done."""


@dataclass(frozen=True, slots=True)
class OpenedExport:
    """An export's fixed content; `stack` holds the leader's session, and with it the snapshot."""

    stack: AsyncExitStack
    capture: Capture
    snapshot_id: str
    taken_at: datetime
    encoding: str
    server_version: int
    point: SyncPoint
    since_snapshot: str | None
    lsn: str
    tables: tuple[TableExport, ...]
    sequences: tuple[SequenceValue, ...]
    populated_views: tuple[TableName, ...]
    large_objects: int
    database: DatabaseProperties
    unkept: tuple[UnkeptTable, ...]
    definitions_token: str
    schema_change: str | None
    source: SourceIdentity


async def open_export(component: ComponentCapture, request: OpenExport, caller: str, clock: Clock) -> OpenedExport:
    """Take a snapshot and fix what the export carries.

    Raises CaptureNotReady, CursorUnknown, CursorTrimmed, SchemaChanged, what the databases refuse; holds nothing then.
    """
    if request.kind is SyncKind.DELTA and request.since is None:
        raise RequestError("a delta needs `since`, the sync point that the copy stands at")
    _refuse_while_preparing(component)
    async with AsyncExitStack() as stack, component.lock, component.spool.session() as node:
        leader = await stack.enter_async_context(component.source.session())
        is_published = await component.source.identify_publication(leader) is not None
        if component.facts.state is not CaptureState.READY or not is_published:
            await component.ensure()
        counters = (
            await _list_counters(component) if request.tells_counters else {}
        )  # what comes later moves them again
        look = await take_look(component, leader, node, clock)
        async with component.drainer.sessions() as (application, _):
            lsn = await component.source.take_barrier(application)
        capture = await _drain(component, lsn)
        states = await read_states(leader, look)
        uncaptured = await look_uncaptured(component, leader, look.tables, also=request.compared)
        component.facts.unkept = uncaptured.unkept
        since = schema_change = None
        if request.kind is SyncKind.DELTA:
            assert request.since is not None
            since = await _find_since(component, node, capture, request.since)
            plan = await _plan(component, leader, node, capture, since, states, look.tables, request)
            planned = _add_whole(_add_compared(list(plan.tables), uncaptured), look.tables, request.whole)
            schema_change = plan.schema_change
        elif request.kind is SyncKind.SEED:
            planned = [PlannedTable(table.oid, TableMode.WHOLE) for table in look.tables if table.holds_data]
        else:
            planned = []
        tables = await _describe(leader, component, look.tables, planned, counters)
        version, encoding, _ = await describe_server(leader)
        point = await component.spool.add_point(node, capture, snapshot=look.snapshot, lsn=lsn, states=states)
        if since is None:
            await component.spool.begin_seeding(node, capture, caller, point.seq)
        else:
            await component.spool.see_subscriber(node, capture, caller, since.seq)
        async with component.drainer.sessions() as (application, _):
            sequences = await component.sequences.read(application)
        return OpenedExport(
            capture=capture,
            snapshot_id=look.snapshot_id,
            taken_at=look.taken_at,
            encoding=encoding,
            server_version=version,
            point=point,
            since_snapshot=None if since is None else since.snapshot,
            lsn=lsn,
            tables=tables,
            sequences=sequences,
            populated_views=uncaptured.populated_views,
            large_objects=uncaptured.large_objects,
            database=await describe_database(leader),
            unkept=uncaptured.unkept,
            definitions_token=await read_definitions_token(leader, look.tables),
            schema_change=schema_change,
            source=await identify_source(leader, has_size=request.kind is SyncKind.SEED),
            stack=stack.pop_all(),
        )


def _refuse_while_preparing(component: ComponentCapture) -> None:
    """Answer at once while the slot waits for open transactions, which may take hours."""
    if component.facts.state is CaptureState.PREPARING:
        problem = component.facts.problem
        raise CaptureNotReady(problem.text if problem else "capture is being made")


async def _drain(component: ComponentCapture, lsn: str) -> Capture:
    try:
        return await component.drainer.drain(lsn)
    except CaptureLost as error:
        await component.lose(error)
        raise CursorUnknown(error.detail) from error


async def _find_since(component: ComponentCapture, node: Session, capture: Capture, since: SyncPoint) -> KnownPoint:
    if since.capture_id != capture.capture_id:
        raise CursorUnknown("the standby's sync point belongs to another capture")
    if since.seq < capture.trimmed_seq:
        raise CursorTrimmed(
            f"changes are kept since sync point {capture.trimmed_seq}, the standby stands at {since.seq}"
        )
    found = await component.spool.find_point(node, capture, since)
    if found is None:
        raise CursorUnknown(f"this node did not make sync point {since.seq} (or was restored to a time before it)")
    return found


async def _plan(
    component: ComponentCapture,
    leader: Session,
    node: Session,
    capture: Capture,
    since: KnownPoint,
    states: TableStates,
    tables: Sequence[Table],
    request: OpenExport,
) -> DeltaPlan:
    pending = await component.spool.count_keys(node, capture, since.snapshot)
    plan = plan_delta(
        since.states,
        states,
        pending,
        list_definitions(component, tables),
        brings_definitions=request.brings_definitions,
        grown=await _find_grown(leader, since.states, states) if request.brings_definitions else (),
    )
    if plan.schema_change is not None and plan.is_refused:
        raise SchemaChanged(plan.schema_change)
    if not request.may_widen:
        return plan
    return replace(plan, tables=widen(plan.tables, await _find_mostly_changed(component, plan.tables, tables)))


async def _find_mostly_changed(
    component: ComponentCapture, planned: Sequence[PlannedTable], tables: Sequence[Table]
) -> list[int]:
    """Return the tables of which most rows changed; the server's estimates may be old, so such tables are counted.

    Not for long, and not where somebody holds them: their keys do as well, only slower.
    """
    likely = list_mostly_changed(planned, {table.oid: table.estimated_rows for table in tables})
    if not likely:
        return []
    names = {table.oid: table.sql_name for table in tables}
    rows: dict[int, int] = {}
    async with component.source.session() as session:
        with suppress(TimeoutError, asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            async with asyncio.timeout(_COUNTING_SECONDS):
                for oid in likely:
                    rows[oid] = await session.fetchval(_QUERIES["count_rows"].format(table=names[oid]))
    return list_mostly_changed(planned, rows)


async def _find_grown(leader: Session, before: TableStates, now: TableStates) -> frozenset[int]:
    """Return the tables that have but more columns than before, all of them empty in the rows of then."""
    counts = list_grown(before, now)
    if not counts:
        return frozenset()
    shapes = await list_shapes_before(leader, counts)
    return frozenset(oid for oid, columns in shapes.items() if is_grown(before.tables[oid], now.tables[oid], columns))


def _add_compared(planned: list[PlannedTable], uncaptured: Uncaptured) -> list[PlannedTable]:
    """Compare what is not captured, but not what goes whole anyway; a table asked for goes by its digest alone."""
    whole = {item.oid for item in planned if item.mode is TableMode.WHOLE}
    compared = [item for item in uncaptured.planned if item.oid not in whole]
    others = {item.oid for item in compared}
    return [*(item for item in planned if item.oid not in others), *compared]


def _add_whole(planned: list[PlannedTable], tables: Sequence[Table], whole: Sequence[TableName]) -> list[PlannedTable]:
    """Ship tables whole that the standby asks for: its seed could not copy them."""
    wanted = {(name.schema_name, name.name) for name in whole}
    asked = {table.oid for table in tables if (table.schema_name, table.name) in wanted and table.holds_data}
    kept = [item for item in planned if item.oid not in asked]
    return [*(PlannedTable(oid, TableMode.WHOLE, reason="the seed left it out") for oid in sorted(asked)), *kept]


async def _list_counters(component: ComponentCapture) -> dict[int, str]:
    """Return what the server counted of rows written to each table, by oid."""
    async with component.drainer.sessions() as (application, _):
        return {row["oid"]: row["counters"] for row in await application.fetch(_QUERIES["list_counters"])}


async def _describe(
    leader: Session,
    component: ComponentCapture,
    tables: Sequence[Table],
    planned: Sequence[PlannedTable],
    counters: Mapping[int, str],
) -> tuple[TableExport, ...]:
    by_oid = {table.oid: table for table in tables}
    columns = await list_columns(leader, [item.oid for item in planned]) if planned else {}
    indexes = [by_oid[item.oid].key_index for item in planned if item.mode is TableMode.DELTA]
    operators = await list_key_operators(leader, [index for index in indexes if index is not None]) if indexes else {}
    return tuple(
        TableExport(
            number=number,
            table=by_oid[item.oid],
            mode=item.mode,
            columns=columns.get(item.oid, ()),
            key_operators=operators.get(item.oid, {}),
            key_count=item.key_count,
            counters=_join_counters(by_oid[item.oid], counters) if item.mode is TableMode.COMPARED else None,
        )
        for number, item in enumerate(planned)
    )


def _join_counters(table: Table, counters: Mapping[int, str]) -> str | None:
    """Return the counters of a table with what tells of changes that they do not count: a new file, other columns."""
    counted = counters.get(table.oid)
    return None if counted is None else f"{table.oid}:{table.filenode}:{table.token}:{counted}"
