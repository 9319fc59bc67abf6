"""What is told of an event: to which incident it belongs, whether a channel wants it, and when it goes out. Pure.

An incident is what people read as one story: a node that is lost and comes back, syncs that fail until one succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from services.standby_controller.severity import Severity


class Part(Enum):
    """What an event is to its incident."""

    OPENS = auto()
    CLOSES = auto()
    TELLS = auto()


class Default(Enum):
    """Whether a channel gets a kind that its settings do not name."""

    ON = auto()
    OFF = auto()
    RECOVERY = auto()  # only where it closes an incident that the channel has heard of


@dataclass(frozen=True, slots=True)
class Notice:
    """How a kind of event is told; title and topic may hold {subject}."""

    title: str
    topic: str
    part: Part
    default: Default = Default.ON


def _of(title: str, topic: str, part: Part = Part.TELLS, default: Default = Default.ON) -> Notice:
    return Notice(title, topic, part, default)


_OPENS, _CLOSES, _TELLS, _OFF = Part.OPENS, Part.CLOSES, Part.TELLS, Default.OFF

NOTICES: Final[Mapping[str, Notice]] = MappingProxyType(
    {
        "sync_succeeded": _of("a sync succeeded", "syncs", _CLOSES, Default.RECOVERY),
        "sync_failed": _of("a sync failed", "syncs", _OPENS),
        "sync_cancelled": _of("a sync was cancelled", "syncs", _TELLS, _OFF),
        "sync_interrupted": _of("a sync was interrupted", "syncs", _OPENS),
        "sync_skipped": _of("a sync was skipped", "skipped syncs", _OPENS),
        "sync_refused": _of("a guard stopped a sync", "syncs", _OPENS),
        "sync_held": _of("syncs are held", "held syncs", _OPENS),
        "peer_lost": _of("node {subject} does not answer", "peer {subject}", _OPENS),
        "peer_back": _of("node {subject} answers again", "peer {subject}", _CLOSES),
        "peer_refused": _of("node {subject} refuses", "peer {subject}", _OPENS),
        "peer_agent_down": _of("the agent of node {subject} is down", "peer {subject}", _OPENS),
        "peer_database_down": _of("the database of node {subject} is down", "peer {subject}", _OPENS),
        "peer_application_down": _of("the application on node {subject} is down", "peer {subject}", _OPENS),
        "self_isolated": _of("this node seems to be cut off", "peer {subject}", _OPENS),
        "agent_lost": _of("this node's agent does not answer", "agent", _OPENS),
        "agent_back": _of("this node's agent answers again", "agent", _CLOSES),
        "protected": _of("protected again", "protection", _CLOSES),
        "unprotected": _of("no standby would take over", "protection", _OPENS),
        "armed": _of("automatic failover is armed", "arming", _CLOSES),
        "disarmed": _of("automatic failover is disarmed", "arming", _OPENS),
        "maintenance_begun": _of("maintenance begins", "maintenance", _OPENS),
        "maintenance_ended": _of("maintenance is over", "maintenance", _CLOSES),
        "capture_broken": _of("changes of {subject} are not captured", "capture {subject}", _OPENS),
        "capture_mended": _of("changes of {subject} are captured again", "capture {subject}", _CLOSES),
        "subscriber_dropped": _of("nothing is kept for {subject} any more", "subscriber {subject}", _OPENS),
        "subscriber_back": _of("{subject} follows again", "subscriber {subject}", _CLOSES),
        "transition_begun": _of("a change of roles begins", "transition {subject}", _OPENS),
        "transition_done": _of("a change of roles is done", "transition {subject}", _CLOSES),
        "transition_failed": _of("a change of roles failed", "transition {subject}", _OPENS),
        "failover_refused": _of("a failover was refused", "failover refused", _OPENS),
        "rescue_saved": _of("data that one node alone had was saved", "rescue {subject}"),
        "rescue_discarded": _of("a rescue was discarded", "rescue {subject}"),
        "verification_failed": _of("the copy of {subject} is not what it should be", "verification {subject}", _OPENS),
        "verification_passed": _of(
            "the copy of {subject} was verified", "verification {subject}", _CLOSES, Default.RECOVERY
        ),
        "data_old": _of("the copy on {subject} is too old", "data age {subject}", _OPENS),
        "data_fresh": _of("the copy on {subject} is young again", "data age {subject}", _CLOSES),
        "clock_skew": _of("the clocks differ", "clock {subject}", _OPENS),
        "clock_well": _of("the clocks agree again", "clock {subject}", _CLOSES),
        "config_changed": _of("the configuration was changed", "configuration", _TELLS, _OFF),
        "config_overruled": _of("a change of the configuration was lost", "configuration"),
        "token_created": _of("an API token was made", "tokens", _TELLS, _OFF),
        "token_deleted": _of("an API token was deleted", "tokens", _TELLS, _OFF),
        "channel_failing": _of("notifications by {subject} do not arrive", "channel {subject}", _OPENS),
        "channel_working": _of("notifications by {subject} arrive again", "channel {subject}", _CLOSES),
        "notification_test": _of("a test of the notifications", "test", _TELLS, _OFF),
        "digest": _of("daily digest", "digest"),
    }
)
"""Every kind of event; some are told by other releases only."""

_OF_CHANNELS: Final = ("channel_failing", "channel_working")
_DIGEST: Final = "digest"
_ORDER: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
LONGEST_INCIDENT: Final = timedelta(days=7)
"""What has not ended by then is told as something new."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is judged of an event."""

    id: str
    kind: str
    severity: Severity
    subject: str | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a channel's settings say."""

    name: str
    min_severity: Severity = Severity.INFO
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incident:
    """What one channel has been told of a topic; `id` is that of the first event."""

    id: str
    is_open: bool
    begun_at: datetime
    last_at: datetime
    window_ends_at: datetime
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an event goes: its incident as it is now, and until when it is held back with others like it."""

    incident: Incident
    held_until: datetime | None


def notice_of(kind: str) -> Notice:
    """Return how a kind is told; one that is not known is told by its name."""
    return NOTICES.get(kind) or Notice(kind.replace("_", " "), kind, Part.TELLS)


def topic_of(event: Told) -> str:
    """Return what the event's incident is about."""
    return notice_of(event.kind).topic.format(subject=event.subject or "-")


def title_of(kind: str, subject: str | None) -> str:
    """Return in a few words what happened."""
    return notice_of(kind).title.format(subject=subject or "-")


def wants(wishes: Wishes, event: Told, incident: Incident | None) -> bool:
    """Say whether a channel gets an event, given what it was told of the topic so far.

    Whoever was told that something began is told that it is over, however little that matters. A channel is never asked
    to tell of itself.
    """
    if event.kind in wishes.exclude or (event.kind in _OF_CHANNELS and event.subject == wishes.name):
        return False
    notice = notice_of(event.kind)
    if event.kind in wishes.include or (notice.part is Part.CLOSES and incident is not None and incident.is_open):
        return True
    if event.kind == _DIGEST:
        return True
    return notice.default is Default.ON and _ORDER[event.severity] >= _ORDER[wishes.min_severity]


def place(event: Told, before: Incident | None, now: datetime, fold_seconds: float) -> Placed:
    """Return the incident of a wanted event, and until when it is held.

    The first event of each kind goes out at once. Others within the window wait for its end, and are then told as one;
    the window begins with the incident, and again with each event that goes out after it.
    """
    fold, part = timedelta(seconds=fold_seconds), notice_of(event.kind).part
    if before is None or _is_over(before, now, fold):
        fresh = Incident(event.id, part is Part.OPENS, now, now, now + fold, frozenset({event.kind}))
        return Placed(fresh, None)
    is_open = before.is_open if part is Part.TELLS else part is Part.OPENS
    incident = replace(before, is_open=is_open, last_at=now)
    if now >= before.window_ends_at:
        return Placed(replace(incident, window_ends_at=now + fold, kinds=frozenset({event.kind})), None)
    if event.kind not in before.kinds:
        return Placed(replace(incident, kinds=before.kinds | {event.kind}), None)
    return Placed(incident, before.window_ends_at)


def _is_over(incident: Incident, now: datetime, fold: timedelta) -> bool:
    if incident.is_open:
        return now - incident.begun_at > LONGEST_INCIDENT
    return now - incident.last_at > fold


def addressees(
    event: Told,
    channels: Sequence[Wishes],
    incidents: Mapping[tuple[str, str], Incident],
    now: datetime,
    fold_seconds: float,
) -> tuple[tuple[str, Placed], ...]:
    """Return which channels get an event and where it goes there; `incidents` are by channel and topic."""
    topic = topic_of(event)
    return tuple(
        (one.name, place(event, incidents.get((one.name, topic)), now, fold_seconds))
        for one in channels
        if wants(one, event, incidents.get((one.name, topic)))
    )
