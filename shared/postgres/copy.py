"""COPY streams from one session into another: bytes move, no row is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Literal

from shared.errors.groups import first_of
from shared.postgres.sessions import Session

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


async def copy_in(
    session: Session,
    table: str,
    source: AsyncIterator[bytes],
    *,
    schema: str,
    form: Literal["text", "binary"],
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
) -> int:
    """COPY a stream into a table and return the number of its rows.

    Raises ConnectionResetError as soon as the server is gone. The driver alone would wait for ever for room to write to
    it, or read the stream to its end first.
    """
    loop, is_copying = asyncio.get_running_loop(), True
    try:
        async with asyncio.timeout(None) as limit:

            def end(_: object) -> None:
                if is_copying:
                    limit.reschedule(loop.time())

            session.add_termination_listener(end)
            try:
                result = await session.copy_to_table(
                    table, schema_name=schema, columns=columns, source=source, format=form, encoding=encoding
                )
            finally:
                is_copying = False
                session.remove_termination_listener(end)
    except TimeoutError as error:
        raise ConnectionResetError("the server closed the connection") from error
    return int(result.split()[-1])


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
    except ExceptionGroup as errors:
        raise first_of(errors) from None
    return pipe.bytes


async def _read(read: Callable[[AsyncIterator[bytes]], Awaitable[object]], pipe: Pipe) -> None:
    await read(pipe.chunks())
