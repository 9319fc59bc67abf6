"""What a sync of a file set is going to do, in files beside the tree: what comes, what goes, what gets attributes."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from services.standby_controller.files.plan import Bring, Dress, Leave, Remove, plan
from shared.files.entries import Entry, EntryKind
from shared.files.index import IndexHead, IndexWriter, Known, read_index
from shared.files.steps import Away, Put, Step
from shared.files.steps import Dress as DressStep

LISTING: Final = "listing"
OWN: Final = "own"
_HEAD: Final = IndexHead("sync", 1)
_MOST_LEFT: Final = 1000


class EntryFile:
    """Entries in a file, in the order in which they were added; it goes with the folder it lies in."""

    def __init__(self, path: Path) -> None:
        """Begin it; raises OSError."""
        self._path = path
        self._writer = IndexWriter(path, _HEAD)
        self.count = 0

    def add(self, known: Known) -> None:
        """Write the next one."""
        self._writer.add(known)
        self.count += 1

    def close(self) -> None:
        """Let it be read."""
        self._writer.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.discard()

    def read(self) -> Iterator[Known]:
        """Yield what was written."""
        return read_index(self._path)


@dataclass(slots=True)
class Draft:
    """The acts of one sync, counted."""

    folder: Path
    brings: EntryFile = field(init=False)
    goes: EntryFile = field(init=False)
    replaced: EntryFile = field(init=False)
    dresses: EntryFile = field(init=False)
    left: dict[bytes, str] = field(default_factory=dict)
    left_count: int = 0
    size_bytes: int = 0
    """Of the files that come."""
    attributes: int = 0
    """Paths of which only attributes change."""
    silent: list[Entry] = field(default_factory=list)
    """Files with other bytes than the source's, though size and time are the same."""

    def __post_init__(self) -> None:
        """Begin the files."""
        self.brings, self.goes = EntryFile(self.folder / "brings"), EntryFile(self.folder / "goes")
        self.replaced, self.dresses = EntryFile(self.folder / "replaced"), EntryFile(self.folder / "dresses")

    @classmethod
    def make(cls, folder: Path) -> Draft:
        """Plan by the two lists that lie in the folder. In a thread: it reads and writes."""
        draft = cls(folder)
        with draft.brings, draft.goes, draft.replaced, draft.dresses:
            draft._plan()
        return draft

    def _plan(self) -> None:
        folder = self.folder
        theirs, ours = (read_index(folder / name) for name in (LISTING, OWN))
        for act in plan((one.entry for one in theirs), (one.entry for one in ours)):
            match act:
                case Bring(entry, own):
                    self.brings.add(Known(entry))
                    self.size_bytes += entry.size
                    if own is not None:
                        self.replaced.add(Known(own))
                        self._note_silent(entry, own)
                case Remove(own):
                    self.goes.add(Known(own))
                case Dress(entry, is_new):
                    self.dresses.add(Known(entry))
                    self.attributes += not is_new
                case Leave(path, reason):
                    self.leave(path, reason)

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to do."""
        return not (self.brings.count or self.goes.count or self.dresses.count)

    def leave(self, path: bytes, reason: str) -> None:
        """Note that a path stays as it is."""
        self.left_count += path not in self.left
        if len(self.left) < _MOST_LEFT:
            self.left[path] = reason

    def steps(self, failed: Set[bytes]) -> Iterator[Step]:
        """Yield the steps: what goes, what comes, attributes. Where something did not come, what lies there stays."""
        for number, known in enumerate(self.goes.read()):
            path = known.entry.path
            if not failed or not _lies_in(path, failed):
                yield Away(path, number)
        for number, known in enumerate(self.brings.read()):
            if known.entry.path not in failed:
                yield Put(known.entry.path, number)
        for known in self.dresses.read():
            yield DressStep(known.entry)

    def _note_silent(self, entry: Entry, own: Entry) -> None:
        is_silent = entry.kind is own.kind is EntryKind.FILE
        if is_silent and (entry.size, entry.mtime_ns) == (own.size, own.mtime_ns) and len(self.silent) < _MOST_LEFT:
            self.silent.append(own)


def _lies_in(path: bytes, places: Set[bytes]) -> bool:
    parts = path.split(b"/")
    return any(b"/".join(parts[:count]) in places for count in range(1, len(parts) + 1))
