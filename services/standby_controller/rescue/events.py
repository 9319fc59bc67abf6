"""The event that tells of what was saved. Pure."""

from __future__ import annotations

from services.standby_controller.rescue.manifest import RescueKind, RescueManifest
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent


def event_of_rescue(rescue: RescueManifest) -> NewEvent:
    """Return what to tell of a rescue."""
    if rescue.kind is RescueKind.DATABASE:
        what = f"its database as it was, kept as {rescue.kept_database}"
    else:
        what = f"{rescue.rows} rows of {sum(1 for table in rescue.tables if table.rows)} tables"
        what += f" and the names of {len(rescue.prepared)} prepared transactions" if rescue.prepared else ""
    text = f"What only node {rescue.node_id} had of component {rescue.component} was saved: {what}"
    data = {
        "kind": rescue.kind.value,
        "component": rescue.component,
        "rows": rescue.rows,
        "term_epoch": rescue.term_epoch,
        "tables": {f"{table.schema_name}.{table.name}": table.rows for table in rescue.tables if table.rows},
        "prepared": len(rescue.prepared),
        "kept_database": rescue.kept_database,
    }
    return NewEvent(rescue.made_at, EventKind.RESCUE_SAVED, Severity.WARNING, rescue.id, text, data)
