"""The two lists that a sync compares, each in a file beside the tree: what the source tells, and what lies here."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from services.standby_controller.files.draft import LISTING, OWN, EntryFile
from services.standby_controller.progress import Progress
from shared.errors import ListingRefused, WrongPair
from shared.files.entries import Entry, EntryKind
from shared.files.index import Known, Walker, read_index
from shared.files.owners import Owners
from shared.files.patterns import Leaves, leaving
from shared.files.scan import Knowing, Scan
from shared.files.threads import in_thread
from shared.files.tree import Tree
from shared.files.wire import ListingHead, ListingReader, OpenListing
from shared.node.file_sets import FileSetLink
from shared.settings import FileSetSettings


@dataclass(slots=True)
class Counted:
    """What a list holds."""

    files: int = 0
    bytes: int = 0
    entries: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        self.entries += 1
        if entry.kind is EntryKind.FILE:
            self.files += 1
            self.bytes += entry.size


@dataclass(slots=True)
class SourceList:
    """What the source tells, as it can be on this node."""

    file_set: FileSetSettings
    folder: Path
    owners: Owners
    counted: Counted = field(default_factory=Counted)
    head: ListingHead | None = None
    leaves: Leaves = field(default_factory=lambda: leaving(()))

    async def receive(self, client: FileSetLink, asked: OpenListing, progress: Progress) -> ListingHead:
        """Take the whole listing; raises ListingRefused, TransferIncomplete, PeerError."""
        with EntryFile(self.folder / LISTING) as file:
            return await self._receive(client, asked, progress, file)

    async def _receive(
        self, client: FileSetLink, asked: OpenListing, progress: Progress, file: EntryFile
    ) -> ListingHead:
        reader = ListingReader()
        passed = b""

        def take(chunk: bytes) -> None:
            nonlocal passed
            for entry in reader.feed(chunk):
                if self.head is None:
                    self.head = reader.head
                    self._learn_patterns(reader)
                if passed and entry.path.startswith(passed):
                    continue
                if self.leaves(entry.path, entry.kind is EntryKind.FOLDER):
                    passed = entry.path + b"/"
                    continue
                kept = self.owners.kept(entry)
                file.add(Known(kept))
                self.counted.add(kept)

        async with client.listing(self.file_set.name, asked) as chunks:
            async for chunk in chunks:
                await in_thread(lambda chunk=chunk: take(chunk))  # type: ignore[misc]
                progress.add_bytes(0)
        head = reader.finish()
        if head.file_set != self.file_set.name:
            raise WrongPair(f"the listing is of file set {head.file_set}, not of {self.file_set.name}")
        self._learn_patterns(reader)
        assert reader.end is not None
        self.counted.hashed_files, self.counted.hashed_bytes = reader.end.hashed_files, reader.end.hashed_bytes
        return head

    def _learn_patterns(self, reader: ListingReader) -> None:
        """Leave alone what either node does: what one of them does not tell of is not gone."""
        assert reader.head is not None
        try:
            self.leaves = leaving((*self.file_set.exclude, *reader.head.exclude))
        except ValueError as error:
            raise ListingRefused(f"the other node leaves alone what nothing is: {error}") from None


@dataclass(slots=True)
class OwnList:
    """What lies here."""

    tree: Tree
    leaves: Leaves
    owners: Owners
    now_ns: Callable[[], int]
    counted: Counted = field(default_factory=Counted)

    async def make(self, folder: Path, known: Knowing, *, is_rehashed: bool) -> None:
        """Write the list into the folder; raises OSError."""
        stop = threading.Event()
        await in_thread(lambda: self._make(folder, known, stop, is_rehashed=is_rehashed), stop)

    def _make(self, folder: Path, known: Knowing, stop: threading.Event, *, is_rehashed: bool) -> None:
        self.tree.forget()
        scan = Scan(
            self.tree,
            self.leaves,
            self.owners,
            self.now_ns,
            known,
            is_rehashed=is_rehashed,
            is_stopped=stop.is_set,
            tells_excluded=True,
        )
        with EntryFile(folder / OWN) as file:
            for found in scan.run():
                file.add(found)
                self.counted.add(found.entry)
        self.counted.hashed_files, self.counted.hashed_bytes = scan.hashed_files, scan.hashed_bytes


class Placed(Known):
    """A file that a sync has put in place: its digest was made as it came, and its times are the sync's doing."""

    __slots__ = ()

    def is_of(self, found: os.stat_result) -> bool:
        """Say whether the file is the one that was put there."""
        entry = self.entry
        return (entry.size, entry.mtime_ns, self.inode) == (found.st_size, found.st_mtime_ns, found.st_ino)


class AfterSync:
    """What is known once a sync has put files in place: those, by which files they are, and all that stayed."""

    def __init__(self, placed: Path, own: Path) -> None:
        """Read both from their beginning."""
        self._placed = Walker(read_index(placed))
        self._own = Walker(read_index(own))

    def find(self, path: bytes) -> Known | None:
        """Return what is known of a path."""
        placed, own = self._placed.find(path), self._own.find(path)
        return own if placed is None else Placed(placed.entry, inode=placed.inode, seen_at_ns=placed.seen_at_ns)
