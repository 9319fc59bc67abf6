"""The history of syncs: begun before anything is done, ended with a result and a reason, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.errors import NotFound, SyncRunning
from shared.node.model import UnkeptTable
from shared.postgres.queries import load_queries
from shared.replication.model import SyncKind, SyncPoint

_QUERIES: Final = load_queries("services.standby_controller.store", "history.sql")
_INTERRUPTED: Final = (
    "controller_died",
    "the controller ended while the sync was running",
    "Nothing needs cleaning by hand; the next sync goes on from what is committed.",
)


class SyncResult(StrEnum):
    """How a sync stands or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Trigger(StrEnum):
    """What started a sync."""

    SCHEDULE = "schedule"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not succeed: stable code, sentence, and what to do."""

    code: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class ComponentRecord:
    """How the sync of one component ended."""

    component: str
    result: SyncResult
    started_at: datetime
    ended_at: datetime
    kind: SyncKind | None = None
    reason: str | None = None
    snapshot_at: datetime | None = None
    point: SyncPoint | None = None
    rows: int = 0
    keys: int = 0
    bytes: int = 0
    rows_per_table: dict[str, int] | None = None
    seconds_per_phase: dict[str, float] | None = None
    unkept: tuple[UnkeptTable, ...] = ()
    drift: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """One sync; `id` sorts within its node."""

    node: str
    seq: int
    trigger: Trigger
    requested_by: str | None
    source: str | None
    term_epoch: int | None
    started_at: datetime
    ended_at: datetime | None
    result: SyncResult
    failure: Failure | None
    components: tuple[ComponentRecord, ...] = ()

    @property
    def id(self) -> str:
        """Return the id that the API shows."""
        return f"{self.node}.{self.seq:010d}"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What is known of a sync when it begins."""

    trigger: Trigger
    requested_by: str | None
    idempotency_key: str | None
    source: str
    term_epoch: int


@dataclass(frozen=True, slots=True)
class SyncFilter:
    """Which syncs a list holds; None asks for anything."""

    results: tuple[SyncResult, ...] = ()
    trigger: Trigger | None = None
    component: str | None = None
    kind: SyncKind | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None


class History:
    """Syncs of this node."""

    def __init__(self, database: Database, node: str) -> None:
        """Keep the history of one node; others are only read."""
        self._database = database
        self._node = node

    async def find_idempotent(self, key: str) -> SyncRecord | None:
        """Return the sync that this key has started."""
        row = await self._database.fetch_row(_QUERIES["find_idempotent"], self._node, key)
        return None if row is None else _sync(row)

    async def begin(self, request: SyncRequest, now: datetime) -> tuple[SyncRecord, bool]:
        """Record a sync as running and say whether it is new; the same idempotency key gives the same sync again.

        Raises SyncRunning.
        """
        async with self._database.transaction() as connection:
            key = request.idempotency_key
            if key is not None:
                row = await connection.fetchrow(_QUERIES["find_idempotent"], self._node, key)
                if row is not None:
                    return _sync(row), False
            row = await connection.fetchrow(
                _QUERIES["begin_sync"],
                self._node,
                request.trigger,
                request.requested_by,
                key,
                request.source,
                request.term_epoch,
                now,
            )
            if row is not None:
                return _sync(row), True
            running = await connection.fetchrow(_QUERIES["find_running"], self._node)
            raise SyncRunning(f"sync {_sync(running).id} is running" if running else "a sync is running")

    async def add_success(
        self, sync: SyncRecord, outcome: ComponentOutcome, started_at: datetime, now: datetime
    ) -> None:
        """Record a component as brought to the active node's state."""
        await self.add_component(
            sync,
            ComponentRecord(
                component=outcome.component,
                result=SyncResult.SUCCEEDED,
                started_at=started_at,
                ended_at=now,
                kind=outcome.kind,
                reason=outcome.reason,
                snapshot_at=outcome.snapshot_at,
                point=outcome.point,
                rows=outcome.rows,
                keys=outcome.keys,
                bytes=outcome.bytes,
                rows_per_table=outcome.rows_per_table,
                seconds_per_phase=outcome.seconds_per_phase,
                unkept=outcome.unkept,
                drift=outcome.drift,
            ),
        )

    async def add_component(self, sync: SyncRecord, record: ComponentRecord) -> None:
        """Record how one component ended; again for the same sync and component changes nothing."""
        changed_tables = {name: rows for name, rows in (record.rows_per_table or {}).items() if rows}
        failure = record.failure
        await self._database.execute(
            _QUERIES["add_component"],
            sync.node,
            sync.seq,
            record.component,
            record.result,
            record.kind,
            record.reason,
            record.started_at,
            record.ended_at,
            record.snapshot_at,
            None if record.point is None else record.point.model_dump_json(),
            record.rows,
            record.keys,
            record.bytes,
            json.dumps(changed_tables),
            json.dumps(record.seconds_per_phase or {}),
            json.dumps([table.model_dump() for table in record.unkept]),
            json.dumps(record.drift),
            *_failure_values(failure),
        )

    async def end(self, sync: SyncRecord, result: SyncResult, failure: Failure | None, now: datetime) -> None:
        """Record how a running sync ended; again changes nothing."""
        ended_at = max(now, sync.started_at)
        await self._database.execute(
            _QUERIES["end_sync"], sync.node, sync.seq, result, ended_at, *_failure_values(failure)
        )

    async def interrupt_orphans(self, now: datetime) -> tuple[SyncRecord, ...]:
        """End what a dead controller of this node left running, and return it."""
        rows = await self._database.fetch(_QUERIES["interrupt_orphans"], self._node, now, *_INTERRUPTED)
        return tuple(_sync(row) for row in rows)

    async def read(self, sync_id: str) -> SyncRecord:
        """Return one sync with the rows of each table; raises NotFound."""
        node, _, seq = sync_id.rpartition(".")
        row = None
        if node and "\0" not in node and seq.isascii() and seq.isdigit() and int(seq) < 2**63:
            row = await self._database.fetch_row(_QUERIES["read_sync"], node, int(seq))
        if row is None:
            raise NotFound(f"there is no sync {sync_id!r}")
        return (await self._with_components([_sync(row)], with_tables=True))[0]

    async def list_syncs(self, wanted: SyncFilter, limit: int, cursor: str | None) -> Page[SyncRecord]:
        """Return a page of syncs, newest first, without the rows of each table."""
        key: Sequence[Any] = (None, None, None) if cursor is None else decode_cursor(cursor, datetime, str, int)
        rows = await self._database.fetch(
            _QUERIES["list_syncs"],
            *key,
            list(wanted.results) or None,
            wanted.trigger,
            wanted.started_from,
            wanted.started_before,
            wanted.component,
            wanted.kind,
            limit + 1,
        )
        syncs = await self._with_components([_sync(row) for row in rows[:limit]], with_tables=False)
        last = syncs[-1] if len(rows) > limit else None
        return Page(syncs, None if last is None else encode_cursor(last.started_at, last.node, last.seq))

    async def last_successes(self, components: Iterable[str]) -> dict[str, ComponentRecord]:
        """Return the last successful sync of each component, without those that have none."""
        rows = await self._database.fetch(_QUERIES["last_successes"], self._node, list(components))
        return {row["component"]: _component(row) for row in rows}

    async def trim(self, now: datetime, keep_days: int) -> int:
        """Forget what is older than the limit, except the last success of each component."""
        return await self._database.execute(_QUERIES["trim_syncs"], self._node, now - timedelta(days=keep_days))

    async def _with_components(self, syncs: list[SyncRecord], *, with_tables: bool) -> tuple[SyncRecord, ...]:
        if not syncs:
            return ()
        nodes, seqs = [sync.node for sync in syncs], [sync.seq for sync in syncs]
        rows = await self._database.fetch(_QUERIES["read_components"], nodes, seqs, with_tables)
        found: dict[tuple[str, int], list[ComponentRecord]] = {}
        for row in rows:
            found.setdefault((row["node"], row["seq"]), []).append(_component(row))
        return tuple(replace(sync, components=tuple(found.get((sync.node, sync.seq), ()))) for sync in syncs)


def _sync(row: Record) -> SyncRecord:
    return SyncRecord(
        node=row["node"],
        seq=row["seq"],
        trigger=Trigger(row["trigger"]),
        requested_by=row["requested_by"],
        source=row["source"],
        term_epoch=row["term_epoch"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        result=SyncResult(row["result"]),
        failure=_failure(row),
    )


def _component(row: Record) -> ComponentRecord:
    return ComponentRecord(
        component=row["component"],
        result=SyncResult(row["result"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        kind=None if row["kind"] is None else SyncKind(row["kind"]),
        reason=row["reason"],
        snapshot_at=row["snapshot_at"],
        point=None if row["point"] is None else SyncPoint.model_validate_json(row["point"]),
        rows=row["rows"],
        keys=row["keys"],
        bytes=row["bytes"],
        rows_per_table=json.loads(row["rows_per_table"]),
        seconds_per_phase=json.loads(row["seconds_per_phase"]),
        unkept=tuple(UnkeptTable.model_validate(item) for item in json.loads(row["unkept"])),
        drift=tuple(json.loads(row["drift"])),
        failure=_failure(row),
    )


def _failure(row: Record) -> Failure | None:
    return None if row["code"] is None else Failure(row["code"], row["detail"] or "", row["hint"] or "")


def _failure_values(failure: Failure | None) -> tuple[str | None, str | None, str | None]:
    return (None, None, None) if failure is None else (failure.code, failure.detail, failure.hint)
