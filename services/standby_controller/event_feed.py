"""Tells those who follow the events that there are new ones; when it ends, so do they."""

from __future__ import annotations

import asyncio
from typing import Final

from services.standby_controller.store.database import Database
from services.standby_controller.store.events import Events
from shared.errors import PostgresError
from shared.lifecycle import run_every

LOOK_SECONDS: Final = 0.5


class EventFeed:
    """The newest place in the order of events; what other processes wrote is found by looking."""

    def __init__(self, events: Events, database: Database) -> None:
        self._events = events
        self._database = database
        self._followers = 0
        self._place = 0
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self.has_ended = False

    async def run(self) -> None:
        """Look for new events while somebody follows, until cancelled; then let the followers go."""
        try:
            await run_every(LOOK_SECONDS, self._look, name="event feed", wake=self._wake)
        finally:
            self.has_ended = True
            self._tell()

    def look_now(self) -> None:
        """Look at once: an event was written."""
        self._wake.set()

    async def wait_beyond(self, place: int, seconds: float) -> bool:
        """Wait until there is an event after a place, at most so long; say whether there may be one."""
        self._followers += 1
        try:
            async with asyncio.timeout(seconds):
                while self._place <= place and not self.has_ended:
                    await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self._followers -= 1
        return not self.has_ended

    async def _look(self) -> None:
        if not self._followers or not self._database.is_prepared:
            return
        try:
            place = await self._events.last_place()
        except PostgresError:
            return  # the keeper of the database has logged it
        if place != self._place:
            self._place = place
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
