"""What the history of syncs holds: values, and how a row becomes one. No query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.clock_offset import ClockOffset
from services.standby_controller.policy.guards import Guard
from services.standby_controller.store.database import Record, storable
from shared.node.model import UnkeptTable
from shared.replication.model import SyncKind, SyncPoint


class SyncResult(StrEnum):
    """How a sync stands or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SUPERSEDED = "superseded"
    REFUSED_GUARD = "refused_guard"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_MAINTENANCE = "skipped_maintenance"
    HELD_CLOCK_SKEW = "held_clock_skew"

    @property
    def was_left_out(self) -> bool:
        """Say whether the schedule came to this sync and nothing was begun."""
        return self in _LEFT_OUT

    @property
    def is_failure(self) -> bool:
        """Say whether it was begun and did not come to its end by itself."""
        return self in (SyncResult.FAILED, SyncResult.INTERRUPTED)


_LEFT_OUT: Final = frozenset({SyncResult.SKIPPED_OVERLAP, SyncResult.SKIPPED_MAINTENANCE, SyncResult.HELD_CLOCK_SKEW})
RUNS: Final = tuple(result for result in SyncResult if result not in _LEFT_OUT)
"""Results of syncs that were begun."""


class Trigger(StrEnum):
    """What started a sync."""

    SCHEDULE = "schedule"
    REQUEST = "request"
    VERIFICATION = "verification"


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
    definitions: tuple[str, ...] = ()
    failure: Failure | None = None
    term_epoch: int | None = None
    """Of the source; known of last successes."""
    source: str | None = None
    """The node that was copied from; known of last successes."""
    duration_seconds: float | None = None
    """Monotonic; None of what earlier releases recorded."""
    snapshot_monotonic: float | None = None
    """When the snapshot was asked for, by this process; None of what another one copied."""

    @property
    def took_seconds(self) -> float:
        """Return how long it took, by the wall clock only where nothing better is known."""
        return took_seconds(self.duration_seconds, self.started_at, self.ended_at)


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
    offset: ClockOffset | None = None
    """How far the source's clock was from this node's when the sync began."""
    accepted: tuple[Guard, ...] = ()
    """What an administrator accepted for this sync alone."""
    duration_seconds: float | None = None
    """Monotonic; None while it runs, where the controller died, and of what earlier releases recorded."""

    @property
    def took_seconds(self) -> float | None:
        """Return how long it took, by the wall clock only where nothing better is known; None while it runs."""
        if self.ended_at is None:
            return None
        return took_seconds(self.duration_seconds, self.started_at, self.ended_at)

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
    source: str | None
    term_epoch: int | None
    offset: ClockOffset | None = None
    accepted: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncFilter:
    """Which syncs a list holds; None asks for anything."""

    results: tuple[SyncResult, ...] = ()
    trigger: Trigger | None = None
    component: str | None = None
    kind: SyncKind | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None


def took_seconds(monotonic_seconds: float | None, started_at: datetime, ended_at: datetime) -> float:
    """Return a duration: the monotonic one, else by a wall clock that somebody may have set meanwhile."""
    if monotonic_seconds is not None:
        return monotonic_seconds
    return max(0.0, (ended_at - started_at).total_seconds())


def record_of_outcome(
    outcome: ComponentOutcome,
    started_at: datetime,
    now: datetime,
    *,
    source: str,
    term_epoch: int,
    duration_seconds: float,
) -> ComponentRecord:
    """Return the record of a component that was brought to the active node's state."""
    return ComponentRecord(
        component=outcome.component,
        result=SyncResult.SUCCEEDED,
        started_at=started_at,
        ended_at=max(now, started_at),
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
        definitions=outcome.definitions,
        term_epoch=term_epoch,
        source=source,
        duration_seconds=duration_seconds,
        snapshot_monotonic=outcome.snapshot_monotonic,
    )


def sync_of(row: Record) -> SyncRecord:
    """Return the sync of a row of control.syncs."""
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
        offset=_offset(row),
        accepted=tuple(Guard(name) for name in row["accepted"] if name in set(Guard)),
        duration_seconds=row["duration_seconds"],
    )


def component_of(row: Record) -> ComponentRecord:
    """Return the component of a row of control.sync_components."""
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
        definitions=tuple(json.loads(row["definitions"])),
        failure=_failure(row),
        term_epoch=row.get("term_epoch"),
        source=row.get("source"),
        duration_seconds=row["duration_seconds"],
    )


def _offset(row: Record) -> ClockOffset | None:
    low, high = row["offset_low_seconds"], row["offset_high_seconds"]
    return None if low is None or high is None else ClockOffset(low, high)


def _failure(row: Record) -> Failure | None:
    return None if row["code"] is None else Failure(row["code"], row["detail"] or "", row["hint"] or "")


def failure_values(failure: Failure | None) -> tuple[str | None, str | None, str | None]:
    """Return the columns code, detail and hint."""
    if failure is None:
        return None, None, None
    return failure.code, storable(failure.detail), storable(failure.hint)
