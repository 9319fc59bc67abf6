"""The events that tell what a verification found. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.verify.model import Comparison, Difference
from shared.replication.verification import Level

_MOST_NAMED: Final = 5


def events_of_comparison(found: Comparison, sync_id: str, now: datetime, *, had_open: bool) -> tuple[NewEvent, ...]:
    """Return what to tell: what differs, and that nothing does any more, or that all was compared and is equal."""
    told: list[NewEvent] = []
    wrong = [one for one in found.differences if not one.is_expected]
    data: dict[str, object] = {
        "verification": sync_id,
        "level": found.level.value,
        "tables": len(found.compared),
        "rows": found.rows,
        "differences": [_data_of(one) for one in wrong[:_MOST_NAMED]],
        "difference_count": len(wrong),
        "problem": found.problem_code,
    }
    if wrong:
        stands = [one for one in wrong if not one.is_repaired]
        severity = Severity.CRITICAL if stands else Severity.WARNING
        text = f"The copy of component {found.component} differs: {_name(stands or wrong)}"
        told.append(_event(now, EventKind.VERIFICATION_FAILED, severity, found, text, data))
    elif found.problem_text is not None:
        text = f"The copy of component {found.component} could not be compared: {found.problem_text}"
        told.append(_event(now, EventKind.VERIFICATION_FAILED, Severity.WARNING, found, text, data))
        return tuple(told)
    is_whole = found.level is Level.FULL and found.next_after is None
    if found.is_clean and found.problem_text is None and (wrong or had_open or is_whole):
        done = "was repaired" if wrong or had_open else "is equal to its source"
        text = f"The copy of component {found.component} {done}: {len(found.compared)} tables, {found.rows} rows"
        told.append(_event(now, EventKind.VERIFICATION_PASSED, Severity.INFO, found, text, data))
    return tuple(told)


def _event(
    now: datetime, kind: EventKind, severity: Severity, found: Comparison, text: str, data: dict[str, object]
) -> NewEvent:
    return NewEvent(now, kind, severity, found.component, text, data)


def _name(differences: list[Difference]) -> str:
    named = "; ".join(f"{one.kind} of {one.name}: {one.text}" for one in differences[:_MOST_NAMED])
    more = len(differences) - _MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _data_of(one: Difference) -> dict[str, object]:
    return {
        "kind": one.kind.value,
        "name": one.name,
        "rows_here": one.rows_here,
        "rows_there": one.rows_there,
        "first_key": one.first_key,
        "last_key": one.last_key,
        "is_repaired": one.is_repaired,
    }
