"""A listing of a tree, line by line; what had to be read for it is noted for the next one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.primary_agent.node.node import EnvelopeFields
from shared.clock import Clock
from shared.errors import FileSetUnusable
from shared.files.index import IndexWriter, Walker, next_head, read_index
from shared.files.owners import Owners
from shared.files.patterns import leaving
from shared.files.scan import Scan
from shared.files.threads import CHUNK_BYTES
from shared.files.tree import Tree
from shared.files.wire import ListingEnd, ListingHead, to_wire
from shared.replication.model import SyncPoint
from shared.settings import FileSetSettings

NS: Final = 10**9
LIFE_SIGN_SECONDS: Final = 30.0
_LIFE_SIGN: Final = b"\n" * CHUNK_BYTES
"""Empty lines that no buffer holds back: a reader sees that a tree of large files is still being read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One pass, for one reader."""

    file_set: FileSetSettings
    index: Path
    envelope: EnvelopeFields
    clock: Clock
    is_rehashed: bool

    def lines(self, is_stopped: Callable[[], bool]) -> Generator[bytes, None, None]:
        """Yield the listing; raises FileSetMissing, FileSetUnusable. In a thread: it reads the disk."""
        with Tree.open(self.file_set.path, self.file_set.name) as tree:
            try:
                yield from self._lines(tree, is_stopped)
            except OSError as error:
                raise FileSetUnusable(f"file set {self.file_set.name}: {error.strerror}") from error

    def _lines(self, tree: Tree, is_stopped: Callable[[], bool]) -> Generator[bytes, None, None]:
        self.index.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        after = next_head(self.index)
        writer = IndexWriter(self.index, after)
        try:
            head = ListingHead(
                **self.envelope,
                file_set=self.file_set.name,
                point=SyncPoint(capture_id=after.id, seq=after.seq, nonce=secrets.token_hex(8)),
                taken_at=self.clock.now(),
                exclude=self.file_set.exclude,
            )
            yield head.model_dump_json().encode() + b"\n"
            scan = Scan(
                tree,
                leaving(self.file_set.exclude),
                Owners(),
                lambda: int(self.clock.now().timestamp() * NS),
                Walker(read_index(self.index)),
                is_rehashed=self.is_rehashed,
                is_stopped=is_stopped,
            )
            count, told_at = 0, self.clock.monotonic()
            for known in scan.run():
                if self.clock.monotonic() - told_at >= LIFE_SIGN_SECONDS:
                    told_at = self.clock.monotonic()
                    yield _LIFE_SIGN
                writer.add(known)
                yield to_wire(known.entry).model_dump_json(exclude_defaults=True).encode() + b"\n"
                count += 1
            writer.commit()
            end = ListingEnd(entries=count, hashed_files=scan.hashed_files, hashed_bytes=scan.hashed_bytes)
            yield end.model_dump_json().encode() + b"\n"
        finally:
            writer.discard()
