"""Patterns of names that are left alone: `*.tmp` at any depth, `cache/**` from the folder on. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Leaves = Callable[[bytes, bool], bool]
"""Says of a path, and whether it is a folder, that it is left alone."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern that can match nothing."""
    bare = pattern.strip("/")
    if not bare or "\0" in bare or any(part in (".", "..", "") for part in bare.split("/")):
        raise ValueError("allowed are patterns as in *.tmp or cache/**, without '..' and empty parts")
    _expression(pattern)


def leaving(patterns: Iterable[str]) -> Leaves:
    """Return what says whether a path matches one of the patterns."""
    given = tuple(patterns)
    always = [_expression(pattern) for pattern in given if not pattern.endswith("/")]
    folders = [_expression(pattern) for pattern in given]

    def leaves(path: bytes, is_folder: bool) -> bool:
        return any(one.fullmatch(path) is not None for one in (folders if is_folder else always))

    return leaves


def _expression(pattern: str) -> re.Pattern[bytes]:
    """Translate a pattern; without a `/` inside it is a name at any depth."""
    bare = pattern.strip("/")
    is_anchored = "/" in pattern.rstrip("/")
    text = bare.encode("utf-8", "surrogateescape")
    made, place = bytearray(b"" if is_anchored else b"(?:.*/)?"), 0
    while place < len(text):
        if text.startswith(b"**/", place):
            made += b"(?:.*/)?"
            place += 3
        elif text.startswith(b"**", place):
            made += b".*"
            place += 2
        elif text[place : place + 1] == b"*":
            made += b"[^/]*"
            place += 1
        elif text[place : place + 1] == b"?":
            made += b"[^/]"
            place += 1
        elif text[place : place + 1] == b"[" and (end := text.find(b"]", place + 2)) > 0:
            inner = text[place + 1 : end]
            negated = inner[:1] in (b"!", b"^")
            inner = (inner[1:] if negated else inner).replace(b"\\", b"\\\\").replace(b"[", b"\\[")
            made += b"(?!/)[" + (b"^" if negated else b"") + inner + b"]"
            place = end + 1
        else:
            made += re.escape(text[place : place + 1])
            place += 1
    try:
        return re.compile(bytes(made), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None
