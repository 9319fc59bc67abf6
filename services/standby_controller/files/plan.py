"""What makes a tree like its source: two sorted lists in, acts out, nothing of either held in memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.files.entries import Entry, EntryKind, order_of

_HOLDS: Final = "a folder here holds what is left alone"


@dataclass(frozen=True, slots=True)
class Bring:
    """A file, a folder or a link comes to its path; `own` is what lies there now and is replaced in one step."""

    entry: Entry
    own: Entry | None = None


@dataclass(frozen=True, slots=True)
class Dress:
    """Only attributes differ, or a folder's are set when all is in it."""

    entry: Entry
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """What lies here goes; a folder comes after all that lay in it."""

    own: Entry


@dataclass(frozen=True, slots=True)
class Leave:
    """A path stays as it is, and why."""

    path: bytes
    reason: str


Act = Bring | Dress | Remove | Leave


@dataclass(slots=True)
class _Folder:
    """A folder whose inside is being looked at."""

    path: bytes
    leaving: Entry | None = None
    """It goes when nothing in it stays."""
    then: Entry | None = None
    """What comes in its place."""
    dress: Entry | None = None
    is_new: bool = False
    is_passed: bool = False
    """Nothing below is touched."""
    holds: bool = False
    """Something in it stays whatever happens."""


def plan(source: Iterable[Entry], own: Iterable[Entry]) -> Iterator[Act]:
    """Yield what has to be done, in the order of paths; a folder's attributes and removal come behind its inside.

    Both are sorted by `order_of`, each entry below a folder that is listed.
    """
    folders: list[_Folder] = []
    theirs, ours = iter(source), iter(own)
    there, here = next(theirs, None), next(ours, None)
    while there is not None or here is not None:
        first = _first(there, here)
        while folders and not first.path.startswith(folders[-1].path + b"/"):
            yield from _leave_folder(folders)
        is_there = there is not None and there.path == first.path
        is_here = here is not None and here.path == first.path
        if not (folders and folders[-1].is_passed):
            yield from _judge(there if is_there else None, here if is_here else None, folders)
        there = next(theirs, None) if is_there else there
        here = next(ours, None) if is_here else here
    while folders:
        yield from _leave_folder(folders)


def is_dressed(expected: Entry, own: Entry) -> bool:
    """Say whether attributes are as expected; an owner that cannot be kept (empty) is none."""
    return (
        expected.mode == own.mode
        and expected.mtime_ns == own.mtime_ns
        and expected.owner in ("", own.owner)
        and expected.group in ("", own.group)
    )


def _first(there: Entry | None, here: Entry | None) -> Entry:
    if there is None or here is None:
        found = there or here
        assert found is not None
        return found
    return there if order_of(there.path) <= order_of(here.path) else here


def _judge(there: Entry | None, here: Entry | None, folders: list[_Folder]) -> Iterator[Act]:
    left = next((one for one in (there, here) if one is not None and one.kind is EntryKind.LEFT), None)
    if left is not None:
        folders.append(_Folder(left.path, is_passed=True))
        if here is not None:
            _note_held(folders[:-1])
        if there is not None:
            yield Leave(left.path, left.reason)
    elif there is None:
        assert here is not None
        if here.kind is EntryKind.FOLDER:
            folders.append(_Folder(here.path, leaving=here))
        else:
            yield Remove(here)
    elif here is None:
        yield Bring(there)
        if there.kind is EntryKind.FOLDER:
            folders.append(_Folder(there.path, dress=there, is_new=True))
    else:
        yield from _compare(there, here, folders)


def _compare(there: Entry, here: Entry, folders: list[_Folder]) -> Iterator[Act]:
    match there.kind is EntryKind.FOLDER, here.kind is EntryKind.FOLDER:
        case True, True:
            folders.append(_Folder(there.path, dress=None if is_dressed(there, here) else there))
        case True, False:
            yield Remove(here)
            yield Bring(there)
            folders.append(_Folder(there.path, dress=there, is_new=True))
        case False, True:
            folders.append(_Folder(there.path, leaving=here, then=there))
        case _:
            if there.holds_same != here.holds_same:
                yield Bring(there, here)
            elif not is_dressed(there, here):
                yield Dress(there)


def _leave_folder(folders: list[_Folder]) -> Iterator[Act]:
    folder = folders.pop()
    if folder.leaving is not None:
        if folder.holds:
            yield Leave(folder.path, _HOLDS)
        else:
            yield Remove(folder.leaving)
            if folder.then is not None:
                yield Bring(folder.then)
    if folder.dress is not None:
        yield Dress(folder.dress, folder.is_new)


def _note_held(folders: list[_Folder]) -> None:
    for folder in folders:
        folder.holds = True
