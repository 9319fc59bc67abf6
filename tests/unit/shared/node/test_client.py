"""What a node's answer, or its absence, becomes: tried against a real server that answers as told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from shared.errors import (
    NotActive,
    PeerError,
    PeerRefusal,
    PeerRefusedUs,
    PeerUnreachable,
    ProtocolMismatch,
    TransferIncomplete,
    WarmstandbyError,
    WrongPair,
)
from shared.http.application import new_application
from shared.http.problem import problem_response
from shared.http.server import tcp_server, unix_server
from shared.node.client import NodeClient
from shared.node.model import NodeView, State
from shared.node.protocol import Speaker, read_speaker
from shared.settings import AgentSettings, Mode
from tests.node_file import KEYS, node_settings
from tests.running import running

ONE = Speaker("lab", "one", "boot-of-one", 17)
TWO = Speaker("lab", "two", "boot-of-two", None)
VIEW = NodeView(pair_id="lab", node_id="two", boot_id="b", mode=Mode.SECONDARY, state=State.STANDBY)

Answer = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def peer(answer: Answer, *, deadline_seconds: float = 3.0) -> AsyncIterator[NodeClient]:
    """A client of node `two`, whose agent answers everything with `answer`."""
    app = new_application("Title", "Text.", tags={})
    app.add_route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])
    async with (
        running(tcp_server(app, AgentSettings(listen="127.0.0.1:0"), "agent")) as server,
        client_of(server.address, deadline_seconds=deadline_seconds) as client,
    ):
        yield client


def client_of(address: str, *, ca_file: Path | None = None, deadline_seconds: float = 3.0) -> NodeClient:
    settings = node_settings("one", peer={"agent_url": address}, tls={"ca_file": ca_file})
    return NodeClient.of_peer(settings, settings.peers[0], lambda: ONE, deadline_seconds=deadline_seconds)


def says(content: Any, speaker: Speaker | None = TWO, status: int = 200) -> Answer:
    async def answer(_: Request) -> Response:
        return JSONResponse(content, status, headers=speaker.headers() if speaker else None)

    return answer


def view(**changes: object) -> dict[str, Any]:
    return VIEW.model_copy(update=changes).model_dump(mode="json")


async def test_an_answer_is_read() -> None:
    async with peer(says(view())) as client:
        assert await client.node() == VIEW


async def test_every_request_says_who_asks() -> None:
    asked: list[Request] = []

    async def answer(request: Request) -> Response:
        asked.append(request)
        return JSONResponse(view(), headers=TWO.headers())

    async with peer(answer) as client:
        await client.node()
    assert read_speaker(asked[0].headers) == ONE
    assert asked[0].headers["Authorization"] == f"Bearer {KEYS['one']}"


async def test_the_clock_exchange_keeps_our_two_timestamps() -> None:
    async def answer(request: Request) -> Response:
        now = datetime.now(UTC).isoformat()
        heartbeat = view() | {
            "site": "main",
            "clock": {"sent_at": request.query_params["sent_at"], "received_at": now, "answered_at": now},
            "database": {"is_healthy": True, "checked_age_seconds": 0},
            "uptime_seconds": 1,
            "versions": {"warmstandby": "1", "python": "3"},
        }
        return JSONResponse(heartbeat, headers=TWO.headers())

    async with peer(answer) as client:
        heard = await client.heartbeat()
    assert heard.heartbeat.clock.sent_at == heard.sent_at
    assert heard.sent_at <= heard.heartbeat.clock.received_at <= heard.received_at
    assert heard.sent_monotonic < heard.received_monotonic


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (says(view(), replace(TWO, pair_id="other")), WrongPair),
        (says(view(), replace(TWO, node_id="three")), WrongPair),
        (says(view(), replace(TWO, protocol=9, protocol_min=8)), ProtocolMismatch),
        (says(view(), None), PeerError),
        (says({"state": "nonsense"}), PeerError),
        (says("<html>"), PeerError),
        (says({"detail": "no"}, None, 401), PeerRefusedUs),
        (says({"detail": "no"}, None, 403), PeerRefusedUs),
        (says({"error": "from a proxy"}, None, 502), PeerError),
        (says({}, TWO, 302), PeerError),
    ],
)
async def test_a_wrong_answer_is_told_apart(answer: Answer, expected: type[WarmstandbyError]) -> None:
    """None of them is a sign of death, and none is taken for an answer."""
    async with peer(answer) as client:
        with pytest.raises(WarmstandbyError) as caught:
            await client.node()
    assert type(caught.value) is expected


async def test_a_newer_release_that_still_speaks_ours_is_understood() -> None:
    async with peer(says(view(), replace(TWO, protocol=9, protocol_min=1))) as client:
        assert await client.node() == VIEW


async def test_a_refusal_keeps_the_peers_code_and_hint() -> None:
    async def answer(_: Request) -> Response:
        return problem_response(NotActive("the node is a standby", hint="Ask the other one."))

    async with peer(answer) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.node()
    error = caught.value
    assert (error.peer_code, error.peer_status, error.hint) == ("not_active", 409, "Ask the other one.")
    assert "the node is a standby" in error.detail


async def test_nobody_listening_is_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with client_of(address) as client:
        with pytest.raises(PeerUnreachable, match="Connection refused"):
            await client.node()


async def test_a_name_nobody_knows_is_silence() -> None:
    async with client_of("http://nobody.invalid:8440") as client:
        with pytest.raises(PeerUnreachable):
            await client.node()


async def test_the_deadline_is_for_the_whole_answer() -> None:
    """A peer that sends a byte now and then is as silent as one that sends nothing."""

    async def drip(_: Request) -> Response:
        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.05)

        return StreamingResponse(drops(), headers=TWO.headers())

    async with peer(drip, deadline_seconds=0.3) as client:
        with pytest.raises(PeerUnreachable, match=r"no answer within 0\.3 s"):
            await client.node()


@contextmanager
def raw_server(greeting: bytes) -> Iterator[str]:
    """A port whose connections get `greeting` and are closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(greeting)
        writer.close()

    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.ensure_future(asyncio.start_server(serve, sock=listener))
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    task.result().close()


@pytest.mark.parametrize(("greeting", "expected"), [(b"", PeerUnreachable), (b"SSH-2.0-OpenSSH\r\n\r\n", PeerError)])
async def test_a_process_that_dies_is_silent_and_another_service_is_not(
    greeting: bytes, expected: type[PeerError]
) -> None:
    with raw_server(greeting) as address:
        async with client_of(f"http://{address}") as client:
            with pytest.raises(PeerError) as caught:
                await client.node()
    assert type(caught.value) is expected


async def test_a_stream_is_passed_on_as_it_comes() -> None:
    async def answer(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(1000):
                yield f"{request.url.path} {number}\n".encode()

        return StreamingResponse(chunks(), headers=TWO.headers())

    async with peer(answer) as client:
        for stream, path in (
            (client.rows("e", 3), "/exports/e/tables/3/rows"),
            (client.keys("e", 3), "/exports/e/tables/3/keys"),
            (client.schema("e"), "/exports/e/schema"),
        ):
            async with stream as chunks:
                content = b"".join([chunk async for chunk in chunks])
            assert content == "".join(f"{path} {number}\n" for number in range(1000)).encode()


async def read_all(client: NodeClient) -> bytes:
    async with client.rows("e", 1) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_stream_that_breaks_is_never_taken_for_the_whole() -> None:
    async def answer(_: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"begun"
            raise NotActive("demoted meanwhile")

        return StreamingResponse(chunks(), headers=TWO.headers())

    async with peer(answer) as client:
        with pytest.raises(TransferIncomplete):
            await read_all(client)


async def test_a_stream_that_is_refused_says_why() -> None:
    async def answer(_: Request) -> Response:
        return problem_response(NotActive("the node is a standby"))

    async with peer(answer) as client:
        with pytest.raises(PeerRefusal, match="the node is a standby"):
            async with client.rows("e", 1):
                pass


async def test_names_in_paths_cannot_change_the_path() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.scope["raw_path"].decode())
        return Response(status_code=204, headers=TWO.headers())

    async with peer(answer) as client:
        await client.close_export("../node?x=1")
    assert asked == ["/exports/..%2Fnode%3Fx%3D1"]


async def test_the_own_agent_is_asked_over_its_socket_without_a_key(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def answer(request: Request) -> Response:
        asked.append(request)
        return JSONResponse(view(node_id="one"), headers=ONE.headers())

    app = new_application("Title", "Text.", tags={})
    app.add_route("/node", answer)
    settings = node_settings("one", node={"state_dir": tmp_path})
    async with (
        running(unix_server(app, settings.agent_socket)),
        NodeClient.of_own_agent(settings, lambda: ONE) as client,
    ):
        assert (await client.node()).node_id == "one"
    assert "Authorization" not in asked[0].headers


async def test_a_certificate_of_another_authority_is_a_refusal_and_no_death(tmp_path: Path) -> None:
    app = new_application("Title", "Text.", tags={})
    app.add_route("/node", says(view()))
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    for authority, host, expected in (
        (trusted, "127.0.0.1", None),
        (other, "127.0.0.1", "certificate"),
        (trusted, "elsewhere.example", "not valid for"),
    ):
        issued = authority.issue_cert(host)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "node.pem")
        listen = AgentSettings(
            listen="127.0.0.1:0", tls_certificate=tmp_path / "node.pem", tls_key=tmp_path / "node.pem"
        )
        async with (
            running(tcp_server(app, listen, "agent")) as server,
            client_of(server.address, ca_file=tmp_path / "ca.pem") as client,
        ):
            if expected is None:
                assert await client.node() == VIEW
            else:
                with pytest.raises(PeerRefusedUs, match=expected):
                    await client.node()


async def test_tls_towards_a_plain_port_is_a_refusal_and_no_death() -> None:
    app = new_application("Title", "Text.", tags={})
    async with (
        running(tcp_server(app, AgentSettings(listen="127.0.0.1:0"), "agent")) as server,
        client_of(server.address.replace("http://", "https://")) as client,
    ):
        with pytest.raises(PeerRefusedUs, match="TLS failed"):
            await client.node()
