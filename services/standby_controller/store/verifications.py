"""The history of verifications: what was compared, what differed, and what of it still stands.

A verification is part of a sync and has its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.standby_controller.store.database import Database, Record, storable
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from services.standby_controller.store.records import Failure, SyncRecord, SyncResult, Trigger
from services.standby_controller.verify.model import Comparison, Difference, DifferenceKind, Order
from shared.errors import NotFound
from shared.postgres.queries import load_queries
from shared.replication.verification import Level

_QUERIES: Final = load_queries("services.standby_controller.store", "verifications.sql")


@dataclass(frozen=True, slots=True)
class FoundDifference:
    """A difference as it is recorded."""

    difference: Difference
    is_open: bool
    """No comparison has looked there since."""
    repaired_at: datetime | None


@dataclass(frozen=True, slots=True)
class VerifiedComponent:
    """How the comparison of one component ended."""

    component: str
    ended_at: datetime
    duration_seconds: float
    snapshot_at: datetime | None
    tables: int
    rows: int
    next_after: str | None
    problem: Failure | None
    differences: tuple[FoundDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """One verification; `id` is that of its sync."""

    node: str
    seq: int
    level: Level
    is_repairing: bool
    is_whole: bool
    """All tables were meant, none was passed over."""
    trigger: Trigger
    requested_by: str | None
    started_at: datetime
    ended_at: datetime | None
    sync_result: SyncResult
    failure: Failure | None
    components: tuple[VerifiedComponent, ...] = ()

    @property
    def id(self) -> str:
        """Return the id that the API shows."""
        return f"{self.node}.{self.seq:010d}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one component's copy."""

    compared_at: datetime | None = None
    """When all of it was compared last."""
    open_count: int = 0
    """Differences that stand."""


class Verifications:
    """Verifications of this node."""

    def __init__(self, database: Database, node: str) -> None:
        """Record as one node's."""
        self._database = database
        self._node = node

    async def begin(self, sync: SyncRecord, order: Order) -> None:
        """Record that a sync is to compare; again changes nothing."""
        is_whole = order.tables is None
        await self._database.execute(
            _QUERIES["begin_verification"], sync.node, sync.seq, order.level, order.is_repairing, is_whole
        )

    async def add(self, sync: SyncRecord, found: Comparison, now: datetime) -> None:
        """Record what one component came to, and close what was open and is looked at again; again changes nothing."""
        names = [one.name for one in found.differences if not one.is_repaired]
        has_looked_for_strange = found.level is Level.FULL and found.has_begun_anew
        async with self._database.transaction() as connection:
            added = await connection.fetchval(
                _QUERIES["add_component"],
                sync.node,
                sync.seq,
                found.component,
                now,
                found.seconds,
                found.snapshot_at,
                len(found.compared),
                found.rows,
                found.next_after,
                found.problem_code,
                None if found.problem_text is None else storable(found.problem_text),
            )
            if added is None:
                return
            await connection.execute(
                _QUERIES["close_differences"],
                sync.node,
                found.component,
                list(found.compared),
                names,
                now,
                has_looked_for_strange,
                found.level is Level.COUNTS,
            )
            for one in found.differences:
                await connection.execute(
                    _QUERIES["add_difference"], sync.node, sync.seq, found.component, *_values(one, now)
                )

    async def read(self, verification_id: str) -> VerificationRecord:
        """Return one verification with its differences; raises NotFound."""
        node, _, seq = verification_id.rpartition(".")
        row = None
        if node and "\0" not in node and seq.isascii() and seq.isdigit() and int(seq) < 2**63:
            row = await self._database.fetch_row(_QUERIES["read_verification"], node, int(seq))
        if row is None:
            raise NotFound(f"there is no verification {verification_id!r}")
        return (await self._with_components([_verification_of(row)]))[0]

    async def list_verifications(self, limit: int, cursor: str | None) -> Page[VerificationRecord]:
        """Return a page of verifications, newest first."""
        key: Sequence[Any] = (None, None, None) if cursor is None else decode_cursor(cursor, datetime, str, int)
        rows = await self._database.fetch(_QUERIES["list_verifications"], *key, limit + 1)
        found = await self._with_components([_verification_of(row) for row in rows[:limit]])
        last = found[-1] if len(rows) > limit else None
        return Page(found, None if last is None else encode_cursor(last.started_at, last.node, last.seq))

    async def standings(self, components: Iterable[str]) -> dict[str, Standing]:
        """Return what is known of each component's copy."""
        rows = await self._database.fetch(_QUERIES["read_standings"], self._node, list(components))
        return {row["component"]: Standing(row["compared_at"], row["open_count"]) for row in rows}

    async def _with_components(self, records: list[VerificationRecord]) -> tuple[VerificationRecord, ...]:
        if not records:
            return ()
        nodes, seqs = [one.node for one in records], [one.seq for one in records]
        differences: dict[tuple[str, int, str], list[FoundDifference]] = {}
        for row in await self._database.fetch(_QUERIES["read_differences"], nodes, seqs):
            differences.setdefault((row["node"], row["seq"], row["component"]), []).append(_difference_of(row))
        components: dict[tuple[str, int], list[VerifiedComponent]] = {}
        for row in await self._database.fetch(_QUERIES["read_components"], nodes, seqs):
            found = differences.get((row["node"], row["seq"], row["component"]), [])
            components.setdefault((row["node"], row["seq"]), []).append(_component_of(row, tuple(found)))
        return tuple(replace(one, components=tuple(components.get((one.node, one.seq), ()))) for one in records)


def _values(one: Difference, now: datetime) -> tuple[Any, ...]:
    keys = [None if key is None else storable(key) for key in (one.first_key, one.last_key)]
    counts = (one.rows_here, one.rows_there, one.missing, one.extra, one.changed)
    repaired_at = now if one.is_repaired else None
    return one.kind, storable(one.name), storable(one.text), *counts, *keys, one.is_expected, repaired_at


def _difference_of(row: Record) -> FoundDifference:
    return FoundDifference(
        Difference(
            kind=DifferenceKind(row["kind"]),
            name=row["name"],
            text=row["detail"],
            rows_here=row["rows_here"],
            rows_there=row["rows_there"],
            missing=row["missing"],
            extra=row["extra"],
            changed=row["changed"],
            first_key=row["first_key"],
            last_key=row["last_key"],
            is_expected=row["is_expected"],
            is_repaired=row["repaired_at"] is not None,
        ),
        row["is_open"],
        row["repaired_at"],
    )


def _component_of(row: Record, differences: tuple[FoundDifference, ...]) -> VerifiedComponent:
    return VerifiedComponent(
        component=row["component"],
        ended_at=row["ended_at"],
        duration_seconds=row["duration_seconds"],
        snapshot_at=row["snapshot_at"],
        tables=row["tables"],
        rows=row["rows"],
        next_after=row["next_after"],
        problem=None if row["code"] is None else Failure(row["code"], row["detail"] or "", ""),
        differences=differences,
    )


def _verification_of(row: Record) -> VerificationRecord:
    failure = None if row["code"] is None else Failure(row["code"], row["detail"] or "", row["hint"] or "")
    return VerificationRecord(
        node=row["node"],
        seq=row["seq"],
        level=Level(row["level"]),
        is_repairing=row["is_repairing"],
        is_whole=row["is_whole"],
        trigger=Trigger(row["trigger"]),
        requested_by=row["requested_by"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        sync_result=SyncResult(row["result"]),
        failure=failure,
    )
