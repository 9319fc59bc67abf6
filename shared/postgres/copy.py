"""COPY streams from one session into another: bytes move, no row is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Final

Sink = Callable[[bytes], Coroutine[Any, Any, None]]

BUFFER_BYTES: Final = 256 * 1024
_BUFFERS_IN_FLIGHT: Final = 4


class Pipe:
    """A bounded buffer between a COPY that writes and a COPY that reads; small chunks are joined."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BUFFERS_IN_FLIGHT)
        self._pending = bytearray()
        self.bytes = 0

    async def write(self, chunk: bytes) -> None:
        """Take a chunk; waits while the reader is behind."""
        self.bytes += len(chunk)
        self._pending += chunk
        if len(self._pending) >= BUFFER_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Hand over what is left and end the stream; not called when the writer failed."""
        await self._flush()
        await self._queue.put(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what was written until the end of the stream."""
        while (chunk := await self._queue.get()) is not None:
            yield chunk

    async def _flush(self) -> None:
        if self._pending:
            chunk, self._pending = bytes(self._pending), bytearray()
            await self._queue.put(chunk)


async def pipe_copy(
    write: Callable[[Sink], Awaitable[object]], read: Callable[[AsyncIterator[bytes]], Awaitable[object]]
) -> int:
    """Run a COPY out (`write(sink)`) into a COPY in (`read(chunks)`) and return the bytes moved.

    When one side fails the other is cancelled and the first error is raised; the caller closes both sessions then.
    """
    pipe = Pipe()

    async def send() -> None:
        await write(pipe.write)
        await pipe.finish()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            group.create_task(_read(read, pipe))
    except* Exception as errors:
        raise _first(errors) from None
    return pipe.bytes


async def _read(read: Callable[[AsyncIterator[bytes]], Awaitable[object]], pipe: Pipe) -> None:
    await read(pipe.chunks())


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
