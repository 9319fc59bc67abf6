"""The watch for our own pauses: what this process slept through is not held against others."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from services.standby_controller.pause_watch import PAUSE_SECONDS, TICK_SECONDS, PauseWatch
from shared.clock import SystemClock


class HeldClock:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.wall = datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self.wall

    def move(self, seconds: float, *, wall_seconds: float | None = None) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds if wall_seconds is None else wall_seconds)


async def test_a_process_that_slept_knows_it() -> None:
    """Whoever asks first after it, also before the next tick; it ended when that was noticed."""
    clock = SystemClock()
    watch = PauseWatch(clock)
    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(watch.run())
        await asyncio.sleep(2 * TICK_SECONDS)
        assert watch.last_pause_ended() is None
        time.sleep(PAUSE_SECONDS + 0.2)  # noqa: ASYNC251  the process as SIGSTOP leaves it
        before = clock.monotonic()
        ended = watch.last_pause_ended()
        assert ended is not None
        assert before <= ended <= clock.monotonic()
        await asyncio.sleep(2 * TICK_SECONDS)
        assert watch.last_pause_ended() == ended
        ticking.cancel()


def test_a_clock_that_was_set_or_slept_through_a_suspension_is_a_pause() -> None:
    """Forward or back; one that merely runs a little fast is none."""
    clock = HeldClock()
    watch = PauseWatch(clock)
    for seconds, wall_seconds, is_pause in [
        (0.25, 0.25, False),
        (0.25, 0.27, False),
        (0.25, 3600.0, True),
        (0.25, 0.25, False),
        (0.25, -300.0, True),
        (1.0, 1.0, True),
        (0.9, 0.9, False),
    ]:
        before = watch.last_pause_ended()
        clock.move(seconds, wall_seconds=wall_seconds)
        after = watch.last_pause_ended()
        assert (after != before) is is_pause, (seconds, wall_seconds)
        assert not is_pause or after == clock.seconds
