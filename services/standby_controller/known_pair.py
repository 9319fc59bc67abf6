"""What this controller knows of the pair's settings and tokens: in memory, and in a last-good file of the state folder.

From it settings are read and tokens checked while the control database is away, also after a restart. It is never
changed by itself: changes go through the database.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from services.standby_controller.pair_document import PairDocument, usable_document
from services.standby_controller.policy.narrowing import narrow, widened
from services.standby_controller.policy.pair_merge import FIRST, canonical, merge_books
from shared.files.atomic import write_atomically
from shared.node.model import Wire
from shared.node.pair import PairBook, PairSettings, PairToken

log = logging.getLogger(__name__)

FILE_NAME: Final = "pair.json"
EMPTY: Final = PairBook(
    settings=PairSettings(
        document={}, version=FIRST, changed_at=datetime(2000, 1, 1, tzinfo=UTC), changed_by="defaults"
    )
)
"""What a node holds that was told nothing."""


class Recorded(Wire):
    """What a peer was last known to hold."""

    digest: str
    settings: PairSettings


class LastGood(Wire):
    """The content of the file."""

    pair_id: str
    book: PairBook
    recorded: dict[str, Recorded] = Field(default_factory=dict)


class KnownPair:
    """The pair's settings and tokens as this controller last knew them; asks neither database nor peers."""

    def __init__(self, own: str, peers: tuple[str, ...] = (), *, pair_id: str = "", file: Path | None = None) -> None:
        """Begin with the file's content, where there is a file that can be used, else with the defaults."""
        self._own = own
        self._peers = peers
        self._pair_id = pair_id
        self._file = file
        self._writing = asyncio.Lock()
        self._written: LastGood | None = None
        self._tokens: dict[str, PairToken] = {}
        loaded = _load(file, pair_id)
        self._recorded = {} if loaded is None else dict(loaded.recorded)
        self._is_known = loaded is not None
        self._written = loaded
        self._set(EMPTY if loaded is None else loaded.book)

    @property
    def book(self) -> PairBook:
        """Return settings and tokens."""
        return self._book

    @property
    def is_known(self) -> bool:
        """Say whether anything was read, from database or file."""
        return self._is_known

    @property
    def document(self) -> PairDocument:
        """Return the settings as far as this release understands them."""
        return self._document

    @property
    def has_tokens(self) -> bool:
        """Say whether any token is known."""
        return bool(self._tokens)

    def find(self, token_id: str) -> PairToken | None:
        """Return a token, also a deleted one."""
        return self._tokens.get(token_id)

    @property
    def not_yet_on(self) -> tuple[str, ...]:
        """Return the peers that are not known to hold what this node holds."""
        digest = _digest(self._book)
        return tuple(peer for peer in self._peers if self._digest_on(peer) != digest)

    def effective(self, active: str | None) -> PairDocument:
        """Return the settings that count here while this node is the active one: all that is known."""
        recorded = self._recorded_on(active)
        return self._document if recorded is None else narrow(self._document, recorded)

    def not_in_effect(self, active: str | None) -> tuple[str, ...]:
        """Return the settings that do not count yet because the active node has not recorded them."""
        recorded = self._recorded_on(active)
        return () if recorded is None else widened(self._document, recorded)

    async def take(self, book: PairBook) -> PairBook:
        """Take what database or peer holds, and return what is known now."""
        self._is_known = True
        merged = merge_books(self._book, book)
        if merged != self._book:
            self._set(merged)
        await self.keep()
        return merged

    async def take_token(self, token: PairToken) -> None:
        """Take a token as the database holds it."""
        if self._tokens.get(token.id) != token:
            await self.take(self._book.model_copy(update={"tokens": (token,)}))

    async def note_recorded(self, peer: str, book: PairBook) -> None:
        """Take what a peer says that it holds."""
        recorded = Recorded(digest=_digest(book), settings=book.settings)
        if peer in self._peers and self._recorded.get(peer) != recorded:
            self._recorded[peer] = recorded
            await self.keep()

    async def keep(self) -> None:
        """Write the file if its content is another; a disk that refuses is logged, and nothing fails of it."""
        async with self._writing:
            content = LastGood(pair_id=self._pair_id, book=self._book, recorded=dict(self._recorded))
            if self._file is None or content == self._written:
                return
            try:
                await asyncio.to_thread(write_atomically, self._file, content.model_dump_json(indent=1).encode())
            except OSError as error:
                log.warning("last-good copy not written", extra={"file": str(self._file), "detail": str(error)})
            self._written = content  # a disk that refuses is not asked again before there is something new

    def _set(self, book: PairBook) -> None:
        self._book = book
        self._document = usable_document(book.settings.document)
        self._tokens = {token.id: token for token in book.tokens}

    def _digest_on(self, peer: str) -> str:
        return self._recorded[peer].digest if peer in self._recorded else _digest(EMPTY)

    def _recorded_on(self, active: str | None) -> PairDocument | None:
        """Return what another active node has recorded; None where this node is active, or nobody is known to be."""
        if active is None or active == self._own:
            return None
        recorded = self._recorded.get(active)
        return usable_document({} if recorded is None else recorded.settings.document)


def _digest(book: PairBook) -> str:
    """Return what tells books apart; when the defaults were written does not matter."""
    if book.settings.version == FIRST:
        book = book.model_copy(update={"settings": EMPTY.settings})
    return hashlib.sha256(canonical(book).encode()).hexdigest()


def _load(file: Path | None, pair_id: str) -> LastGood | None:
    if file is None:
        return None
    try:
        content = LastGood.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        detail = str(error).splitlines()[0]
        log.warning("last-good copy cannot be read", extra={"file": str(file), "detail": detail})
        return None
    if content.pair_id != pair_id:
        log.warning("last-good copy is of another pair", extra={"file": str(file), "pair_id": content.pair_id})
        return None
    return content
