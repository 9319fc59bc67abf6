"""What the services take while a large table is seeded and then changed, held against the limit of every size."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import memory
from bench.model import Case, Group, Round, Sizes
from lab.people import Json

SMALLER: Final = 4
SMALL_ROW_MB: Final = 1


@dataclass(frozen=True, slots=True)
class Scales:
    """Where pairs are weighed."""

    folder: Path
    sizes: Sizes
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def weigh(self, size_mb: int, document_mb: int) -> Json:
        """Return the figures of a pair that seeds and syncs tables of these sizes."""
        folder = self.folder / f"pair-{next(self.numbers)}"
        figures = await memory.measure(folder, major=self.sizes.major, size_mb=size_mb, document_mb=document_mb)
        if not figures["equal"]:
            raise AssertionError("the copy differs from its source")
        return figures


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return a figure for a large table, and one for large rows."""
    small, large = SMALL_ROW_MB, sizes.large_row_mb
    return (
        Group(
            partial(open_scales, sizes=sizes),
            (
                Case(f"memory, {sizes.memory_mb:,} MB", many_rows, "MB", wanted=_limit(small), rounds=1),
                Case(f"memory, rows of {large} MB", large_rows, "MB", wanted=_limit(large), rounds=1),
            ),
        ),
    )


@asynccontextmanager
async def open_scales(folder: Path, *, sizes: Sizes) -> AsyncIterator[Scales]:
    """Give the folder of the pairs."""
    yield Scales(folder, sizes)


async def many_rows(scales: Scales) -> Round:
    """The most that any service took; beside it, the most with a smaller table, which shows whether it is flat."""
    size = scales.sizes.memory_mb
    smaller = await scales.weigh(max(1, size // SMALLER), SMALL_ROW_MB)
    figures = await scales.weigh(size, SMALL_ROW_MB)
    return Round(_most(figures), note=f"{_each(figures)}; with {size // SMALLER:,} MB at most {_most(smaller):.0f} MB")


async def large_rows(scales: Scales) -> Round:
    """The most that any service took while large rows travelled."""
    figures = await scales.weigh(1, scales.sizes.large_row_mb)
    return Round(_most(figures), note=_each(figures))


def _limit(row_mb: int) -> float:
    return memory.limit_bytes(row_mb) / 10**6


def _most(figures: Json) -> float:
    return float(max(one["most_bytes"] for one in figures["services"].values())) / 10**6


def _each(figures: Json) -> str:
    return ", ".join(f"{name} {one['most_bytes'] / 10**6:.0f} MB" for name, one in figures["services"].items())
