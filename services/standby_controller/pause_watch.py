"""Notices that this very process was stopped or starved, so that time it slept through is not held against others."""

from __future__ import annotations

import asyncio
from typing import Final

from shared.clock import Clock

TICK_SECONDS: Final = 0.25
PAUSE_SECONDS: Final = 1.0


class PauseWatch:
    """A steady tick; where two ticks are far apart, the process was paused.

    A wall clock that moves otherwise than the monotonic one is a pause too: a machine that was suspended may show it
    by nothing else.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_tick = clock.monotonic()
        self._last_wall = clock.now()
        self._ended_at: float | None = None

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.last_pause_ended()

    def last_pause_ended(self) -> float | None:
        """Return when the last pause ended (monotonic); None where there was none.

        It sees a pause that ended this moment too, whoever of the process is the first to run again.
        """
        now, wall = self._clock.monotonic(), self._clock.now()
        passed, wall_passed = now - self._last_tick, (wall - self._last_wall).total_seconds()
        self._last_tick, self._last_wall = now, wall
        if passed >= PAUSE_SECONDS or abs(wall_passed - passed) >= PAUSE_SECONDS:
            self._ended_at = now
        return self._ended_at
