"""The history of syncs: begun before anything is done, ended with a result and a reason, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from services.standby_controller.policy.sync_pace import RunDuration
from services.standby_controller.store.database import Database
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from services.standby_controller.store.records import (
    ComponentRecord,
    Failure,
    SyncFilter,
    SyncRecord,
    SyncRequest,
    SyncResult,
    component_of,
    failure_values,
    sync_of,
)
from shared.errors import NotFound, SyncRunning
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "history.sql")
_INTERRUPTED: Final = (
    "controller_died",
    "the controller ended while the sync was running",
    "Nothing needs cleaning by hand; the next sync goes on from what is committed.",
)


class History:
    """Syncs of the pair; those recorded here are this node's."""

    def __init__(self, database: Database, node: str) -> None:
        """Record syncs as one node's; others are only read."""
        self._database = database
        self._node = node

    async def find_idempotent(self, key: str) -> SyncRecord | None:
        """Return the sync that this key has started."""
        row = await self._database.fetch_row(_QUERIES["find_idempotent"], self._node, key)
        return None if row is None else sync_of(row)

    async def begin(self, request: SyncRequest, now: datetime) -> tuple[SyncRecord, bool]:
        """Record a sync as running and say whether it is new; the same idempotency key gives the same sync again.

        Raises SyncRunning.
        """
        async with self._database.transaction() as connection:
            key = request.idempotency_key
            if key is not None:
                row = await connection.fetchrow(_QUERIES["find_idempotent"], self._node, key)
                if row is not None:
                    return sync_of(row), False
            row = await connection.fetchrow(
                _QUERIES["begin_sync"],
                self._node,
                request.trigger,
                request.requested_by,
                key,
                request.source,
                request.term_epoch,
                now,
                None if request.offset is None else request.offset.low_seconds,
                None if request.offset is None else request.offset.high_seconds,
                list(request.accepted),
            )
            if row is not None:
                return sync_of(row), True
            running = await connection.fetchrow(_QUERIES["find_running"], self._node)
            raise SyncRunning(f"sync {sync_of(running).id} is running" if running else "a sync is running")

    async def add_left_out(
        self, result: SyncResult, failure: Failure, source: str | None, term_epoch: int | None, now: datetime
    ) -> SyncRecord:
        """Record a run of the schedule that was left out, and return it."""
        row = await self._database.fetch_row(
            _QUERIES["add_left_out"], self._node, source, term_epoch, now, result, *failure_values(failure)
        )
        assert row is not None, "an INSERT returns its row"
        return sync_of(row)

    async def read_durations(self, since: datetime, limit: int) -> tuple[RunDuration, ...]:
        """Return how long the last successful syncs of the pair took, newest first."""
        rows = await self._database.fetch(_QUERIES["read_durations"], since, limit)
        return tuple(RunDuration(row["started_at"], row["seconds"], row["is_seed"]) for row in rows)

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
            json.dumps(record.definitions),
            *failure_values(failure),
            record.duration_seconds,
        )

    async def end(
        self,
        sync: SyncRecord,
        result: SyncResult,
        failure: Failure | None,
        now: datetime,
        duration_seconds: float | None = None,
    ) -> None:
        """Record how a running sync ended; again changes nothing."""
        ended_at = max(now, sync.started_at)
        await self._database.execute(
            _QUERIES["end_sync"], sync.node, sync.seq, result, ended_at, *failure_values(failure), duration_seconds
        )

    async def interrupt_orphans(self, now: datetime) -> tuple[SyncRecord, ...]:
        """End what a dead controller of this node left running, and return it."""
        rows = await self._database.fetch(_QUERIES["interrupt_orphans"], self._node, now, *_INTERRUPTED)
        return tuple(sync_of(row) for row in rows)

    async def read(self, sync_id: str) -> SyncRecord:
        """Return one sync with the rows of each table; raises NotFound."""
        node, _, seq = sync_id.rpartition(".")
        row = None
        if node and "\0" not in node and seq.isascii() and seq.isdigit() and int(seq) < 2**63:
            row = await self._database.fetch_row(_QUERIES["read_sync"], node, int(seq))
        if row is None:
            raise NotFound(f"there is no sync {sync_id!r}")
        return (await self._with_components([sync_of(row)], with_tables=True))[0]

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
        syncs = await self._with_components([sync_of(row) for row in rows[:limit]], with_tables=False)
        last = syncs[-1] if len(rows) > limit else None
        return Page(syncs, None if last is None else encode_cursor(last.started_at, last.node, last.seq))

    async def last_successes(self, components: Iterable[str]) -> dict[str, ComponentRecord]:
        """Return the last successful sync of each component, without those that have none."""
        rows = await self._database.fetch(_QUERIES["last_successes"], self._node, list(components))
        return {row["component"]: component_of(row) for row in rows}

    async def trim(self, now: datetime, keep_days: int) -> int:
        """Forget what is older than the limit, except the last success of each component."""
        return await self._database.execute(_QUERIES["trim_syncs"], now - timedelta(days=keep_days))

    async def _with_components(self, syncs: list[SyncRecord], *, with_tables: bool) -> tuple[SyncRecord, ...]:
        if not syncs:
            return ()
        nodes, seqs = [sync.node for sync in syncs], [sync.seq for sync in syncs]
        rows = await self._database.fetch(_QUERIES["read_components"], nodes, seqs, with_tables)
        found: dict[tuple[str, int], list[ComponentRecord]] = {}
        for row in rows:
            found.setdefault((row["node"], row["seq"]), []).append(component_of(row))
        return tuple(replace(sync, components=tuple(found.get((sync.node, sync.seq), ()))) for sync in syncs)
