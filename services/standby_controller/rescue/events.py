"""The event that tells of what was saved, told until it is recorded: a death in between loses no word of it."""

from __future__ import annotations

from services.standby_controller.rescue.manifest import RescueKind, RescueManifest
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, Events, NewEvent


async def tell_rescues(shelf: Shelf, events: Events) -> bool:
    """Record an event for each rescue that has none, and say whether there was one; raises PostgresError.

    It is told again where the mark cannot be set: raises RescueUnwritable.
    """
    untold = await shelf.list_untold()
    for rescue in untold:
        await events.add(event_of_rescue(rescue))
        await shelf.mark_told(rescue.id)
    return bool(untold)


def event_of_rescue(rescue: RescueManifest) -> NewEvent:
    """Return what to tell of a rescue."""
    if rescue.kind is RescueKind.DATABASE:
        what = f"its database as it was, kept as {rescue.kept_database}"
    elif rescue.kind is RescueKind.FILES:
        what = f"{len(rescue.files)} files of {rescue.folder} that another node's replace or lack"
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
        "files": len(rescue.files),
    }
    return NewEvent(rescue.made_at, EventKind.RESCUE_SAVED, Severity.WARNING, rescue.id, text, data)
