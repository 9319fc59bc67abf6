"""A server on a real socket: TLS with renewal, streams that are cut, and an end that lets requests finish."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme
from fastapi import Request
from fastapi.responses import StreamingResponse

from shared.errors import ConfigurationError, TableRewritten
from shared.http.application import Application, new_application
from shared.http.server import tcp_server, unix_server
from shared.http.tls import ServerCertificate, client_context
from shared.settings import AgentSettings
from tests.running import running

PLAIN = AgentSettings(listen="127.0.0.1:0")


@pytest.fixture
def app() -> Application:
    app = new_application("Title", "Text.", tags={})

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        request.state.answer_headers = {"Warmstandby-Node": "one"}

        async def chunks() -> AsyncIterator[bytes]:
            yield b"begun"
            raise TableRewritten("the table was truncated")

        return StreamingResponse(chunks())

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "done"

    return app


def write_certificate(authority: trustme.CA, folder: Path) -> AgentSettings:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return AgentSettings(listen="127.0.0.1:0", tls_certificate=folder / "cert.pem", tls_key=folder / "key.pem")


async def test_the_real_port_is_told(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(tcp_server(app, PLAIN, "agent")) as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.address}/slow")).status_code == 200
        assert not server.address.endswith(":0")
    listening = [vars(record)["address"] for record in caplog.records if record.message == "listening"]
    assert listening == [server.address]


async def test_a_stream_that_fails_is_cut_and_told_once(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    """A client must never take a part for the whole."""
    async with running(tcp_server(app, PLAIN, "agent")) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{server.address}/stream")
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == ["answer cut short"]


async def test_a_stream_carries_the_headers_of_who_speaks(app: Application) -> None:
    async with (
        running(tcp_server(app, PLAIN, "agent")) as server,
        httpx.AsyncClient() as client,
        client.stream("GET", f"{server.address}/stream") as response,
    ):
        assert response.headers["Warmstandby-Node"] == "one"


async def test_an_open_request_is_finished_before_the_end(app: Application) -> None:
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        async with running(tcp_server(app, PLAIN, "agent")) as server:
            asked = group.create_task(client.get(f"{server.address}/slow"))
            await asyncio.sleep(0.1)
        assert (await asked).json() == "done"


async def test_the_unix_socket_goes_with_its_server(app: Application, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with (
        running(unix_server(app, path)),
        httpx.AsyncClient(transport=transport, base_url="http://agent") as client,
    ):
        assert (await client.get("/slow")).json() == "done"
    assert not path.exists()


async def test_a_renewed_certificate_is_taken_up_without_a_restart(app: Application, tmp_path: Path) -> None:
    """The old connection goes on, a new one sees the new authority, and a half-written pair changes nothing."""
    listen = write_certificate(trustme.CA(), tmp_path)
    certificate = ServerCertificate.of(listen, "agent")
    assert certificate is not None
    server = tcp_server(app, listen, "agent", certificate=certificate)
    old = client_context(tmp_path / "ca.pem")
    async with running(server), httpx.AsyncClient(verify=old) as client:
        assert (await client.get(f"{server.address}/slow")).status_code == 200
        write_certificate(trustme.CA(), tmp_path)
        new = client_context(tmp_path / "ca.pem")
        whole = (tmp_path / "key.pem").read_bytes()
        (tmp_path / "key.pem").write_bytes(whole[:200])
        await certificate.look()
        assert await handshake_works(server.address, old)
        (tmp_path / "key.pem").write_bytes(whole)
        os.utime(tmp_path / "key.pem", ns=(1, 1))
        await certificate.look()
        assert await handshake_works(server.address, new)
        assert not await handshake_works(server.address, old)
        assert (await client.get(f"{server.address}/slow")).status_code == 200


async def handshake_works(address: str, context: ssl.SSLContext) -> bool:
    try:
        async with httpx.AsyncClient(verify=context) as client:
            return (await client.get(f"{address}/slow")).status_code == 200
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_unusable_certificate_is_a_plain_line(app: Application, tmp_path: Path, content: bytes | None) -> None:
    listen = write_certificate(trustme.CA(), tmp_path)
    if content is None:
        (tmp_path / "cert.pem").unlink()
    else:
        (tmp_path / "cert.pem").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        tcp_server(app, listen, "agent")
    assert f'[agent] tls_certificate = "{tmp_path}/cert.pem"' in caught.value.detail


def test_an_unusable_ca_file_is_a_plain_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[tls\] ca_file"):
        client_context(tmp_path / "nowhere.pem")
