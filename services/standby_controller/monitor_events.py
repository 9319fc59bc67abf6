"""What the monitor tells of a node as events: which change is told, and in what words. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.policy.clock_offset import ClockLimits, ClockOffset, Skew
from services.standby_controller.policy.clock_words import describe_offset, name_wrong_clock
from services.standby_controller.policy.detector import Diagnosis, FailureKind
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from shared.clock import format_instant
from shared.node.model import State

_TOLD: Final[Mapping[FailureKind, tuple[EventKind, Severity, str]]] = MappingProxyType(
    {
        FailureKind.WELL: (EventKind.PEER_BACK, Severity.INFO, "answers again"),
        FailureKind.SILENT: (EventKind.PEER_LOST, Severity.CRITICAL, "does not answer"),
        FailureKind.SELF_ISOLATED: (
            EventKind.SELF_ISOLATED,
            Severity.CRITICAL,
            "does not answer, and no reference target does: this node seems to be cut off",
        ),
        FailureKind.AGENT_DOWN: (
            EventKind.PEER_AGENT_DOWN,
            Severity.CRITICAL,
            "runs, but its agent does not answer",
        ),
        FailureKind.DATABASE_DOWN: (EventKind.PEER_DATABASE_DOWN, Severity.CRITICAL, "has no healthy database"),
        FailureKind.APPLICATION_DOWN: (
            EventKind.PEER_APPLICATION_DOWN,
            Severity.CRITICAL,
            "has no healthy application",
        ),
        FailureKind.REFUSED_US: (EventKind.PEER_REFUSED, Severity.WARNING, "refuses"),
        FailureKind.PROTOCOL: (EventKind.PEER_REFUSED, Severity.WARNING, "answers wrongly"),
    }
)


def kind_to_tell(facts: NodeFacts, diagnosis: Diagnosis) -> FailureKind | None:
    """Return what is worth telling of a node now; None where nothing is certain and the last word stands."""
    if facts.reach is Reach.REFUSED:
        return FailureKind.REFUSED_US if diagnosis.kind is not FailureKind.PROTOCOL else FailureKind.PROTOCOL
    if facts.is_own:
        return {Reach.LOST: FailureKind.SILENT, Reach.ANSWERING: FailureKind.WELL}.get(facts.reach)
    if diagnosis.is_certain:
        return diagnosis.kind
    is_well = facts.reach is Reach.ANSWERING and diagnosis.kind is FailureKind.WELL
    return FailureKind.WELL if is_well else None


def is_news(kind: FailureKind, told: FailureKind) -> bool:
    """Say whether there is another event to tell: one who refuses and answers wrongly is told once."""
    return _TOLD[kind][0] is not _TOLD[told][0]


def trouble_event(facts: NodeFacts, kind: FailureKind, now: datetime) -> NewEvent:
    """Return the event that tells what is wrong with a node, or that it is well again."""
    event_kind, severity, what = _TOLD[kind]
    if facts.is_own:
        own = {EventKind.PEER_BACK: EventKind.AGENT_BACK, EventKind.PEER_LOST: EventKind.AGENT_LOST}
        event_kind = own.get(event_kind, event_kind)
    who = "This node's agent" if facts.is_own else f"Node {facts.node_id}"
    seen = facts.problem.detail if facts.problem else facts.series.looks[-1].detail if facts.series.looks else ""
    seen = "" if kind is FailureKind.WELL else seen
    return NewEvent(now, event_kind, severity, facts.node_id, f"{who} {what}" + (f": {seen}" if seen else ""))


def capture_events(before: NodeFacts, after: NodeFacts, now: datetime) -> Iterator[NewEvent]:
    """Yield an event for each component whose changes the active node no longer captures, or captures again."""
    if after.present is None or after.state is not State.ACTIVE:
        return
    who = "This node's agent" if after.is_own else f"Node {after.node_id}"
    broken_before, broken_after = before.broken_captures(), after.broken_captures()
    for component in sorted(broken_after.keys() - broken_before.keys()):
        text = f"{who} does not capture the changes of {component}: {broken_after[component]}"
        yield NewEvent(now, EventKind.CAPTURE_BROKEN, Severity.WARNING, component, text)
    for component in sorted(broken_before.keys() - broken_after.keys()):
        text = f"{who} captures the changes of {component} again"
        yield NewEvent(now, EventKind.CAPTURE_MENDED, Severity.INFO, component, text)


def subscriber_events(before: NodeFacts, after: NodeFacts, now: datetime) -> Iterator[NewEvent]:
    """Yield an event for each standby that the active node keeps nothing for any more, or keeps changes for again.

    A dropped one is told once, whoever sees it how often: the event's key says which absence it is.
    """
    if after.present is None or after.state is not State.ACTIVE:
        return
    absent_before, absent_after = before.absent_subscribers(), after.absent_subscribers()
    for (component, node_id), seen_at in sorted(absent_after.items() - absent_before.items()):
        seen = format_instant(seen_at)
        text = (
            f"Node {node_id} was not seen since {seen}: node {after.node_id} keeps no changes of {component} for it "
            "any more, and its next sync is a full copy"
        )
        key = f"subscriber {component} {node_id} {seen}"
        yield NewEvent(now, EventKind.SUBSCRIBER_DROPPED, Severity.WARNING, node_id, text, key=key)
    known_before, known_after = before.capture_ids(), after.capture_ids()
    for component, node_id in sorted(absent_before.keys() - absent_after.keys()):
        if known_before.get(component) != known_after.get(component):
            continue  # a new capture has never heard of it
        text = f"Node {node_id} follows component {component} of node {after.node_id} again"
        yield NewEvent(now, EventKind.SUBSCRIBER_BACK, Severity.INFO, node_id, text)


def clock_event(
    own: NodeFacts, peer: NodeFacts, offset: ClockOffset, skew: Skew, limits: ClockLimits, now: datetime
) -> NewEvent:
    """Return the event that tells how far a peer's clock is from ours, or that it is no longer worth a word."""
    data = {"low_seconds": round(offset.low_seconds, 6), "high_seconds": round(offset.high_seconds, 6)}
    what = describe_offset(peer.node_id, offset)
    if skew is Skew.NONE:
        text = f"{what}, and that is not over monitor.offset_warning_seconds ({limits.warning_seconds:g})"
        return NewEvent(now, EventKind.CLOCK_WELL, Severity.INFO, peer.node_id, text, data)
    is_critical = skew is Skew.EXCESSIVE
    wrong = name_wrong_clock(peer.node_id, own.is_clock_synchronised, peer.is_clock_synchronised)
    held = " Syncs are held (monitor.clock_skew_policy)." if is_critical and limits.is_holding else ""
    severity = Severity.CRITICAL if is_critical else Severity.WARNING
    return NewEvent(now, EventKind.CLOCK_SKEW, severity, peer.node_id, f"{what}. {wrong.text}{held}", data)
