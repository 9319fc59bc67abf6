"""Until when a peer's certificate counts, as its heartbeats show it; a renewed one is seen on a new connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from fastapi import Request, Response

from shared.http.application import Application, new_application
from shared.http.server import tcp_server
from shared.http.tls import ServerCertificate
from shared.node.client import LOOK_AGAIN_SECONDS, NodeClient
from shared.node.model import ClockExchange, DatabaseHealth, Heartbeat, State, Versions
from shared.node.protocol import Speaker
from shared.settings import AgentSettings, Mode
from tests.node_file import node_settings
from tests.running import running

NOON = datetime.now(UTC).replace(microsecond=0)
SOON, LATER = NOON + timedelta(days=5), NOON + timedelta(days=300)
HEARTBEAT = Heartbeat(
    pair_id="lab",
    node_id="two",
    boot_id="b",
    mode=Mode.SECONDARY,
    site="main",
    state=State.STANDBY,
    clock=ClockExchange(received_at=NOON, answered_at=NOON),
    database=DatabaseHealth(is_healthy=True, checked_age_seconds=0.0),
    uptime_seconds=1.0,
    versions=Versions(warmstandby="0", python="3"),
)


class HandClock:
    """A clock that a test moves."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON


async def _answer(_: Request) -> Response:
    headers = Speaker("lab", "two", "boot-of-two", None).headers()
    return Response(HEARTBEAT.model_dump_json(), headers=headers, media_type="application/json")


def _application() -> Application:
    app = new_application("Title", "Text.", tags={})
    app.add_route("/heartbeat", _answer)
    return app


def _issue(authority: trustme.CA, folder: Path, expires_at: datetime) -> AgentSettings:
    issued = authority.issue_cert("127.0.0.1", not_after=expires_at)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "node.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return AgentSettings(listen="127.0.0.1:0", tls_certificate=folder / "node.pem", tls_key=folder / "node.pem")


async def test_a_renewed_certificate_is_seen_within_a_minute(tmp_path: Path) -> None:
    """One connection is kept for all heartbeats; where its certificate expires soon, it is made anew now and then."""
    app, authority, clock = _application(), trustme.CA(), HandClock()
    listen = _issue(authority, tmp_path, SOON)
    certificate = ServerCertificate.of(listen, "agent")
    assert certificate is not None
    async with running(tcp_server(app, listen, "agent", certificate=certificate)) as server:
        settings = node_settings("one", peer={"agent_url": server.address}, tls={"ca_file": tmp_path / "ca.pem"})
        speaker = Speaker("lab", "one", "boot-of-one", 17)
        async with NodeClient.of_peer(settings, settings.peers[0], lambda: speaker, clock=clock) as client:
            assert (await client.heartbeat()).certificate_expires_at == SOON
            _issue(authority, tmp_path, LATER)
            await certificate.look()
            assert (await client.heartbeat()).certificate_expires_at == SOON  # the connection is kept
            clock.seconds += LOOK_AGAIN_SECONDS
            assert (await client.heartbeat()).certificate_expires_at == SOON  # the last one on it
            assert (await client.heartbeat()).certificate_expires_at == LATER
            for _ in range(3):
                clock.seconds += LOOK_AGAIN_SECONDS
                assert (await client.heartbeat()).certificate_expires_at == LATER


async def test_without_tls_there_is_none() -> None:
    """As over the unix socket of the own node."""
    app = _application()
    async with running(tcp_server(app, AgentSettings(listen="127.0.0.1:0"), "agent")) as server:
        settings = node_settings("one", peer={"agent_url": server.address})
        speaker = Speaker("lab", "one", "boot-of-one", 17)
        async with NodeClient.of_peer(settings, settings.peers[0], lambda: speaker) as client:
            assert (await client.heartbeat()).certificate_expires_at is None
