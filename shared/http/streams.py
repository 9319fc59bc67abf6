"""Bytes that a producer writes straight into an HTTP answer, with back-pressure and without a copy in memory; packed
where the reader asks for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.http.packing import CODING, Packer

BUFFER_BYTES: Final = 256 * 1024

Sink = Callable[[bytes], Coroutine[Any, Any, None]]
Producer = Callable[[Sink], Coroutine[Any, Any, None]]


class ByteStream(Response):
    """An answer written by a producer.

    The status goes out with the first bytes, so an error before them is a problem with its own status; an error after
    them breaks the stream, which the reader sees. A reader that leaves ends the producer.
    """

    media_type = "application/octet-stream"

    def __init__(self, producer: Producer, status_code: int = 200) -> None:
        self._producer = producer
        self.status_code = status_code
        self.background = None
        self.init_headers({"Cache-Control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the producer until it ends or the reader leaves."""
        packer = Packer() if CODING in Headers(scope=scope).get("accept-encoding", "") else None
        if packer is not None:
            self.headers["Content-Encoding"] = CODING
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._produce(send, packer))
                watch = group.create_task(_cancel_when_gone(work, receive))
                work.add_done_callback(lambda _: watch.cancel())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _produce(self, send: Send, packer: Packer | None) -> None:
        pending = bytearray()
        has_begun = False

        async def begin() -> None:
            nonlocal has_begun
            if not has_begun:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                has_begun = True

        async def sink(chunk: bytes) -> None:
            nonlocal pending
            for piece in _cut(chunk):
                pending += piece
                if len(pending) >= BUFFER_BYTES:
                    block, pending = bytes(pending), bytearray()
                    if body := block if packer is None else await packer.pack(block):
                        await begin()
                        await send({"type": "http.response.body", "body": body, "more_body": True})

        await self._producer(sink)
        body = bytes(pending) if packer is None else await packer.pack(bytes(pending)) + packer.finish()
        await begin()
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _cut(chunk: bytes) -> Iterator[bytes | memoryview]:
    """Yield a chunk in pieces: a row is one, however large, and each step on its way out copies what it is given."""
    if len(chunk) <= BUFFER_BYTES:
        yield chunk
        return
    view = memoryview(chunk)
    for start in range(0, len(chunk), BUFFER_BYTES):
        yield view[start : start + BUFFER_BYTES]


async def _cancel_when_gone(work: asyncio.Task[None], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    work.cancel()
