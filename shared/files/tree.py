"""A folder and what lies below it, reached name by name from its own descriptor: no symbolic link is ever followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from shared.errors import FileSetMissing, FileSetUnusable
from shared.files.entries import parent_of

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What says that a path is not, or no longer, what it was taken for."""


class Tree:
    """An open tree; used by one thread at a time, and closed at the end."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path: Final = path
        self._root = descriptor
        self._names: list[bytes] = []
        self._descriptors: list[int] = []

    @classmethod
    def open(cls, path: Path, name: str) -> Self:
        """Open the folder of a file set; raises FileSetMissing, FileSetUnusable."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileSetMissing(f"file set {name}: there is no folder {path} on this node") from error
        except OSError as error:
            raise FileSetUnusable(f"file set {name}: {path}: {error.strerror}") from error

    def close(self) -> None:
        """Let go of it; safe to repeat."""
        self.forget()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> int:
        """Return the descriptor of the folder itself."""
        return self._root

    @property
    def device(self) -> int:
        """Return the file system it lies on."""
        return os.fstat(self._root).st_dev

    def forget(self) -> None:
        """Look anew at all folders below: one was moved, or another one stands in its place."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._names.clear()

    def folder(self, path: bytes) -> int:
        """Return the descriptor of a folder, good until the next call; raises OSError, of GONE where it is none."""
        parts = path.split(b"/") if path else []
        common = 0
        while common < min(len(parts), len(self._names)) and parts[common] == self._names[common]:
            common += 1
        while len(self._descriptors) > common:
            os.close(self._descriptors.pop())
            self._names.pop()
        for part in parts[common:]:
            above = self._descriptors[-1] if self._descriptors else self._root
            self._descriptors.append(os.open(part, _FOLDER, dir_fd=above))
            self._names.append(part)
        return self._descriptors[-1] if self._descriptors else self._root

    def place(self, path: bytes) -> tuple[int, bytes]:
        """Return the descriptor of the folder that a path lies in, and the name there."""
        return self.folder(parent_of(path)), path.rpartition(b"/")[2]

    def look(self, path: bytes) -> os.stat_result | None:
        """Return what lies at a path; None where nothing does."""
        try:
            folder, name = self.place(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno in GONE:
                return None
            raise

    @contextmanager
    def reading(self, path: bytes) -> Iterator[int]:
        """Open a regular file for the time of a block; raises OSError."""
        folder, name = self.place(path)
        with opened(folder, name) as descriptor:
            yield descriptor


@contextmanager
def opened(folder: int, name: bytes | str) -> Iterator[int]:
    """Open a regular file of a folder for the time of a block; raises OSError, of GONE where it is none."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOENT, "no regular file any more")
        yield descriptor
    finally:
        os.close(descriptor)
