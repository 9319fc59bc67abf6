"""Tells changes of roles from the own agent's journal while the control database is away; else it only follows.

When the database is back, the journal is copied there, with events of the same keys: what was told is told once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from services.standby_controller.history_exchange import JournalSource
from services.standby_controller.notify.spool import FOLDER
from services.standby_controller.store.events import NewEvent
from services.standby_controller.store.transitions import JournalPlace
from services.standby_controller.transition_events import events_of_entry
from shared.clock import Clock
from shared.files.atomic import write_atomically
from shared.lifecycle import Sibling, run_every
from shared.node.model import JournalEntry

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
PATIENT_SECONDS: Final = 5.0
"""So long a process that has begun waits for its database before it tells by itself."""
_LOOKED_BACK: Final = 100
_FILE: Final = "journal"


class Reached(BaseModel):
    """How far the journal was told; `at` tells its entry from one of a journal made anew."""

    model_config = ConfigDict(frozen=True)

    seq: int
    at: datetime


class JournalWatch:
    """Reads on in the own agent's journal."""

    def __init__(
        self,
        journal: JournalSource,
        *,
        node: str,
        state_dir: Path,
        copied: Callable[[], JournalPlace | None],
        is_database_away: Callable[[], bool],
        tell: Callable[[NewEvent], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """`copied` is how far the journal is in the database; `tell` takes an event while that is away."""
        self._journal = journal
        self._node = node
        self._file = state_dir / FOLDER / _FILE
        self._copied = copied
        self._is_database_away = is_database_away
        self._tell = tell
        self._clock = clock
        self._begun_at = clock.now()
        self._begun_seconds = clock.monotonic()
        self._reached = _load(self._file)

    def sibling(self) -> Sibling:
        """Return the loop."""
        return Sibling("journal watch", functools.partial(run_every, LOOK_SECONDS, self.look, name="journal watch"))

    async def look(self) -> None:
        """Follow the database, or tell what it cannot; raises PeerError and RoleError."""
        copied, is_away = self._copied(), self._is_database_away()
        if copied is not None and not is_away:
            place = Reached(seq=copied.seq, at=datetime.fromisoformat(copied.at))
            if self._reached is None or place.at > self._reached.at:
                await self._reach(place)
        if not is_away or self._clock.monotonic() - self._begun_seconds < PATIENT_SECONDS:
            return
        reached = self._reached
        entries = await self._read(0 if reached is None else max(0, reached.seq - _LOOKED_BACK))
        if reached is not None and not any((one.seq, one.at) == (reached.seq, reached.at) for one in entries):
            entries = await self._read(0)  # it was made anew
        await self._tell_of(entries, reached)

    async def _read(self, after: int) -> tuple[JournalEntry, ...]:
        entries: list[JournalEntry] = []
        while page := await self._journal.journal(after):
            entries += page
            after = page[-1].seq
        return tuple(entries)

    async def _tell_of(self, entries: tuple[JournalEntry, ...], reached: Reached | None) -> None:
        is_same = reached is not None and any((one.seq, one.at) == (reached.seq, reached.at) for one in entries)
        known = set[str]()
        for entry in entries:
            if reached is None:
                is_new = entry.at >= self._begun_at
            else:
                is_new = entry.seq > reached.seq if is_same else entry.at > reached.at
            if is_new:
                for event in events_of_entry(entry, self._node, is_first=entry.transition_id not in known):
                    log.info("event", extra={"kind": event.kind.value, "subject": event.subject, "text": event.text})
                    await self._tell(event)
                await self._reach(Reached(seq=entry.seq, at=entry.at))
            known.add(entry.transition_id)

    async def _reach(self, reached: Reached) -> None:
        self._reached = reached
        try:
            await asyncio.to_thread(_store, self._file, reached.model_dump_json().encode())
        except OSError as error:
            log.warning("place in the journal not kept", extra={"file": str(self._file), "detail": str(error)})


def _store(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomically(file, content)


def _load(file: Path) -> Reached | None:
    try:
        return Reached.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("place in the journal not read", extra={"file": str(file), "detail": str(error).splitlines()[0]})
        return None
