"""The events that tell of a change of roles, made of the agent's journal afterwards. Pure.

The same entry gives the same events, key and epoch included.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.standby_controller.policy.transition_story import GIVEN_UP, LAST_ACTS
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from shared.node.model import JournalEntry


def events_of_entry(entry: JournalEntry, node: str, *, is_first: bool) -> Iterator[NewEvent]:
    """Yield what an entry of a node's journal is told as: the beginning, the end, or a failure on the way.

    `is_first` says that no entry of its transition came before it. A node that hands over is told of where it does so
    for: by the journal of the node that takes over.
    """
    if entry.kind not in LAST_ACTS:
        return
    data = {"transition_id": entry.transition_id, "kind": entry.kind, "step": entry.step, "node": node, **entry.data}
    told = entry.data.get("epoch")
    epoch = int(told) if isinstance(told, int) or (isinstance(told, str) and told.isascii() and told.isdigit()) else 0
    weight = Severity.INFO if entry.kind == "switchover" else Severity.CRITICAL

    def event(kind: EventKind, severity: Severity, text: str) -> NewEvent:
        key = f"{entry.transition_id}-{entry.seq}"  # the same, whoever reads the journal, and when
        return NewEvent(entry.at, kind, severity, entry.transition_id, text, data, key=f"{key}-{kind}", epoch=epoch)

    why = f": {entry.detail}" if entry.detail else ""
    if is_first:
        yield event(EventKind.TRANSITION_BEGUN, weight, f"A {entry.kind} of {node} begins{why}")
    if entry.step in GIVEN_UP:
        yield event(EventKind.TRANSITION_FAILED, Severity.WARNING, f"The {entry.kind} of {node} was given up{why}")
    elif entry.outcome == "failed":
        text = f"The {entry.kind} of {node} failed at {entry.step}{why}"
        yield event(EventKind.TRANSITION_FAILED, Severity.CRITICAL, text)
    elif entry.outcome == "done" and entry.step == LAST_ACTS[entry.kind]:
        became = "does not serve any more" if entry.kind == "fence" else "is active"
        yield event(EventKind.TRANSITION_DONE, weight, f"The {entry.kind} is done: {node} {became}")
