"""Writes heartbeats and events behind the back of those who see them, so that a database that is away stops nobody.

What cannot be written yet waits here, up to a limit; the oldest is given up first, and that is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from services.standby_controller.event_feed import EventFeed
from services.standby_controller.policy.transition_story import Topic
from services.standby_controller.store.audit import Audit, NewEntry
from services.standby_controller.store.events import Events, NewEvent
from services.standby_controller.store.heartbeats import HeartbeatRecord, Heartbeats
from services.standby_controller.store.transitions import Transitions
from shared.clock import Clock
from shared.errors import PostgresError

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0
END_SECONDS: Final = 2.0
MOST_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """What is known of a transition, before it is recorded."""

    transition_id: str
    topic: Topic
    at: datetime
    data: dict[str, Any]


Waiting = TypeVar("Waiting")


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that is not recorded yet, and since when."""

    event: NewEvent
    since: float


class Recorder:
    """Takes records at once and writes them soon."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        events: Events,
        transitions: Transitions,
        audit: Audit,
        feed: EventFeed,
        clock: Clock,
    ) -> None:
        self._heartbeats = heartbeats
        self._events = events
        self._transitions = transitions
        self._audit = audit
        self._feed = feed
        self._clock = clock
        self._waiting_evidence: deque[NewEvidence] = deque()
        self._waiting_heartbeats: deque[HeartbeatRecord] = deque()
        self._waiting_events: deque[WaitingEvent] = deque()
        self._waiting_entries: deque[NewEntry] = deque()
        self._flushing = asyncio.Lock()
        self.wake = asyncio.Event()
        """Set where there is something that should be written at once."""

    def add_heartbeat(self, record: HeartbeatRecord) -> None:
        """Take a look at a peer."""
        _append(self._waiting_heartbeats, record, "heartbeats")

    def add_event(self, event: NewEvent) -> None:
        """Take an event, and log it."""
        log.info("event", extra={"kind": event.kind.value, "subject": event.subject, "text": event.text})
        _append(self._waiting_events, WaitingEvent(self._events.stamped(event), self._clock.monotonic()), "events")
        self.wake.set()

    def overdue(self, seconds: float) -> tuple[NewEvent, ...]:
        """Return the events that have waited for so long, the oldest first."""
        now = self._clock.monotonic()
        return tuple(one.event for one in self._waiting_events if now - one.since >= seconds)

    def forget(self, event: NewEvent) -> None:
        """Take an event off: it is kept elsewhere."""
        for one in self._waiting_events:
            if one.event.key == event.key:
                self._waiting_events.remove(one)
                return

    def add_entry(self, entry: NewEntry) -> None:
        """Take what somebody did; nothing waits for its being written."""
        log.info("audit", extra={"who": entry.who, "action": entry.action.value, "subject": entry.subject})
        _append(self._waiting_entries, entry, "audit")

    def add_evidence(self, evidence: NewEvidence) -> None:
        """Take what is known of a transition; nothing waits for its being written."""
        _append(self._waiting_evidence, evidence, "evidence")

    async def flush(self) -> None:
        """Write what waits; what cannot be written goes on waiting. Raises PostgresError."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting_events:
            event = self._waiting_events[0].event
            await self._events.add(event)
            self.forget(event)
            self._feed.look_now()
        while self._waiting_entries:
            entry = self._waiting_entries[0]
            await self._audit.add(entry)
            _take_off(self._waiting_entries, [entry])
        while self._waiting_evidence:
            first = self._waiting_evidence[0]
            await self._transitions.add_evidence(first.transition_id, first.topic, first.at, first.data)
            _take_off(self._waiting_evidence, [first])
        batch = tuple(self._waiting_heartbeats)
        if batch:
            await self._heartbeats.add(batch)
            _take_off(self._waiting_heartbeats, batch)

    async def flush_at_end(self) -> None:
        """Write what waits before the process ends; what cannot be written within seconds is given up."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.flush()
        except (TimeoutError, PostgresError) as error:
            waiting = len(self._waiting_events) + len(self._waiting_entries) + len(self._waiting_evidence)
            extra = {"count": waiting + len(self._waiting_heartbeats), "detail": str(error)}
            log.warning("records given up at the end", extra=extra)


def _take_off(waiting: deque[Waiting], written: Sequence[Waiting]) -> None:
    """Take off what is written; the oldest of it may have been given up meanwhile."""
    done = {id(record) for record in written}
    while waiting and id(waiting[0]) in done:
        waiting.popleft()


def _append(waiting: deque[Waiting], record: Waiting, what: str) -> None:
    if len(waiting) >= MOST_WAITING:
        waiting.popleft()
        log.warning("record given up, the control database is away for too long", extra={"what": what})
    waiting.append(record)
