"""A stream that a producer writes: its errors before and after the first byte, and a reader that leaves."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Message

from shared.errors import ExportGone, TableRewritten
from shared.http.application import new_application
from shared.http.server import tcp_server
from shared.http.streams import BUFFER_BYTES, ByteStream, Producer, Sink
from shared.settings import AgentSettings
from tests.running import running


@asynccontextmanager
async def served(producer: Producer) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    app = new_application("Title", "Text.", tags={})

    @app.get("/stream")
    async def stream() -> ByteStream:
        return ByteStream(producer)

    async with running(tcp_server(app, AgentSettings(listen="127.0.0.1:0"), "agent")) as server:
        yield lambda: httpx.AsyncClient(base_url=server.address, headers={"Accept-Encoding": "identity"})


async def test_all_bytes_arrive() -> None:
    async def produce(sink: Sink) -> None:
        for number in range(5000):
            await sink(b"%09d\n" % number * 20)

    async with served(produce) as client, client() as http:
        content = (await http.get("/stream")).content
    assert content == b"".join(b"%09d\n" % number * 20 for number in range(5000))


async def test_a_huge_chunk_goes_out_in_pieces() -> None:
    """A row of 30 MB is one chunk; what the server copies, and keeps for a slow reader, are pieces of it."""
    row = bytes(range(256)) * 120_000
    sent: list[bytes] = []

    async def produce(sink: Sink) -> None:
        await sink(b"before\n")
        await sink(row)
        await sink(b"after\n")

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Message:
        never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await never

    await ByteStream(produce)({"type": "http", "headers": []}, receive, send)
    assert b"".join(sent) == b"before\n" + row + b"after\n"
    assert max(map(len, sent)) <= 2 * BUFFER_BYTES


async def test_a_reader_that_asks_for_it_gets_the_bytes_packed() -> None:
    async def produce(sink: Sink) -> None:
        for _ in range(5000):
            await sink(b"1\tthe same row\n" * 20)

    async with served(produce) as client, client() as http:
        for coding, is_packed in (("gzip", True), ("identity", False)):
            async with http.stream("GET", "/stream", headers={"Accept-Encoding": coding}) as response:
                wire = b"".join([chunk async for chunk in response.aiter_raw()])
            assert (response.headers.get("Content-Encoding") == "gzip") is is_packed
            assert (len(wire) < 100_000) is is_packed
            assert (gzip.decompress(wire) if is_packed else wire) == b"1\tthe same row\n" * 100_000


async def test_an_error_before_the_first_byte_has_its_own_status() -> None:
    async def produce(_: Sink) -> None:
        raise ExportGone("the export was closed")

    async with served(produce) as client, client() as http:
        response = await http.get("/stream")
    assert (response.status_code, response.json()["code"]) == (404, "export_gone")


async def test_an_error_after_it_breaks_the_stream() -> None:
    async def produce(sink: Sink) -> None:
        await sink(bytes(BUFFER_BYTES))
        raise TableRewritten("the table was truncated")

    async with served(produce) as client, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/stream")


async def test_a_reader_that_leaves_ends_the_producer() -> None:
    """Otherwise it would hold its snapshot and its session for ever."""
    ended = asyncio.Event()

    async def produce(sink: Sink) -> None:
        try:
            await sink(bytes(BUFFER_BYTES))
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with served(produce) as client:
        async with client() as http, http.stream("GET", "/stream") as response:
            await anext(response.aiter_raw())
        async with asyncio.timeout(5):
            await ended.wait()
