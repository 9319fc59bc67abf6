"""Syncs as the API shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.standby_controller.api.wire import Answer, Demand, FailureAnswer, Instant
from services.standby_controller.policy.guards import Guard
from services.standby_controller.progress import ProgressView
from services.standby_controller.running_sync import RunningSync
from services.standby_controller.store.records import ComponentRecord, SyncRecord, SyncResult, Trigger
from shared.node.model import UnkeptTable
from shared.replication.model import SyncKind, SyncPhase

Accepted = Annotated[
    tuple[Annotated[Guard, Field(strict=False)], ...],
    Field(strict=False, max_length=len(Guard), description="Guards that do not stop this sync; you vouch for it."),
]


class SyncDemand(Demand):
    """What a sync may be told."""

    accept: Accepted = ()


class SyncProgress(Answer):
    """Where a running sync is."""

    phase: SyncPhase
    component: str | None = Field(description="The component at work.")
    kind: SyncKind | None = Field(description="How it is synced; null until the export is open.")
    tables_done: int
    tables_total: int | None
    current_tables: tuple[str, ...]
    rows_done: int = Field(description="Rows written for this component so far.")
    bytes_done: int = Field(description="Bytes received for this component so far.")
    bytes_total: int | None = Field(description="An estimate.")
    bytes_per_second: float | None
    seconds_in_phase: float
    eta_seconds: float | None = Field(description="Seconds until all bytes are here, at the present rate.")
    cancelling: bool = Field(description="A cancellation was asked for.")

    @classmethod
    def of(cls, view: ProgressView, *, cancelling: bool) -> SyncProgress:
        """Return the answer for a running sync."""
        return cls(
            phase=view.phase,
            component=view.component,
            kind=view.kind,
            tables_done=view.tables_done,
            tables_total=view.tables_total,
            current_tables=view.current_tables,
            rows_done=view.rows_done,
            bytes_done=view.bytes_done,
            bytes_total=view.bytes_total,
            bytes_per_second=view.bytes_per_second,
            seconds_in_phase=round(view.seconds_in_phase, 3),
            eta_seconds=view.eta_seconds,
            cancelling=cancelling,
        )


class SyncComponent(Answer):
    """How the sync of one component ended."""

    component: str
    result: SyncResult
    kind: SyncKind | None
    reason: str | None = Field(description="Why everything was copied again; null for a delta.")
    started_at: Instant
    ended_at: Instant
    duration_seconds: float
    snapshot_at: Instant | None = Field(description="The moment of the active node that the copy shows now.")
    rows: int = Field(description="Rows inserted, changed or deleted.")
    keys: int = Field(description="Changed keys that came with a delta.")
    bytes: int = Field(description="Bytes received.")
    rows_per_table: dict[str, int] | None = Field(description="Tables with rows; null in lists.")
    seconds_per_phase: dict[str, float]
    unkept: tuple[UnkeptTable, ...] = Field(description="What a delta cannot keep current, with the reason.")
    definitions: tuple[str, ...] = Field(description="What of the definitions changed with it, in words.")
    failure: FailureAnswer | None

    @classmethod
    def of(cls, record: ComponentRecord, *, with_tables: bool) -> SyncComponent:
        """Return the answer for a component."""
        return cls(
            component=record.component,
            result=record.result,
            kind=record.kind,
            reason=record.reason,
            started_at=record.started_at,
            ended_at=record.ended_at,
            duration_seconds=record.took_seconds,
            snapshot_at=record.snapshot_at,
            rows=record.rows,
            keys=record.keys,
            bytes=record.bytes,
            rows_per_table=(record.rows_per_table or {}) if with_tables else None,
            seconds_per_phase=record.seconds_per_phase or {},
            unkept=record.unkept,
            definitions=record.definitions,
            failure=FailureAnswer.of(record.failure),
        )


class SyncAnswer(Answer):
    """One sync."""

    id: str
    result: SyncResult
    trigger: Trigger
    requested_by: str | None = Field(description="Name of the token that asked for it.")
    source: str | None = Field(description="The node that was copied from.")
    started_at: Instant
    ended_at: Instant | None
    duration_seconds: float | None = Field(description="By the monotonic clock, so that no step of a clock is in it.")
    offset_low_seconds: float | None = Field(
        description="When it began, the source's clock minus this node's was at least this."
    )
    offset_high_seconds: float | None = Field(description="… and at most this.")
    rows: int
    keys: int
    bytes: int
    accepted: tuple[Guard, ...] = Field(description="Guards that did not stop it, because somebody vouched for it.")
    failure: FailureAnswer | None
    components: tuple[SyncComponent, ...]
    progress: SyncProgress | None = Field(description="Null when the sync has ended.")

    @classmethod
    def of(cls, record: SyncRecord, *, with_tables: bool = False, progress: SyncProgress | None = None) -> SyncAnswer:
        """Return the answer for a sync."""
        return cls(
            id=record.id,
            result=record.result,
            trigger=record.trigger,
            requested_by=record.requested_by,
            source=record.source,
            started_at=record.started_at,
            ended_at=record.ended_at,
            duration_seconds=record.took_seconds,
            offset_low_seconds=None if record.offset is None else record.offset.low_seconds,
            offset_high_seconds=None if record.offset is None else record.offset.high_seconds,
            rows=sum(item.rows for item in record.components),
            keys=sum(item.keys for item in record.components),
            bytes=sum(item.bytes for item in record.components),
            accepted=record.accepted,
            failure=FailureAnswer.of(record.failure),
            components=tuple(SyncComponent.of(item, with_tables=with_tables) for item in record.components),
            progress=progress,
        )


def progress_of(running: RunningSync, now_monotonic: float) -> SyncProgress:
    """Return where a running sync is."""
    return SyncProgress.of(running.progress.view(now_monotonic), cancelling=running.cancelled_by is not None)
