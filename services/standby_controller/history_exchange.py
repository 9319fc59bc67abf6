"""Keeps the history equal: pulls what peers have and this node lacks, and copies the own agent's journal.

Quiet loops: nothing else waits for them.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from services.standby_controller.event_feed import EventFeed
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.store.database import Database
from services.standby_controller.store.history_log import HistoryLog, LogPage, Place
from services.standby_controller.store.transitions import JournalPlace, Transitions
from shared.clock import Clock, format_instant
from shared.lifecycle import Sibling, run_every
from shared.node.model import JournalEntry
from shared.node.pair import HistoryPage

log = logging.getLogger(__name__)

PULL_SECONDS: Final = 2.0
COPY_SECONDS: Final = 1.0


class HistoryLink(Protocol):
    """A peer's controller."""

    async def history(self, generation: str, after: int) -> HistoryPage:
        """Read its history after a place; raises PeerError and RoleError."""


class JournalSource(Protocol):
    """The own agent."""

    async def journal(self, after: int) -> tuple[JournalEntry, ...]:
        """Read its journal after an entry, a page of it; raises PeerError and RoleError."""


class HistoryExchange:
    """Reads on in the histories of others."""

    def __init__(
        self,
        links: Mapping[str, HistoryLink],
        journal: JournalSource,
        *,
        history: HistoryLog,
        transitions: Transitions,
        known: KnownPair,
        database: Database,
        feed: EventFeed,
        clock: Clock,
    ) -> None:
        self._links = dict(links)
        self._journal = journal
        self._history = history
        self._transitions = transitions
        self._known = known
        self._database = database
        self._feed = feed
        self._clock = clock
        self.copied: JournalPlace | None = None
        """How far the own journal is copied."""

    def siblings(self) -> list[Sibling]:
        """Return the loops: one for the own journal, one for each peer."""
        return [
            Sibling("journal", functools.partial(run_every, COPY_SECONDS, self.copy_journal, name="journal")),
            *(
                Sibling(
                    f"history of {peer}",
                    functools.partial(
                        run_every, PULL_SECONDS, functools.partial(self.pull, peer), name=f"history of {peer}"
                    ),
                )
                for peer in self._links
            ),
        ]

    async def pull(self, peer: str) -> None:
        """Read all that a peer has and this node lacks; raises PeerError, RoleError and PostgresError."""
        if not self._database.is_prepared:
            return
        place, has_more = await self._history.place_at(peer), True
        while has_more:
            page = await self._links[peer].history(place.generation, place.value)
            reached = Place(page.generation, page.reached)
            if reached == place:
                return
            limits = self._known.document.history
            await self._history.take(peer, LogPage(page.items, reached, page.has_more), limits, self._clock.now())
            self._feed.look_now()
            place, has_more = reached, page.has_more

    async def copy_journal(self) -> None:
        """Copy what the own agent has written down since; raises PeerError, RoleError and PostgresError."""
        if not self._database.is_prepared:
            return
        has_more = True
        while has_more:
            place = self.copied = await self._transitions.place()
            # One entry again: where it is another than before, the journal was made anew.
            entries = await self._journal.journal(0 if place is None else place.seq - 1)
            if place is not None:
                is_same = bool(entries) and (entries[0].seq > place.seq or format_instant(entries[0].at) == place.at)
                if not is_same:
                    log.warning("the agent's journal was made anew", extra={"copied": place.seq})
                    await self._transitions.forget_place()
                    continue
            added = await self._transitions.copy(entries)
            if added:
                self._feed.look_now()
            has_more = len(entries) > 1 and added > 0
        await self._transitions.witness(self._clock.now())
        await self._transitions.count_losses(self._clock.now())
