"""A way from one place to another over TCP that can be cut: it passes, refuses, drops or delays what goes over it.

One proxy is one direction of asking: who connects here reaches the target. What is dropped is taken and answered by
nobody, as by a host behind a cut cable; what was on its way stays on its way until the end of the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from lab import ports

_CHUNK: Final = 65536


class Passage(StrEnum):
    """What becomes of what goes over a proxy."""

    PASS = "pass"
    REFUSE = "refuse"
    DROP = "drop"
    DELAY = "delay"


class Proxy:
    """A port of 127.0.0.1 that leads to another; ``open`` and ``close`` in the same event loop."""

    def __init__(self, target_port: int, *, delay_seconds: float = 0.0) -> None:
        self.target_port = target_port
        self.port = ports.reserve_port()
        self.delay_seconds = delay_seconds
        self.passage = Passage.PASS
        self.bytes_back = 0
        """So many came from the target by now."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()

    @property
    def url(self) -> str:
        """Return where to connect instead of the target."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.turn(Passage.PASS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.turn(Passage.REFUSE)
        ports.release_port(self.port)

    async def turn(self, passage: Passage) -> None:
        """Change what becomes of what goes over it, of open connections too: they freeze, or are reset."""
        self.passage = passage
        if passage in (Passage.PASS, Passage.DELAY):
            self._passing.set()
        else:
            self._passing.clear()
        if passage is Passage.REFUSE:
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in list(self._writers):
                writer.transport.abort()
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._passing.wait()
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            self._drop(writer)
            return
        self._writers.add(onward)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward))
                group.create_task(self._pump(onward_reader, writer, is_back=True))
        finally:
            self._drop(onward)
            self._drop(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_back: bool = False) -> None:
        """Carry bytes one way to their end; then let the other side know."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.passage is Passage.DELAY:
                    await asyncio.sleep(self.delay_seconds)
                await self._passing.wait()
                self.bytes_back += len(data) * is_back
                writer.write(data)
                await writer.drain()
        if not writer.is_closing():
            with contextlib.suppress(OSError):
                writer.write_eof()

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()
