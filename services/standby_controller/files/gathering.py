"""Gathers beside the tree all that comes: folders and links by name, files from the tree itself or from the source."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.standby_controller.files.draft import OWN, Draft
from services.standby_controller.progress import Progress
from shared.errors import TransferIncomplete
from shared.files.acts import dress_file
from shared.files.entries import Entry, EntryKind, write_path
from shared.files.index import read_index
from shared.files.owners import Owners
from shared.files.staging import Staging
from shared.files.threads import in_thread
from shared.files.tree import GONE
from shared.files.wire import FrameReader, GivenFile, WantedFile, WantFiles, from_wire
from shared.node.file_sets import FileSetLink

ROUNDS: Final = 5
"""So often is a file asked for that changes while it is read."""
_BUNDLE_FILES: Final = 500
_BUNDLE_BYTES: Final = 32 * 2**20
_HELD_BYTES: Final = 2 * 2**20
_COPY_BYTES: Final = 1 << 20
_MOST_LOOKED_FOR: Final = 1_000_000
_MOST_AGAIN: Final = 10_000


@dataclass(slots=True)
class _Donor:
    """A file of the tree that holds what another path wants."""

    entry: Entry
    is_leaving: bool


@dataclass(slots=True)
class _Arrived:
    """A file that has come, up to its last bytes."""

    number: int
    wanted: Entry
    rest: bytes
    given: GivenFile
    is_begun: bool


@dataclass(slots=True)
class Gathering:
    """What one sync gathers; `failed` says of paths why nothing came."""

    name: str
    staging: Staging
    draft: Draft
    client: FileSetLink
    progress: Progress
    owners: Owners
    failed: dict[bytes, str] = field(default_factory=dict)
    came: dict[int, Entry] = field(default_factory=dict)
    """Files that came otherwise than they were listed, by number."""
    fetched: int = 0
    reused: int = 0
    _donors: dict[str, _Donor] = field(default_factory=dict)
    _digest: hashlib._Hash | None = None

    async def run(self) -> None:
        """Gather all; raises PeerError, TransferIncomplete, OSError."""
        await in_thread(self._find_donors)
        again: list[tuple[int, Entry]] = []
        brings = enumerate(known.entry for known in self.draft.brings.read())
        while bundle := await in_thread(lambda: self._next_bundle(brings)):
            if wanted := [one for one in bundle if one[1].kind is EntryKind.FILE]:
                again += await self._fetch(wanted)
            if len(again) > _MOST_AGAIN:
                raise TransferIncomplete(f"file set {self.name}: thousands of files change while they are read")
        for _ in range(ROUNDS - 1):
            again = [
                one for start in range(0, len(again), 200) for one in await self._fetch(again[start : start + 200])
            ]
        for number, entry in again:
            self.failed[entry.path] = f"it changed while it was read, {ROUNDS} times"
            await in_thread(lambda number=number: self.staging.drop(number))  # type: ignore[misc]

    def _next_bundle(self, brings: Iterator[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
        """Make what needs no asking, and return the files to ask for; empty when nothing is left to do."""
        bundle: list[tuple[int, Entry]] = []
        size = 0
        for number, entry in brings:
            if entry.kind is EntryKind.FOLDER:
                self.staging.make_folder(number)
            elif entry.kind is EntryKind.LINK:
                self.staging.make_link(number, entry, self.owners)
            elif not entry.size:
                with _closing(self.staging.create(number)) as target:
                    self._seal(target, entry)
            elif not self._reuse(number, entry):
                bundle.append((number, entry))
                size += entry.size
                if len(bundle) >= _BUNDLE_FILES or size >= _BUNDLE_BYTES:
                    break
        return bundle

    # What the tree holds already -------------------------------------------------------------------------------------

    def _find_donors(self) -> None:
        """Find files of the tree whose content is wanted under another path; those about to leave theirs first."""
        wanted: set[str] = set()
        for known in self.draft.brings.read():
            if known.entry.size and len(wanted) < _MOST_LOOKED_FOR:
                wanted.add(known.entry.sha256)
        if not wanted:
            return
        for file in (self.draft.goes, self.draft.replaced):
            for known in file.read():
                if known.entry.sha256 in wanted:
                    self._donors.setdefault(known.entry.sha256, _Donor(known.entry, is_leaving=True))
        for known in read_index(self.draft.folder / OWN):
            if known.entry.sha256 in wanted:
                self._donors.setdefault(known.entry.sha256, _Donor(known.entry, is_leaving=False))

    def _reuse(self, number: int, entry: Entry) -> bool:
        donor = self._donors.get(entry.sha256)
        if donor is None:
            return False
        try:
            if donor.is_leaving and self._link(number, entry, donor.entry):
                donor.is_leaving = False  # a second name would make one file of two
                self.reused += 1
                return True
            if self._copy(number, entry, donor.entry.path):
                self.reused += 1
                return True
        except OSError as error:
            if error.errno not in GONE:
                raise
            self.staging.tree.forget()
        self.staging.drop(number)
        return False

    def _link(self, number: int, entry: Entry, own: Entry) -> bool:
        found = self.staging.tree.look(own.path)
        is_alike = (entry.mode, entry.mtime_ns) == (own.mode, own.mtime_ns)
        is_alike = is_alike and entry.owner in ("", own.owner) and entry.group in ("", own.group)
        if found is None or found.st_nlink != 1 or not is_alike:
            return False
        if (found.st_size, found.st_mtime_ns) != (own.size, own.mtime_ns):
            return False
        self.staging.link_own(number, own.path)
        return True

    def _copy(self, number: int, entry: Entry, path: bytes) -> bool:
        digest = hashlib.sha256()
        with self.staging.tree.reading(path) as source, _closing(self.staging.create(number)) as target:
            while block := os.read(source, _COPY_BYTES):
                digest.update(block)
                _write_all(target, block)
            if digest.hexdigest() != entry.sha256:
                return False
            self._seal(target, entry)
        return True

    def _seal(self, descriptor: int, entry: Entry) -> None:
        dress_file(descriptor, entry, self.owners)
        self.staging.seal(descriptor)

    # What the source gives -------------------------------------------------------------------------------------------

    async def _fetch(self, wanted: list[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
        """Ask for files and take them; return those that have to be asked for again."""
        if not wanted:
            return []
        asked = WantFiles(files=tuple(WantedFile(path=write_path(entry.path)) for _, entry in wanted))
        again: list[tuple[int, Entry]] = []
        held: list[_Arrived] = []
        size = 0
        async with self.client.contents(self.name, asked) as chunks:
            frames = FrameReader(chunks)
            for number, entry in wanted:
                arrived = await self._take(frames, number, entry)
                held.append(arrived)
                size += len(arrived.rest)
                if size >= _HELD_BYTES or arrived.is_begun:
                    again += await self._put_down(held)
                    held, size = [], 0
        return again + await self._put_down(held)

    async def _take(self, frames: FrameReader, number: int, entry: Entry) -> _Arrived:
        rest, is_begun = bytearray(), False
        async for block in frames.read_file():
            self.progress.add_bytes(len(block))
            rest += block
            if len(rest) >= _HELD_BYTES:
                piece, rest = bytes(rest), bytearray()
                is_first, is_begun = not is_begun, True
                await in_thread(lambda piece=piece, is_first=is_first: self._append(number, piece, is_first=is_first))  # type: ignore[misc]
        return _Arrived(number, entry, bytes(rest), await frames.read_given(), is_begun)

    def _append(self, number: int, piece: bytes, *, is_first: bool) -> None:
        """Write a part of a large file, of which there is one at a time."""
        if is_first:
            self.staging.drop(number)
            self._digest = hashlib.sha256()
        descriptor = self.staging.create(number) if is_first else self.staging.open_gathered(number)
        with _closing(descriptor):
            assert self._digest is not None
            self._digest.update(piece)
            os.lseek(descriptor, 0, os.SEEK_END)
            _write_all(descriptor, piece)

    async def _put_down(self, held: list[_Arrived]) -> list[tuple[int, Entry]]:
        return await in_thread(lambda: [again for one in held for again in self._finish(one)])

    def _finish(self, one: _Arrived) -> list[tuple[int, Entry]]:
        """Finish a file, and return it where it has to come again."""
        told = one.given.entry
        if told is None:
            self.failed[one.wanted.path] = one.given.problem or "it did not come"
            self.staging.drop(one.number)
            return []
        is_asked = told.path == write_path(one.wanted.path)
        entry = self.owners.kept(from_wire(told), is_counted=False) if is_asked else None
        digest = self._digest if one.is_begun and self._digest is not None else hashlib.sha256()
        digest.update(one.rest)
        if entry is None or not one.given.is_settled or digest.hexdigest() != entry.sha256:
            self.staging.drop(one.number)
            return [(one.number, one.wanted)]
        if not one.is_begun:
            self.staging.drop(one.number)  # of a round before
        descriptor = self.staging.open_gathered(one.number) if one.is_begun else self.staging.create(one.number)
        with _closing(descriptor):
            os.lseek(descriptor, 0, os.SEEK_END)
            _write_all(descriptor, one.rest)
            self._seal(descriptor, entry)
        if entry != one.wanted:
            self.came[one.number] = entry
        self.fetched += 1
        self.progress.add_rows(1)
        return []


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
