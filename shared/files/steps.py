"""The steps by which a tree becomes another, and how a journal writes them. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.files.entries import Entry, EntryKind, read_path, write_path


@dataclass(frozen=True, slots=True)
class Away:
    """What lies at a path goes."""

    path: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Put:
    """What was gathered under a number takes its path."""

    path: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Dress:
    """What lies at a path gets attributes."""

    entry: Entry

    @property
    def path(self) -> bytes:
        """Return its path."""
        return self.entry.path


Step = Away | Put | Dress


def write_step(step: Step) -> dict[str, Any]:
    """Return a step as a journal has it."""
    match step:
        case Away(path, number):
            return {"away": write_path(path), "n": number}
        case Put(path, number):
            return {"put": write_path(path), "n": number}
        case Dress(entry):
            attributes = [entry.kind.value, entry.mode, entry.owner, entry.group, entry.mtime_ns]
            return {"dress": write_path(entry.path), "as": attributes}


def read_step(told: dict[str, Any]) -> Step:
    """Return the step that a journal has; raises ValueError, KeyError."""
    if "away" in told:
        return Away(read_path(told["away"]), int(told["n"]))
    if "put" in told:
        return Put(read_path(told["put"]), int(told["n"]))
    kind, mode, owner, group, mtime_ns = told["as"]
    return Dress(Entry(read_path(told["dress"]), EntryKind(kind), mode, owner, group, mtime_ns=mtime_ns))
