"""Keeps settings and tokens equal: database, memory and last-good file on this node, and what each peer holds."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from services.standby_controller.known_pair import KnownPair
from services.standby_controller.policy.pair_merge import merge_books
from services.standby_controller.store.database import Database
from services.standby_controller.store.pair_config import PairConfig
from shared.clock import Clock
from shared.errors import DatabaseUnreachable, PeerError, PostgresError, WarmstandbyError
from shared.lifecycle import Sibling, run_every
from shared.log import fields_of
from shared.node.pair import PairBook

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
EXCHANGE_SECONDS: Final = 3.0
PATIENCE_SECONDS: Final = 1.5
"""How long a person who changes something waits for the peers; the loops go on after that."""
_HANGS_AFTER_SECONDS: Final = 3.0


class PairLink(Protocol):
    """A peer's controller."""

    async def pair_book(self) -> PairBook:
        """Read what it holds; raises PeerError and RoleError."""

    async def offer_pair_book(self, book: PairBook) -> PairBook:
        """Have it take what is higher than its own, and return what it holds then; raises PeerError and RoleError."""


class PairExchange:
    """Brings this node's database, memory and file, and the peers, to the same settings and tokens."""

    def __init__(
        self, links: Mapping[str, PairLink], config: PairConfig, known: KnownPair, database: Database, clock: Clock
    ) -> None:
        self._links = dict(links)
        self._config = config
        self._known = known
        self._database = database
        self._clock = clock
        self._wakes = {peer: asyncio.Event() for peer in self._links}
        self._locks = {peer: asyncio.Lock() for peer in self._links}
        self._silent: set[str] = set()
        self._told = known.book

    def siblings(self) -> list[Sibling]:
        """Return the loops: one for the own database, one for each peer."""
        look = functools.partial(run_every, LOOK_SECONDS, self.look, name="pair configuration")
        return [
            Sibling("pair configuration", look),
            *(
                Sibling(
                    f"pair configuration with {peer}",
                    functools.partial(
                        run_every,
                        EXCHANGE_SECONDS,
                        functools.partial(self._exchange, peer),
                        name=f"pair configuration with {peer}",
                        wake=self._wakes[peer],
                    ),
                )
                for peer in self._links
            ),
        ]

    async def look(self) -> None:
        """Read the own database, and write to it what memory and file hold and it lacks; raises PostgresError."""
        if not self._database.is_prepared:
            return  # its keeper says why
        try:
            async with asyncio.timeout(_HANGS_AFTER_SECONDS):
                held = await self._config.read_book(self._clock.now())
                merged = await self._known.take(held)
                if merged != held:
                    await self._config.merge(merged, self._clock.now())
        except TimeoutError as error:
            self._database.note_silence()
            raise DatabaseUnreachable("the control database hangs") from error
        if merged != self._told:
            self._told = merged
            for wake in self._wakes.values():
                wake.set()

    async def take(self, book: PairBook) -> PairBook:
        """Take what a peer holds and this node lacks, and return what this node holds then; raises PostgresError."""
        if merge_books(self._known.book, book) == self._known.book:
            return self._known.book
        return await self._known.take(await self._config.merge(book, self._clock.now()))

    async def take_from(self, peer: str, book: PairBook) -> PairBook:
        """Take what a peer offers; raises PostgresError."""
        await self._known.note_recorded(peer, book)
        return await self.take(book)

    async def refresh(self) -> None:
        """Ask the peers that answer for what they hold, so that a change is made from the newest version."""
        await self._with_those_who_answer()

    async def deliver(self) -> None:
        """Tell the peers what was changed here, as far as they answer soon; the others are told later.

        Raises nothing: the change is made.
        """
        try:
            await self.look()
        except PostgresError as error:
            log.info("peers not told at once", extra=fields_of(error))
        await self._with_those_who_answer()

    async def _with_those_who_answer(self) -> None:
        asked = [peer for peer in self._links if peer not in self._silent]
        await asyncio.gather(*map(self._try_exchange, asked))

    async def _try_exchange(self, peer: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._exchange(peer)
        except TimeoutError:
            self._silent.add(peer)
        except WarmstandbyError as error:
            log.info("peer not told at once", extra={"peer": peer, **fields_of(error)})

    async def _exchange(self, peer: str) -> None:
        """Come to the same with one peer; raises PeerError, RoleError and PostgresError."""
        link = self._links[peer]
        async with self._locks[peer]:
            try:
                theirs = await link.pair_book()
                ours = await self.take(theirs)
                if ours != theirs:
                    theirs = await link.offer_pair_book(ours)
                    await self.take(theirs)
            except WarmstandbyError as error:
                if isinstance(error, PeerError):
                    self._silent.add(peer)
                raise
            self._silent.discard(peer)
            await self._known.note_recorded(peer, theirs)
