"""The events that tell of a change of roles, made of the agent's journal afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.standby_controller.policy.transition_story import FENCE_ENDS, GIVEN_UP, PROMOTIONS
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from shared.node.model import JournalEntry

_DONE_AT: Final = {**dict.fromkeys(PROMOTIONS, "serve"), "fence": FENCE_ENDS}


def events_of_entry(entry: JournalEntry, node: str) -> Iterator[NewEvent]:
    """Yield what an entry of a node's journal is told as: the beginning, the end, or a failure on the way."""
    data = {"transition_id": entry.transition_id, "kind": entry.kind, "step": entry.step, "node": node, **entry.data}
    is_planned = entry.kind in ("switchover", "handover")

    def event(kind: EventKind, severity: Severity, text: str) -> NewEvent:
        return NewEvent(entry.at, kind, severity, entry.transition_id, text, data)

    why = f": {entry.detail}" if entry.detail else ""
    if entry.step == "asked":
        severity = Severity.INFO if is_planned else Severity.CRITICAL
        yield event(EventKind.TRANSITION_BEGUN, severity, f"A {entry.kind} of {node} begins{why}")
    elif entry.step in GIVEN_UP:
        text = f"The {entry.kind} of {node} was given up{why}"
        yield event(EventKind.TRANSITION_FAILED, Severity.WARNING, text)
    elif entry.outcome == "failed":
        text = f"The {entry.kind} of {node} failed at {entry.step}{why}"
        yield event(EventKind.TRANSITION_FAILED, Severity.CRITICAL, text)
    elif entry.outcome == "done" and entry.step == _DONE_AT.get(entry.kind):
        became = "does not serve any more" if entry.kind == "fence" else "is active"
        severity = Severity.INFO if is_planned else Severity.CRITICAL
        yield event(EventKind.TRANSITION_DONE, severity, f"The {entry.kind} is done: {node} {became}")
