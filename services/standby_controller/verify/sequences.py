"""Whether sequences of a copy stand where the last sync left them, or farther."""

from __future__ import annotations

from services.standby_controller.apply.cursor import Cursor
from services.standby_controller.verify.model import Difference, DifferenceKind
from shared.postgres.sequences import farther, list_ranges, list_sequences
from shared.postgres.sessions import Session
from shared.replication.model import SequenceValue


async def find_sequences_behind(session: Session, cursor: Cursor | None) -> tuple[Difference, ...]:
    """Return the sequences that stand behind; looked for before a sync, which sets them right in passing.

    The source's have moved on since the last sync: only what that sync brought can be held against the copy.
    """
    if cursor is None:
        return ()
    present = {(value.schema_name, value.name): value for value in await list_sequences(session)}
    ranges = await list_ranges(session)
    found: list[Difference] = []
    for schema_name, name, last_value, is_called in cursor.sequences:
        brought = SequenceValue(schema_name=schema_name, name=name, last_value=last_value, is_called=is_called)
        here = present.get((schema_name, name))
        if here is None or here == brought or (schema_name, name) not in ranges:
            continue
        if farther(here, brought, ranges[schema_name, name]) == brought:
            text = f"it stood at {here.last_value}, the last sync had brought it to {last_value}"
            found.append(Difference(DifferenceKind.SEQUENCE, f"{schema_name}.{name}", text, is_repaired=True))
    return tuple(found)
