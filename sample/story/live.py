"""What the live display shows: the running sync and the application's pace, as lines; drawn a few times a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sample.story.screen import Screen

DRAW_SECONDS: Final = 0.2
PACE_SECONDS: Final = 5.0
BAR_WIDTH: Final = 30

Json = dict[str, Any]


class Live:
    """The state of the display: set what happens, `run` draws it."""

    def __init__(self, screen: Screen, written: Callable[[], int | None]) -> None:
        """`written` counts the application's rows; None before it began and after it ended."""
        self._screen = screen
        self._written = written
        self._samples: deque[tuple[float, int]] = deque()
        self._title = ""
        self._since = time.monotonic()
        self._progress: Json | None = None

    def begin(self, title: str) -> None:
        """Turn to something else."""
        self._title, self._since, self._progress = title, time.monotonic(), None

    def look(self, sync: Json) -> None:
        """Take what the API says of a running sync."""
        self._progress = sync.get("progress")

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Draw as long as the block runs."""
        task = asyncio.create_task(self._draw())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self._screen.clear()

    async def _draw(self) -> None:
        while True:
            phase = self._progress["phase"] if self._progress else ""
            self._screen.show(f"{self._title} {phase}", list(self._lines()))
            await asyncio.sleep(DRAW_SECONDS)

    def _lines(self) -> Iterator[str]:
        now = time.monotonic()
        if self._progress is None:
            yield f"{self._title} … {now - self._since:.0f} s"
        else:
            yield f"{self._title}: {self._progress['phase']}"
            yield from progress_lines(self._progress)
        pace = self._pace(now)
        if pace is not None:
            yield f"  application: {pace:,.0f} rows written/s"

    def _pace(self, now: float) -> float | None:
        """Return the rows written a second, over the last seconds."""
        written = self._written()
        if written is None:
            self._samples.clear()
            return None
        self._samples.append((now, written))
        while now - self._samples[0][0] > PACE_SECONDS:
            self._samples.popleft()
        (then, before), elapsed = self._samples[0], now - self._samples[0][0]
        return (written - before) / elapsed if elapsed > 0 else 0.0 if then else None


def progress_lines(progress: Json) -> Iterator[str]:
    """Say how far a sync is: a bar where a whole is known, then the counters."""
    share = done_share(progress)
    if share is not None:
        filled = round(share * BAR_WIDTH)
        yield f"  [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {share:4.0%}"
    counters = [f"{progress['rows_done']:,} rows", f"{progress['bytes_done'] / 1e6:,.1f} MB"]
    if progress["bytes_per_second"] is not None:
        counters.append(f"{progress['bytes_per_second'] / 1e6:,.1f} MB/s")
    if progress["eta_seconds"] is not None:
        counters.append(f"ETA {progress['eta_seconds']:.0f} s")
    if progress["tables_total"]:
        counters.append(f"{progress['tables_done']} of {progress['tables_total']} tables")
    yield "  " + ", ".join(counters)


def done_share(progress: Json) -> float | None:
    """Return which part of the bytes, or else of the tables, is done."""
    for done, total in (("bytes_done", "bytes_total"), ("tables_done", "tables_total")):
        if progress[total]:
            return min(1.0, float(progress[done]) / float(progress[total]))
    return None
