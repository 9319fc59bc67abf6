"""The watch for our own pauses: what this process slept through is not held against others."""

from __future__ import annotations

import asyncio
import time

from services.standby_controller.pause_watch import PAUSE_SECONDS, PauseWatch
from shared.clock import SystemClock


async def test_a_process_that_slept_knows_it() -> None:
    """Whether the sleep began before or after the question's start; one that ended before it does not count."""
    watch, clock = PauseWatch(SystemClock()), SystemClock()
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(watch.run())
        start = clock.monotonic()
        await asyncio.sleep(0.3)
        assert not await watch.was_paused_since(start)
        time.sleep(PAUSE_SECONDS + 0.2)  # noqa: ASYNC251  the process as SIGSTOP leaves it
        assert await watch.was_paused_since(start)
        assert not await watch.was_paused_since(clock.monotonic())
        ticking.cancel()
