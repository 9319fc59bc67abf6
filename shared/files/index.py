"""What a tree held when it was read last, path by path in a file: which digests need not be made again."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from shared.files.atomic import sync_folder
from shared.files.entries import Entry, EntryKind, order_of, read_path, write_path

FORMAT: Final = 1
RACY_NS: Final = 2 * 10**9
"""A file changed so shortly before it was read may have changed again without a later time to show for it."""


@dataclass(frozen=True, slots=True)
class Known:
    """An entry as it was found, and what tells whether it was changed since."""

    entry: Entry
    ctime_ns: int = 0
    inode: int = 0
    seen_at_ns: int = 0
    """The node's wall clock before it was read; 0 says that it changed meanwhile."""

    def is_of(self, found: os.stat_result) -> bool:
        """Say whether the file is the one that was read, not touched since."""
        entry = self.entry
        return (
            entry.kind is EntryKind.FILE
            and (entry.size, entry.mtime_ns) == (found.st_size, found.st_mtime_ns)
            and (self.ctime_ns, self.inode) == (found.st_ctime_ns, found.st_ino)
            and self.seen_at_ns - found.st_mtime_ns > RACY_NS
        )


@dataclass(frozen=True, slots=True)
class IndexHead:
    """Which index it is, and how often it was written."""

    id: str
    seq: int

    @property
    def name(self) -> str:
        """Return what no other index is called."""
        return f"{self.id}:{self.seq}"


class Walker:
    """Finds paths in what is sorted, forward only."""

    def __init__(self, items: Iterable[Known]) -> None:
        """Stand before the first."""
        self._items = iter(items)
        self._next = next(self._items, None)

    def find(self, path: bytes) -> Known | None:
        """Return what is known of a path; paths are asked for in their order."""
        order = order_of(path)
        while self._next is not None and order_of(self._next.entry.path) < order:
            self._next = next(self._items, None)
        return self._next if self._next is not None and self._next.entry.path == path else None


def read_head(path: Path) -> IndexHead | None:
    """Return which index a file is; None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.readline(4096))
        return IndexHead(str(told["id"]), int(told["seq"])) if told["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def next_head(path: Path) -> IndexHead:
    """Return the head of the index that is to follow the one at a path."""
    before = read_head(path)
    return IndexHead(secrets.token_hex(8), 1) if before is None else IndexHead(before.id, before.seq + 1)


def read_index(path: Path) -> Iterator[Known]:
    """Yield what a file of entries holds, as far as it can be read: what is not known is only read again."""
    if read_head(path) is None:
        return
    with path.open("rb") as file:
        file.readline()
        for line in file:
            try:
                yield _parse(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError):
                return


class IndexWriter:
    """Writes a file of entries beside the old one, which `commit` replaces durably; `discard` leaves no trace."""

    def __init__(self, path: Path, head: IndexHead) -> None:
        """Begin; the folder must be there. Raises OSError."""
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.{head.seq}.{id(self):x}.new")
        for left in path.parent.glob(f".{path.name}.*.new"):
            if not Path(f"/proc/{left.name.split('.')[2]}").exists():
                left.unlink(missing_ok=True)  # its writer was killed
        self._file = self._temporary.open("wb", buffering=1 << 20)
        self._file.write(_line({"format": FORMAT, "id": head.id, "seq": head.seq}))

    def add(self, known: Known) -> None:
        """Write the next entry."""
        one = known.entry
        self._file.write(
            _line(
                [
                    write_path(one.path),
                    one.kind.value,
                    one.mode,
                    one.owner,
                    one.group,
                    one.size,
                    one.mtime_ns,
                    one.sha256,
                    write_path(one.target),
                    one.reason,
                    known.ctime_ns,
                    known.inode,
                    known.seen_at_ns,
                ]
            )
        )

    def commit(self) -> None:
        """Take the old one's place."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Give it up; nothing more where it was committed."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _parse(told: list[Any]) -> Known:
    path, kind, mode, owner, group, size, mtime_ns, sha256, target, reason, ctime_ns, inode, seen_at_ns = told
    entry = Entry(
        read_path(path), EntryKind(kind), mode, owner, group, size, mtime_ns, sha256, unquote_to_bytes(target), reason
    )
    return Known(entry, ctime_ns, inode, seen_at_ns)
