"""The events that tell of a sync that has ended, or was left out. Pure."""

from __future__ import annotations

from datetime import datetime

from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.records import SyncRecord, SyncResult
from shared.clock import format_instant


def event_of_sync(record: SyncRecord, now: datetime) -> NewEvent:
    """Return what to tell of a sync that has ended."""
    ended_at = record.ended_at or now
    rows, size = sum(item.rows for item in record.components), sum(item.bytes for item in record.components)
    seconds = record.took_seconds or 0.0
    detail = record.failure.detail if record.failure else "no reason given"
    data = {
        "rows": rows,
        "bytes": size,
        "seconds": round(seconds, 3),
        "code": record.failure.code if record.failure else None,
    }
    match record.result:
        case SyncResult.SUCCEEDED:
            kind, severity = EventKind.SYNC_SUCCEEDED, Severity.INFO
            text = f"Sync {record.id} succeeded: {rows} rows in {seconds:.1f} s"
        case SyncResult.CANCELLED:
            kind, severity, text = EventKind.SYNC_CANCELLED, Severity.INFO, f"Sync {record.id} was cancelled: {detail}"
        case SyncResult.SUPERSEDED:
            kind, severity = EventKind.SYNC_CANCELLED, Severity.INFO
            text = f"Sync {record.id} ended because the roles changed: {detail}"
        case SyncResult.INTERRUPTED:
            kind, severity = EventKind.SYNC_INTERRUPTED, Severity.WARNING
            text = f"Sync {record.id} was interrupted: {detail}"
        case SyncResult.REFUSED_GUARD:
            kind, severity = EventKind.SYNC_REFUSED, Severity.CRITICAL
            text = f"Sync {record.id} was stopped, nothing was applied: {detail}"
        case _:
            kind, severity, text = EventKind.SYNC_FAILED, Severity.WARNING, f"Sync {record.id} failed: {detail}"
    return NewEvent(ended_at, kind, severity, record.id, text, data)


def event_of_left_out(record: SyncRecord, due_at: datetime) -> NewEvent:
    """Return what to tell of a run of the schedule that was left out."""
    detail = record.failure.detail if record.failure else "no reason given"
    text = f"The sync due at {format_instant(due_at)} was left out: {detail}"
    code = record.failure.code if record.failure else None
    data = {"due_at": format_instant(due_at), "result": record.result.value, "code": code}
    return NewEvent(record.started_at, EventKind.SYNC_SKIPPED, Severity.WARNING, record.id, text, data)
