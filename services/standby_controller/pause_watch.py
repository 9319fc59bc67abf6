"""Notices that this very process was stopped or starved, so that time it slept through is not held against others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from shared.clock import Clock

TICK_SECONDS: Final = 0.25
PAUSE_SECONDS: Final = 1.0


class PauseWatch:
    """A steady tick; where two ticks are far apart, the process was paused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_tick = clock.monotonic()
        self._pauses: deque[tuple[float, float]] = deque(maxlen=20)
        self._ticked = asyncio.Condition()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clock.monotonic()
            if now - self._last_tick >= PAUSE_SECONDS:
                self._pauses.append((self._last_tick, now))
            self._last_tick = now
            async with self._ticked:
                self._ticked.notify_all()

    async def was_paused_since(self, since: float) -> bool:
        """Say, after one more tick, whether the process was paused at some time after `since` (monotonic)."""
        async with self._ticked:
            await self._ticked.wait()
        return any(until > since for _, until in self._pauses)
