"""Writes heartbeats and events behind the back of those who see them, so that a database that is away stops nobody.

What cannot be written yet waits here, up to a limit; the oldest is given up first, and that is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, TypeVar

from services.standby_controller.store.events import Events, NewEvent
from services.standby_controller.store.heartbeats import HeartbeatRecord, Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.pair_config import PairConfig
from shared.clock import Clock
from shared.errors import PostgresError

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0
TRIM_SECONDS: Final = 600.0
END_SECONDS: Final = 2.0
MOST_WAITING: Final = 10_000

Waiting = TypeVar("Waiting", HeartbeatRecord, NewEvent)


class Recorder:
    """Takes records at once and writes them soon."""

    def __init__(
        self, heartbeats: Heartbeats, events: Events, history: History, config: PairConfig, clock: Clock
    ) -> None:
        self._heartbeats = heartbeats
        self._events = events
        self._history = history
        self._config = config
        self._clock = clock
        self._waiting_heartbeats: deque[HeartbeatRecord] = deque()
        self._waiting_events: deque[NewEvent] = deque()

    def add_heartbeat(self, record: HeartbeatRecord) -> None:
        """Take a look at a peer."""
        _append(self._waiting_heartbeats, record, "heartbeats")

    def add_event(self, event: NewEvent) -> None:
        """Take an event, and log it."""
        log.info("event", extra={"kind": event.kind.value, "subject": event.subject, "text": event.text})
        _append(self._waiting_events, event, "events")

    async def flush(self) -> None:
        """Write what waits; what cannot be written goes on waiting. Raises PostgresError."""
        while self._waiting_events:
            await self._events.add(self._waiting_events[0])
            self._waiting_events.popleft()
        batch = tuple(self._waiting_heartbeats)
        if batch:
            await self._heartbeats.add(batch)
            for _ in batch:
                self._waiting_heartbeats.popleft()

    async def flush_at_end(self) -> None:
        """Write what waits before the process ends; what cannot be written within seconds is given up."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.flush()
        except (TimeoutError, PostgresError) as error:
            waiting = len(self._waiting_events) + len(self._waiting_heartbeats)
            log.warning("records given up at the end", extra={"count": waiting, "detail": str(error)})

    async def trim(self) -> None:
        """Forget history beyond the limits of the pair's configuration. Raises PostgresError."""
        now, limits = self._clock.now(), (await self._config.read(self._clock.now())).document.history
        forgotten = {
            "syncs": await self._history.trim(now, limits.sync_days),
            "events": await self._events.trim(now, limits.sync_days),
            "heartbeats": await self._heartbeats.trim(now, limits.heartbeat_days, limits.heartbeat_count),
        }
        if any(forgotten.values()):
            log.info("history trimmed", extra=forgotten)


def _append(waiting: deque[Waiting], record: Waiting, what: str) -> None:
    if len(waiting) >= MOST_WAITING:
        waiting.popleft()
        log.warning("record given up, the control database is away for too long", extra={"what": what})
    waiting.append(record)
