"""What a node did when its role changed, one line for each step, in a file beside the record. Nobody decides by it.

The controller copies it to the history afterwards; nothing on the way of a promotion waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from shared.clock import Clock
from shared.files.atomic import write_atomically
from shared.node.model import JournalEntry

log = logging.getLogger(__name__)

KEPT: Final = 2000
_PAGE: Final = 500


class Journal:
    """The last entries, in `<state_dir>/journal.jsonl`; `open` reads what an earlier process wrote."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._path = folder / "journal.jsonl"
        self._clock = clock
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Read the file and shorten it to the last entries; a line cut off by a power loss is left out."""
        try:
            lines = (await asyncio.to_thread(self._path.read_bytes)).splitlines()
        except OSError:
            return
        for line in lines:
            try:
                self._entries.append(JournalEntry.model_validate_json(line))
            except ValidationError:
                log.warning("line of the journal left out", extra={"file": str(self._path)})
        await asyncio.to_thread(write_atomically, self._path, b"".join(map(_line, self._entries)))

    async def write(
        self,
        transition_id: str,
        kind: str,
        step: str,
        outcome: str,
        *,
        seconds: float | None = None,
        detail: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        """Append an entry; a disk that refuses it is logged and stops nobody."""
        async with self._writing:
            entry = JournalEntry(
                seq=self._entries[-1].seq + 1 if self._entries else 1,
                at=self._clock.now(),
                monotonic_seconds=round(self._clock.monotonic(), 6),
                transition_id=transition_id,
                kind=kind,
                step=step,
                outcome=outcome,
                seconds=None if seconds is None else round(seconds, 6),
                detail=detail,
                data=data or {},
            )
            self._entries.append(entry)
            log.info(
                "transition",
                extra={"transition": transition_id, "kind": kind, "step": step, "outcome": outcome, "detail": detail},
            )
            try:
                await asyncio.to_thread(self._append, _line(entry))
            except OSError as error:
                log.error("journal not written", extra={"detail": error.strerror})  # noqa: TRY400

    def after(self, seq: int) -> tuple[JournalEntry, ...]:
        """Return the entries after one, oldest first, a page of them."""
        return tuple(entry for entry in self._entries if entry.seq > seq)[:_PAGE]

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _line(entry: JournalEntry) -> bytes:
    return entry.model_dump_json().encode() + b"\n"
