"""The contents of files: their blocks with lengths, and behind each file what it was while it was read."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass

from shared.files.entries import EntryKind, read_path
from shared.files.owners import Owners
from shared.files.patterns import leaving
from shared.files.scan import entry_of, is_same
from shared.files.tree import GONE, Tree
from shared.files.wire import BLOCK_BYTES, GivenFile, WantFiles, frame, to_wire
from shared.settings import FileSetSettings


@dataclass(frozen=True, slots=True)
class Giving:
    """The files of one request, one after the other; which of them is wrong is said behind it, never raised."""

    file_set: FileSetSettings
    wanted: WantFiles

    def frames(self, is_stopped: Callable[[], bool]) -> Generator[bytes, None, None]:
        """Yield the stream; raises FileSetMissing, FileSetUnusable. In a thread: it reads the disk."""
        owners, leaves = Owners(), leaving(self.file_set.exclude)
        with Tree.open(self.file_set.path, self.file_set.name) as tree:
            for one in self.wanted.files:
                given = GivenFile(problem="it is not part of the file set")
                try:
                    path = read_path(one.path)
                except ValueError:
                    pass
                else:
                    if not _is_left(leaves, path):
                        given = yield from _read(tree, path, owners, is_stopped)
                yield frame(b"") + frame(given.model_dump_json(exclude_defaults=True).encode())


def _is_left(leaves: Callable[[bytes, bool], bool], path: bytes) -> bool:
    """Say whether a file is left alone, or lies in a folder that is."""
    parts = path.split(b"/")
    return leaves(path, False) or any(leaves(b"/".join(parts[:count]), True) for count in range(1, len(parts)))


def _read(tree: Tree, path: bytes, owners: Owners, is_stopped: Callable[[], bool]) -> Generator[bytes, None, GivenFile]:
    try:
        with tree.reading(path) as descriptor:
            before, digest = os.fstat(descriptor), hashlib.sha256()
            left = before.st_size
            while block := os.read(descriptor, BLOCK_BYTES):
                digest.update(block)
                yield frame(block)
                left -= len(block)
                if left < 0 or is_stopped():
                    break  # it grows while it is read: its end would never come
            after = os.fstat(descriptor)
    except OSError as error:
        tree.forget()
        may_not = error.errno in (errno.EACCES, errno.EPERM)
        gone = "it is gone" if error.errno in GONE else error.strerror or "it cannot be read"
        return GivenFile(problem="it may not be read" if may_not else gone)
    entry = entry_of(path, EntryKind.FILE, after, owners, sha256=digest.hexdigest())
    return GivenFile(entry=to_wire(entry), is_settled=left == 0 and is_same(before, after))
