"""Reads a tree path by path: what lies there, and the digest of each file that is not known already."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.files.entries import LONGEST_PATH, Entry, EntryKind
from shared.files.index import Known, Walker
from shared.files.owners import Owners
from shared.files.patterns import Leaves
from shared.files.tree import GONE, Tree, opened

BLOCK_BYTES: Final = 1 << 20
_DEEPEST: Final = 200
_TIMES: Final = 3
_STRANGE: Final = (
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISFIFO, "it is a fifo"),
    (stat.S_ISBLK, "it is a device"),
    (stat.S_ISCHR, "it is a device"),
)
EXCLUDED: Final = "it is excluded"


class ScanStopped(Exception):
    """Nobody waits for the rest."""


class Knowing(Protocol):
    """Remembers what was read before."""

    def find(self, path: bytes) -> Known | None:
        """Return what is known of a path; paths are asked for in their order."""


@dataclass(slots=True)
class Scan:
    """One pass over a tree; counts what it had to read."""

    tree: Tree
    leaves: Leaves
    owners: Owners
    now_ns: Callable[[], int]
    known: Knowing = field(default_factory=lambda: Walker(()))
    is_rehashed: bool = False
    """Believe no digest that is known."""
    is_stopped: Callable[[], bool] = lambda: False
    tells_excluded: bool = False
    """Name what is left alone, too."""
    hashed_files: int = 0
    hashed_bytes: int = 0

    def run(self) -> Iterator[Known]:
        """Yield what lies in the tree, in the order of paths; raises ScanStopped, OSError of the tree itself."""
        device = self.tree.device
        root = os.dup(self.tree.root)
        try:
            yield from self._folder(root, b"", device, 0)
        finally:
            os.close(root)

    def _folder(self, folder: int, path: bytes, device: int, depth: int) -> Iterator[Known]:
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            if self.is_stopped():
                raise ScanStopped
            below = path + b"/" + name if path else name
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                if error.errno not in GONE:
                    yield _left(below, error)
                continue
            is_folder = stat.S_ISDIR(found.st_mode)
            if self.leaves(below, is_folder):
                if self.tells_excluded:
                    yield Known(Entry(below, EntryKind.LEFT, reason=EXCLUDED))
            elif is_folder:
                yield from self._below(folder, name, below, found, device, depth)
            else:
                known = self._look(folder, name, below, found)
                if known is not None:
                    yield known

    def _below(
        self, folder: int, name: bytes, path: bytes, found: os.stat_result, device: int, depth: int
    ) -> Iterator[Known]:
        if found.st_dev != device:
            yield Known(Entry(path, EntryKind.LEFT, reason="another file system is mounted there"))
            return
        if depth >= _DEEPEST or len(path) > LONGEST_PATH - 256:
            yield Known(Entry(path, EntryKind.LEFT, reason="it lies too deep"))
            return
        try:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno not in GONE:
                yield _left(path, error)
            return
        try:
            yield Known(self._entry(path, EntryKind.FOLDER, found), found.st_ctime_ns, found.st_ino)
            yield from self._folder(inner, path, device, depth + 1)
        finally:
            os.close(inner)

    def _look(self, folder: int, name: bytes, path: bytes, found: os.stat_result) -> Known | None:
        """Return what lies at a path that is no folder; None where it has just gone."""
        try:
            if stat.S_ISREG(found.st_mode):
                return self._file(folder, name, path, found)
            if stat.S_ISLNK(found.st_mode):
                entry = self._entry(path, EntryKind.LINK, found, target=os.readlink(name, dir_fd=folder))
                return Known(entry, found.st_ctime_ns, found.st_ino)
        except OSError as error:
            return None if error.errno in GONE else _left(path, error)
        why = next((reason for is_one, reason in _STRANGE if is_one(found.st_mode)), "it is no file")
        return Known(Entry(path, EntryKind.LEFT, reason=why))

    def _file(self, folder: int, name: bytes, path: bytes, found: os.stat_result) -> Known:
        known = self.known.find(path)
        if known is not None and not self.is_rehashed and known.is_of(found):
            entry = self._entry(path, EntryKind.FILE, found, sha256=known.entry.sha256)
            return Known(entry, found.st_ctime_ns, found.st_ino, known.seen_at_ns)
        with opened(folder, name) as descriptor:
            after, times = os.fstat(descriptor), 0
            while True:
                seen_at_ns, before, times = self.now_ns(), after, times + 1
                digest, after = self._digest(descriptor), os.fstat(descriptor)
                if is_same(before, after) or times == _TIMES:
                    break
            entry = self._entry(path, EntryKind.FILE, after, sha256=digest)
            return Known(entry, after.st_ctime_ns, after.st_ino, seen_at_ns if is_same(before, after) else 0)

    def _digest(self, descriptor: int) -> str:
        digest = hashlib.sha256()
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.hashed_files += 1
        while block := os.read(descriptor, BLOCK_BYTES):
            digest.update(block)
            self.hashed_bytes += len(block)
            if self.is_stopped():
                raise ScanStopped
        return digest.hexdigest()

    def _entry(
        self, path: bytes, kind: EntryKind, found: os.stat_result, *, sha256: str = "", target: bytes = b""
    ) -> Entry:
        return entry_of(path, kind, found, self.owners, sha256=sha256, target=target)


def entry_of(
    path: bytes, kind: EntryKind, found: os.stat_result, owners: Owners, *, sha256: str = "", target: bytes = b""
) -> Entry:
    """Return the entry of what was found; a folder's size and times, and a link's mode, say nothing."""
    is_file = kind is EntryKind.FILE
    return Entry(
        path=path,
        kind=kind,
        mode=0 if kind is EntryKind.LINK else stat.S_IMODE(found.st_mode),
        owner=owners.user(found.st_uid),
        group=owners.group(found.st_gid),
        size=found.st_size if is_file else 0,
        mtime_ns=found.st_mtime_ns if is_file else 0,
        sha256=sha256,
        target=target,
    )


def is_same(before: os.stat_result, after: os.stat_result) -> bool:
    """Say whether a file was not changed between two looks."""
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _left(path: bytes, error: OSError) -> Known:
    why = "it may not be read" if error.errno in (errno.EACCES, errno.EPERM) else f"{error.strerror}"
    return Known(Entry(path, EntryKind.LEFT, reason=why))
