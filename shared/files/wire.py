"""What the two ends of a file set's sync say to each other: a listing, files wanted, files given. No I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from pydantic import Field, ValidationError

from shared.errors import ListingRefused, TransferIncomplete
from shared.files.entries import LONGEST_PATH, Entry, EntryKind, order_of, parent_of, read_path, write_path
from shared.node.model import Envelope, Wire
from shared.replication.model import SyncPoint

MOST_WANTED: Final = 1000
"""So many files are asked for at a time."""
BLOCK_BYTES: Final = 256 * 1024
_LONGEST_LINE: Final = 64 * 1024
_LENGTH_BYTES: Final = 4


class OpenListing(Wire):
    """The standby asks what lies in a file set (`POST /file-sets/{name}/listing`)."""

    term: int = Field(description="Epoch of the term the standby follows.")
    is_rehashed: bool = Field(
        False, description="Read every file again, also where nothing of it seems to have changed."
    )


class ListingHead(Envelope):
    """The first line of a listing."""

    file_set: str
    point: SyncPoint
    taken_at: datetime
    exclude: tuple[str, ...] = Field(description="What the active node leaves alone; the standby does so too.")


class ListedEntry(Wire):
    """A line for each path, in the order of paths: a folder, all below it, its next sibling."""

    path: str = Field(description="Relative, percent-encoded.")
    kind: EntryKind
    mode: int = Field(0, ge=0, le=0o7777)
    owner: str = ""
    group: str = ""
    size: int = Field(0, ge=0)
    mtime_ns: int = 0
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$", description="Of a regular file.")
    target: str = Field("", description="Of a symbolic link, percent-encoded.")
    reason: str = Field("", max_length=200, description="Why it is not kept.")


class ListingEnd(Wire):
    """The last line of a listing: without it, it is not whole."""

    entries: int
    hashed_files: int = Field(description="Files that had to be read: their digest was not known.")
    hashed_bytes: int


class WantedFile(Wire):
    """One file of a request."""

    path: str


class WantFiles(Wire):
    """Files whose contents the standby wants (`POST /file-sets/{name}/contents`)."""

    files: tuple[WantedFile, ...] = Field(max_length=MOST_WANTED)


class GivenFile(Wire):
    """What follows the bytes of each file."""

    entry: ListedEntry | None = Field(None, description="What was sent; null where it could not be.")
    problem: str = Field("", description="Why not.")
    is_settled: bool = Field(False, description="It did not change while it was read.")


def to_wire(entry: Entry) -> ListedEntry:
    """Return an entry as it is told."""
    return ListedEntry(
        path=write_path(entry.path),
        kind=entry.kind,
        mode=entry.mode,
        owner=entry.owner,
        group=entry.group,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        sha256=entry.sha256,
        target=write_path(entry.target),
        reason=entry.reason,
    )


def from_wire(told: ListedEntry) -> Entry:
    """Return an entry that was told; raises ListingRefused for one that no tree has."""
    try:
        path = read_path(told.path)
        target = b"" if told.kind is not EntryKind.LINK else _read_target(told.target)
        if told.kind is EntryKind.FILE and not told.sha256:
            raise ValueError("it has no digest")
    except ValueError as error:
        raise ListingRefused(f"the other node's listing names {told.path[:200]!r}: {error}") from None
    return Entry(
        path, told.kind, told.mode, told.owner, told.group, told.size, told.mtime_ns, told.sha256, target, told.reason
    )


def _read_target(text: str) -> bytes:
    target = unquote_to_bytes(text)
    if not target or b"\0" in target or len(target) > LONGEST_PATH:
        raise ValueError("it is a link to nothing")
    return target


class ListingReader:
    """Takes a listing as it arrives and gives its entries, each of them checked against all before it."""

    def __init__(self) -> None:
        """Wait for the first line."""
        self.head: ListingHead | None = None
        self.end: ListingEnd | None = None
        self._rest = bytearray()
        self._count = 0
        self._last: bytes | None = None
        self._folders: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Entry]:
        """Yield the entries of the whole lines that have come; raises ListingRefused."""
        self._rest += chunk
        *lines, rest = bytes(self._rest).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise ListingRefused("the other node's listing has a line without end")
        self._rest = bytearray(rest)
        for line in lines:
            if not line:
                continue  # a life sign
            try:
                if self.head is None:
                    self.head = ListingHead.model_validate_json(line)
                elif self.end is not None:
                    raise ListingRefused("the other node's listing goes on behind its end")
                elif line.startswith(b'{"entries"'):
                    self.end = ListingEnd.model_validate_json(line)
                else:
                    yield self._take(from_wire(ListedEntry.model_validate_json(line)))
            except ValidationError as error:
                fault = error.errors(include_input=False)[0]
                raise ListingRefused(f"the other node's listing cannot be read: {fault['msg']}") from None

    def finish(self) -> ListingHead:
        """Return the head of a listing that has come as a whole; raises TransferIncomplete."""
        if self.head is None or self.end is None or self._rest or self.end.entries != self._count:
            raise TransferIncomplete(f"the other node's listing broke off after {self._count} entries")
        return self.head

    def _take(self, entry: Entry) -> Entry:
        """See that an entry comes in order, and below nothing but folders that were listed."""
        order = order_of(entry.path)
        if self._last is not None and order <= self._last:
            raise ListingRefused(f"the other node's listing is out of order at {write_path(entry.path)!r}")
        self._last = order
        parent = parent_of(entry.path)
        while self._folders and self._folders[-1] != parent:
            self._folders.pop()
        if parent and not self._folders:
            raise ListingRefused(f"the other node's listing names {write_path(entry.path)!r}, which lies in no folder")
        if entry.kind is EntryKind.FOLDER:
            self._folders.append(entry.path)
        self._count += 1
        return entry


def frame(block: bytes) -> bytes:
    """Return a block of a file with its length before it; an empty one ends the file."""
    return len(block).to_bytes(_LENGTH_BYTES, "big") + block


class FrameReader:
    """Reads files with their lengths from a stream, block by block."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        """Read nothing yet."""
        self._chunks = chunks
        self._rest = bytearray()

    async def read_file(self) -> AsyncIterator[bytes]:
        """Yield the blocks of the next file; then `read_given` tells what they were."""
        while length := await self._read_length():
            if length > BLOCK_BYTES:
                raise TransferIncomplete("a block is longer than blocks are")
            yield await self._read(length)

    async def read_given(self) -> GivenFile:
        """Return what is said behind a file's last block."""
        length = await self._read_length()
        if length > _LONGEST_LINE:
            raise TransferIncomplete("what is said of a file is longer than it can be")
        try:
            return GivenFile.model_validate_json(await self._read(length))
        except ValidationError:
            raise TransferIncomplete("what is said of a file cannot be read") from None

    async def _read_length(self) -> int:
        return int.from_bytes(await self._read(_LENGTH_BYTES), "big")

    async def _read(self, count: int) -> bytes:
        while len(self._rest) < count:
            try:
                self._rest += await anext(self._chunks)
            except StopAsyncIteration:
                raise TransferIncomplete("the stream of files broke off") from None
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        return taken
