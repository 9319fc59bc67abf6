"""A way to a server that is cut before the statement of a number gets there: what a death at that moment leaves."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_SSL_REQUEST: Final = 80877103
_STATEMENTS: Final = (b"Q", b"P")


@asynccontextmanager
async def cut_at(server_port: int, number: int, seen: list[str]) -> AsyncIterator[int]:
    """Pass everything on to the server until statement `number` comes; then cut all, and let nobody in again.

    Yields the port; the statement that is not passed on is added to `seen`.
    """
    way = _Way(server_port, number, seen)
    listener = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
        way.cut()
    await asyncio.gather(*way.tasks, return_exceptions=True)


class _Way:
    def __init__(self, server_port: int, number: int, seen: list[str]) -> None:
        self._server_port, self._left, self._seen = server_port, number, seen
        self._writers: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._is_cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client with the server."""
        self._writers.append(writer)
        if self._is_cut:
            writer.transport.abort()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers.append(to_server)
        for way in (self._to_server(reader, to_server), _copy(from_server, writer)):
            self.tasks.append(asyncio.ensure_future(way))

    def cut(self) -> None:
        """End all connections."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            is_ready = False
            while True:
                kind = await reader.readexactly(1) if is_ready else b""
                head = await reader.readexactly(4)
                body = await reader.readexactly(struct.unpack("!I", head)[0] - 4)
                is_ready = is_ready or struct.unpack("!I", body[:4])[0] != _SSL_REQUEST
                if kind in _STATEMENTS:
                    self._left -= 1
                    if self._left == 0:
                        self._seen.append(body.strip(b"\0").decode())
                        self.cut()
                        return
                writer.write(kind + head + body)
                await writer.drain()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
