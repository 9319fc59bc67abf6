"""What a comparison is, what one round of it gives, and what a row of the table says; measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

StageT = TypeVar("StageT")


class NotMeasured(Exception):
    """A comparison cannot be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    major: int = 18
    rounds: int = 3
    rows: int = 1_000_000
    hot_rows: int = 10_000
    idle_tables: tuple[int, ...] = (1_000, 10_000)
    idle_syncs: int = 5
    load_seconds: int = 30
    memory_mb: int = 1_000
    large_row_mb: int = 32
    is_quick: bool = False


DEFAULT: Final = Sizes()
QUICK: Final = Sizes(
    rounds=1,
    rows=20_000,
    hot_rows=1_000,
    idle_tables=(30, 60),
    idle_syncs=2,
    load_seconds=2,
    memory_mb=20,
    large_row_mb=2,
    is_quick=True,
)
"""Shows that everything runs; the figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Round:
    """One measured round: our figure, the peer's where there is one, and a remark."""

    ours: float
    peer: float | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """What is held against the target: the ratio, or without a peer our figure itself."""
        return self.ours if self.peer is None else self.ours / self.peer


@dataclass(frozen=True, slots=True)
class Case(Generic[StageT]):
    """A comparison with a peer, or a figure with a limit; without `wanted` it is shown for its own sake.

    `wanted` is the highest ratio ours : peer that the design asks for, or the highest figure where there is no peer;
    the lowest where `is_at_least`.
    """

    name: str
    run: Callable[[StageT], Awaitable[Round]]
    unit: str = "s"
    peer: str = ""
    wanted: float | None = None
    is_at_least: bool = False
    rounds: int | None = None

    def is_reached_by(self, value: float) -> bool | None:
        """Say whether a value reaches the target; None where there is none."""
        if self.wanted is None:
            return None
        return value >= self.wanted if self.is_at_least else value <= self.wanted


@dataclass(frozen=True, slots=True)
class Group(Generic[StageT]):
    """Comparisons that are made on one stage, one after the other."""

    open: Callable[[Path], AbstractAsyncContextManager[StageT]]
    cases: tuple[Case[StageT], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What a comparison came to: medians of its rounds, or why it has none."""

    name: str
    peer: str
    unit: str
    wanted: float | None
    is_at_least: bool
    rounds: int = 0
    ours: float | None = None
    peers: float | None = None
    value: float | None = None
    lowest: float | None = None
    highest: float | None = None
    reached: bool | None = None
    note: str = ""
    not_measured: str | None = None
    error: str | None = None


def summarise(case: Case[StageT], rounds: list[Round]) -> Row:
    """Return the medians of both sides, and the median of what is held against the target, round by round."""
    values = [one.value for one in rounds]
    peers = [one.peer for one in rounds if one.peer is not None]
    value = statistics.median(values)
    return Row(
        case.name,
        case.peer,
        case.unit,
        case.wanted,
        case.is_at_least,
        rounds=len(rounds),
        ours=round(statistics.median(one.ours for one in rounds), 3),
        peers=round(statistics.median(peers), 3) if peers else None,
        value=round(value, 3),
        lowest=round(min(values), 3),
        highest=round(max(values), 3),
        reached=case.is_reached_by(value),
        note=rounds[-1].note,
    )


def leave_out(case: Case[StageT], *, error: str | None = None, not_measured: str | None = None) -> Row:
    """Return the row of a comparison that was not made, or that failed."""
    return Row(case.name, case.peer, case.unit, case.wanted, case.is_at_least, error=error, not_measured=not_measured)
