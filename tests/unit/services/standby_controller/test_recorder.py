"""Records that wait while the control database takes its time: each is written once, none is lost for another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

from services.standby_controller.recorder import MOST_WAITING, Recorder
from shared.clock import SystemClock


class SlowHeartbeats:
    """Takes records, and lets others have their turn meanwhile."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def add(self, batch: tuple[Any, ...]) -> None:
        self.has_begun.set()
        await self.may_end.wait()
        self.written += batch


def new_recorder(heartbeats: SlowHeartbeats) -> Recorder:
    nobody = cast("Any", None)
    return Recorder(cast("Any", heartbeats), nobody, nobody, nobody, nobody, SystemClock())


async def test_what_two_write_at_once_is_written_once() -> None:
    heartbeats = SlowHeartbeats()
    recorder = new_recorder(heartbeats)
    recorder.add_heartbeat(cast("Any", "one"))
    both = asyncio.gather(recorder.flush(), recorder.flush())
    await heartbeats.has_begun.wait()
    heartbeats.may_end.set()
    await both
    assert heartbeats.written == ["one"]


async def test_what_comes_while_others_are_written_is_not_given_up_in_their_place() -> None:
    heartbeats = SlowHeartbeats()
    recorder = new_recorder(heartbeats)
    for number in range(MOST_WAITING):
        recorder.add_heartbeat(cast("Any", (number,)))
    flushing = asyncio.create_task(recorder.flush())
    await heartbeats.has_begun.wait()
    for number in range(5):
        recorder.add_heartbeat(cast("Any", (-number, datetime.now(UTC))))
    heartbeats.may_end.set()
    await flushing
    await recorder.flush()
    assert len(heartbeats.written) == MOST_WAITING + 5
