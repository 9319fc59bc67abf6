"""Work on files in threads, so that no loop waits for a disk; who is cancelled waits until its thread has let go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Final, TypeVar

CHUNK_BYTES: Final = 1 << 20

Done = TypeVar("Done")
IsStopped = Callable[[], bool]


async def in_thread(act: Callable[[], Done], stop: threading.Event | None = None) -> Done:
    """Do something in a thread; cancelled, it is told to stop, and waited for."""
    working = asyncio.get_running_loop().run_in_executor(None, act)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # what became of it nobody asks any more
        raise


async def pump(
    make: Callable[[IsStopped], Generator[bytes, None, None]], sink: Callable[[bytes], Awaitable[None]]
) -> None:
    """Send what a generator makes in a thread, in chunks; the generator is closed whatever happens."""
    stop = threading.Event()
    pieces = make(stop.is_set)
    try:
        while chunk := await in_thread(lambda: _gather(pieces), stop):
            await sink(chunk)
    finally:
        await asyncio.to_thread(pieces.close)


def _gather(pieces: Generator[bytes, None, None]) -> bytes:
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= CHUNK_BYTES:
            break
    return bytes(gathered)
