"""What lies at one path of a tree, and how paths are written and ordered. Values only.

Names are bytes, as the file system has them. As text they are percent-encoded, so that any name is plain ASCII on the
wire, in notes and before people.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

LONGEST_NAME: Final = 255
LONGEST_PATH: Final = 4095
_PLAIN: Final = string.punctuation.replace("%", "").replace('"', "").replace("\\", "") + " "


class EntryKind(StrEnum):
    """What lies at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    LEFT = "left"
    """Something is there that is not kept: excluded, unreadable, a socket, a mounted file system."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies at a path; the path is relative to the tree, with `/`, never empty."""

    path: bytes
    kind: EntryKind
    mode: int = 0
    owner: str = ""
    group: str = ""
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    """Of a regular file."""
    target: bytes = b""
    """Of a symbolic link."""
    reason: str = ""
    """Why it is not kept."""

    @property
    def holds_same(self) -> tuple[object, ...]:
        """Return what two entries have in common that hold the same, whatever their attributes."""
        return self.kind, self.size, self.sha256, self.target


def order_of(path: bytes) -> bytes:
    """Return the key by which paths are sorted: a folder, all below it, its next sibling."""
    return path.replace(b"/", b"\0")


def write_path(path: bytes) -> str:
    """Return a path as text."""
    return quote_from_bytes(path, safe=_PLAIN)


def read_path(text: str) -> bytes:
    """Return the path of a text; raise ValueError for one that leads out of a tree, or nowhere."""
    path = unquote_to_bytes(text)
    if write_path(path) != text:
        raise ValueError("it is not written as paths are")
    check_path(path)
    return path


def check_path(path: bytes) -> None:
    """Raise ValueError for a path that no file below a folder has."""
    if len(path) > LONGEST_PATH or b"\0" in path:
        raise ValueError("it is too long, or has a zero byte")
    for name in path.split(b"/"):
        if name in (b"", b".", b"..") or len(name) > LONGEST_NAME:
            raise ValueError("it has a part that no name in a folder is")


def parent_of(path: bytes) -> bytes:
    """Return the path of the folder; empty for the tree itself."""
    return path.rpartition(b"/")[0]
