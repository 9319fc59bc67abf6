"""What of a copy is no longer as its last sync left it: found by comparing two lists. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from services.standby_controller.files.plan import is_dressed
from services.standby_controller.verify.model import Difference, DifferenceKind
from shared.files.entries import Entry, EntryKind, order_of, write_path

MOST_FOUND: Final = 1000


def find_drift(left: Iterable[Entry], own: Iterable[Entry]) -> Iterator[Difference]:
    """Yield where a tree differs from what a sync left; both are sorted by `order_of`."""
    before, now = iter(left), iter(own)
    was, found = next(before, None), next(now, None)
    while was is not None or found is not None:
        if found is None or (was is not None and order_of(was.path) < order_of(found.path)):
            assert was is not None
            if was.kind is not EntryKind.LEFT:
                yield replace(_difference(was, f"it is missing: the last sync left a {was.kind} there"), missing=1)
            was = next(before, None)
        elif was is None or order_of(found.path) < order_of(was.path):
            if found.kind is not EntryKind.LEFT:
                yield replace(_difference(found, f"it is extra: no sync made this {found.kind}"), extra=1)
            found = next(now, None)
        else:
            text = _compare(was, found)
            if text is not None:
                yield replace(_difference(was, text), changed=1)
            was, found = next(before, None), next(now, None)


def tell_silent(own: Entry) -> Difference:
    """Return the difference of a file that has other bytes than its source, though size and time are the same."""
    text = "its bytes are not the source's, though size and time are the same"
    return replace(_difference(own, text), changed=1)


def _compare(was: Entry, found: Entry) -> str | None:
    if EntryKind.LEFT in (was.kind, found.kind):
        return None
    if was.kind is not found.kind:
        return f"it is a {found.kind}, the last sync left a {was.kind}"
    if was.kind is EntryKind.LINK and was.target != found.target:
        return f"it leads to {write_path(found.target)}, the last sync made it lead to {write_path(was.target)}"
    if was.kind is EntryKind.FILE and was.sha256 != found.sha256:
        if found.size < was.size:
            return f"it is truncated: {found.size} bytes of the {was.size} that were synced"
        if found.size > was.size:
            return f"it has grown: {found.size} bytes, {was.size} were synced"
        same = ", size and time are the same" if found.mtime_ns == was.mtime_ns else ""
        return f"its bytes are not those that were synced{same}"
    return None if is_dressed(was, found) else "its rights, owner or time are not those that were synced"


def _difference(entry: Entry, text: str) -> Difference:
    return Difference(DifferenceKind.FILE, write_path(entry.path), text)
