"""The other doors of a silent peer and the reference targets: real sockets, a real database, a real controller."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from lab.cluster import Cluster
from services.standby_controller.doors import Doors
from services.standby_controller.policy.detector import Door
from shared.clock import SystemClock
from shared.errors import PeerError, PeerRefusedUs, PeerUnreachable, WrongPair
from shared.node.controller_client import ControllerClient
from shared.node.protocol import Speaker
from shared.settings import Settings
from tests.integration.standby_controller.process import running_controller
from tests.integration.standby_controller.stage import ScriptedController
from tests.node_file import node_settings
from tests.tier import MAJORS

NOBODY = "127.0.0.1:1"
TIMEOUT_SECONDS = 0.6


def doors_of(
    *targets: str, database: str | None = None, controller: ScriptedController | ControllerClient | None = None
) -> Doors:
    settings = node_settings(
        "two",
        controller={"heartbeat_timeout_seconds": TIMEOUT_SECONDS, "reference_targets": targets},
        peer={"database": database},
    )
    return Doors(settings, {"one": controller or ScriptedController("one")}, SystemClock())


@contextmanager
def black_hole() -> Iterator[str]:
    """A port that takes no connection and refuses none: its queue is full."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


@asynccontextmanager
async def listener(greeting: bytes = b"") -> AsyncIterator[str]:
    """A server that takes connections and says one thing to whatever it is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        writer.write(greeting)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_one_reference_target_that_takes_a_connection_is_enough() -> None:
    """And nobody waits for the others; without any the answer is silence, without a list there is no question."""
    with black_hole() as hole:
        async with listener() as alive:
            started = time.monotonic()
            assert (await doors_of(hole, NOBODY, alive).ask("one")).references is Door.ANSWERED
            assert time.monotonic() - started < TIMEOUT_SECONDS
        started = time.monotonic()
        assert (await doors_of(hole, NOBODY).ask("one")).references is Door.SILENT
        assert time.monotonic() - started < TIMEOUT_SECONDS + 0.5
    assert (await doors_of().ask("one")).references is Door.NOT_ASKED


async def test_what_the_reference_targets_said_grows_old() -> None:
    """Then it is silence: the gate must not believe it."""
    async with listener() as alive:
        doors = doors_of(alive)
        assert doors.references(60.0) is Door.SILENT  # not asked yet, so not known to answer
        await doors.ask("one")
        assert doors.references(60.0) is Door.ANSWERED
        await asyncio.sleep(0.05)
        assert doors.references(0.01) is Door.SILENT


async def test_a_database_that_answers_is_a_life_sign(shared_cluster: Callable[[int, str], Cluster]) -> None:
    """Without a login, and without a line in its log; something else behind the port is none, nor a silence."""
    cluster = shared_cluster(MAJORS[-1], "source")
    assert (await doors_of(database=f"127.0.0.1:{cluster.port}").ask("one")).database is Door.ANSWERED
    assert (await doors_of(database=NOBODY).ask("one")).database is Door.SILENT
    with black_hole() as hole:
        assert (await doors_of(database=hole).ask("one")).database is Door.SILENT
    async with listener(b"HTTP/1.0 400 no\r\n\r\n") as other:
        assert (await doors_of(database=other).ask("one")).database is Door.GARBLED
    async with listener() as closes:
        assert (await doors_of(database=closes).ask("one")).database is Door.SILENT
    assert (await doors_of().ask("one")).database is Door.NOT_ASKED


@pytest.mark.parametrize(
    ("error", "door"),
    [
        (None, Door.ANSWERED),
        (PeerUnreachable("refused"), Door.SILENT),
        (PeerRefusedUs("TLS failed"), Door.REFUSED),
        (WrongPair("another"), Door.REFUSED),
        (PeerError("500"), Door.GARBLED),
    ],
)
async def test_the_controller_s_answer_is_a_door(error: PeerError | WrongPair | None, door: Door) -> None:
    """Each kind of failure has its meaning."""
    assert (await doors_of(controller=ScriptedController("one", error)).ask("one")).controller is door


async def test_a_real_controller_answers_its_probe(newest_dsn: str, tmp_path: Path) -> None:
    """Without a credential, alive or killed or frozen; another server behind its port is garbled."""

    def client(settings: Settings) -> ControllerClient:
        return ControllerClient.of_peer(
            settings, settings.peers[0], lambda: Speaker("lab", "two", "boot", None), deadline_seconds=TIMEOUT_SECONDS
        )

    with running_controller(tmp_path, newest_dsn, {}) as service:
        service.wait_ready(path="/health/live")
        async with client(node_settings("two", peer={"controller_url": service.url})) as controller:
            assert (await doors_of(controller=controller).ask("one")).controller is Door.ANSWERED
            service.pause()
            assert (await doors_of(controller=controller).ask("one")).controller is Door.SILENT
            service.resume()
            assert (await doors_of(controller=controller).ask("one")).controller is Door.ANSWERED
            service.kill()
            assert (await doors_of(controller=controller).ask("one")).controller is Door.SILENT
    answers: Sequence[bytes] = (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0\r\n\r\n")
    for answer in answers:
        async with (
            listener(answer) as other,
            client(node_settings("two", peer={"controller_url": f"http://{other}"})) as controller,
        ):
            assert (await doors_of(controller=controller).ask("one")).controller is Door.GARBLED
