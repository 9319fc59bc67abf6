"""What happened, for people and for notifications: append-only, with ids (node, seq) that are the pair's.

Those of other nodes come later than their time; who reads on does so by `change`, the order in which they came here.
An event is told once, however often it is recorded: its key says which one it is.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from services.standby_controller.severity import Severity
from services.standby_controller.store.database import Connection, Database, Record, storable, storable_json
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.errors import CursorInvalid
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "events.sql")


class EventKind(StrEnum):
    """What an event is about; a kind never changes once released."""

    SYNC_SUCCEEDED = "sync_succeeded"
    SYNC_FAILED = "sync_failed"
    SYNC_CANCELLED = "sync_cancelled"
    SYNC_INTERRUPTED = "sync_interrupted"
    SYNC_SKIPPED = "sync_skipped"
    SYNC_REFUSED = "sync_refused"
    PEER_LOST = "peer_lost"
    PEER_BACK = "peer_back"
    PEER_REFUSED = "peer_refused"
    PEER_AGENT_DOWN = "peer_agent_down"
    PEER_DATABASE_DOWN = "peer_database_down"
    PEER_APPLICATION_DOWN = "peer_application_down"
    SELF_ISOLATED = "self_isolated"
    DATA_OLD = "data_old"
    DATA_FRESH = "data_fresh"
    CLOCK_SKEW = "clock_skew"
    CLOCK_WELL = "clock_well"
    PROTECTED = "protected"
    UNPROTECTED = "unprotected"
    ARMED = "armed"
    DISARMED = "disarmed"
    MAINTENANCE_BEGUN = "maintenance_begun"
    MAINTENANCE_ENDED = "maintenance_ended"
    AGENT_LOST = "agent_lost"
    AGENT_BACK = "agent_back"
    CAPTURE_BROKEN = "capture_broken"
    CAPTURE_MENDED = "capture_mended"
    SUBSCRIBER_DROPPED = "subscriber_dropped"
    SUBSCRIBER_BACK = "subscriber_back"
    TRANSITION_BEGUN = "transition_begun"
    TRANSITION_DONE = "transition_done"
    TRANSITION_FAILED = "transition_failed"
    RESCUE_SAVED = "rescue_saved"
    RESCUE_DISCARDED = "rescue_discarded"
    VERIFICATION_FAILED = "verification_failed"
    VERIFICATION_PASSED = "verification_passed"
    CONFIG_CHANGED = "config_changed"
    CONFIG_OVERRULED = "config_overruled"
    TOKEN_CREATED = "token_created"
    TOKEN_DELETED = "token_deleted"
    CHANNEL_FAILING = "channel_failing"
    CHANNEL_WORKING = "channel_working"
    NOTIFICATION_TEST = "notification_test"
    DIGEST = "digest"
    FAILOVER_REFUSED = "failover_refused"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it is recorded; `subject` is the sync, peer or component it is about."""

    at: datetime
    kind: EventKind
    severity: Severity
    subject: str | None
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)
    """Names the event among those of its node: what is told twice has the same."""
    epoch: int | None = None
    """That of the term then; None for the present one."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A recorded event."""

    node: str
    seq: int
    event: NewEvent
    change: int
    """Its place in the order in which events came to this database."""

    @property
    def id(self) -> str:
        """Return the id that the API shows."""
        return f"{self.node}.{self.seq:010d}"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a list holds; None asks for anything."""

    kind: EventKind | None = None
    severity: Severity | None = None
    subject: str | None = None


class Events:
    """Events of the pair; those recorded here are this node's."""

    def __init__(self, database: Database, node: str, epoch: Callable[[], int] = lambda: 0) -> None:
        """Record events as one node's; `epoch` is that of the present term."""
        self._database = database
        self._node = node
        self._epoch = epoch

    def stamped(self, event: NewEvent) -> NewEvent:
        """Return the event as it can be kept anywhere, with the epoch of the present term unless it has one."""
        return replace(
            event,
            subject=None if event.subject is None else storable(event.subject),
            text=storable(event.text),
            data=json.loads(storable_json(event.data)),
            epoch=self._epoch() if event.epoch is None else event.epoch,
        )

    async def add(self, event: NewEvent, connection: Connection | None = None) -> None:
        """Record an event and that it has to be told, in the caller's transaction where one is given; repeatable."""
        event = self.stamped(event)
        values = (
            self._node,
            event.key,
            event.epoch,
            event.at,
            event.kind,
            event.severity,
            event.subject,
            event.text,
            json.dumps(event.data),
        )
        if connection is None:
            await self._database.execute(_QUERIES["add_event"], *values)
        else:
            await connection.execute(_QUERIES["add_event"], *values)

    async def list_events(self, wanted: EventFilter, limit: int, cursor: str | None) -> Page[EventRecord]:
        """Return a page of events, newest first."""
        key = (None, None, None) if cursor is None else decode_cursor(cursor, datetime, str, int)
        rows = await self._database.fetch(
            _QUERIES["list_events_backwards"], *key, wanted.kind, wanted.severity, wanted.subject, limit + 1
        )
        records = tuple(map(event_of, rows[:limit]))
        last = records[-1] if len(rows) > limit else None
        return Page(records, None if last is None else encode_cursor(last.event.at, last.node, last.seq))

    async def place_of(self, event_id: str) -> int:
        """Return the place of an event in the order here; of one that is not here, the place before it.

        Raises CursorInvalid for an id of another shape.
        """
        node, _, seq = event_id.rpartition(".")
        if not node or "\0" in node or not (seq.isascii() and seq.isdigit()) or int(seq) >= 2**63:
            raise CursorInvalid(f"{event_id!r} is not the id of an event")
        row = await self._database.fetch_row(_QUERIES["find_place"], node, int(seq))
        return 0 if row is None else int(row["change"])

    async def last_place(self) -> int:
        """Return the place of the newest event."""
        row = await self._database.fetch_row(_QUERIES["last_place"])
        return 0 if row is None else row["change"] or 0

    async def list_after(self, place: int, wanted: EventFilter, limit: int) -> tuple[EventRecord, ...]:
        """Return what came after a place, in that order."""
        rows = await self._database.fetch(
            _QUERIES["list_events_after"], place, wanted.kind, wanted.severity, wanted.subject, limit
        )
        return tuple(map(event_of, rows))

    async def trim(self, now: datetime, keep_days: int) -> int:
        """Forget events older than the limit and return how many."""
        return await self._database.execute(_QUERIES["trim_events"], now - timedelta(days=keep_days))


def event_of(row: Record) -> EventRecord:
    """Return the event of a row that has all columns of it."""
    return EventRecord(
        node=row["node"],
        seq=row["seq"],
        change=row["change"],
        event=NewEvent(
            at=row["at"],
            kind=EventKind(row["kind"]),
            severity=Severity(row["severity"]),
            subject=row["subject"],
            text=row["text"],
            data=json.loads(row["data"]),
            key=row["key"],
            epoch=row["epoch"],
        ),
    )
