"""A server as a sibling of the process's loops: serves an application on one socket until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from shared.http.edge import forget_cut_answers
from shared.http.sockets import bind_tcp, bind_unix
from shared.http.tls import LOOK_SECONDS, ServerCertificate
from shared.lifecycle import run_every
from shared.settings import ListenSettings

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 5
KEEP_ALIVE_SECONDS: Final = 75  # longer than any client of ours keeps a connection, so that none is cut under a request


class HttpServer:
    """Serves on a bound socket; `address` is its URL with the real port, or the path of the unix socket."""

    def __init__(self, app: ASGIApp, bound: socket.socket, certificate: ServerCertificate | None, path: Path | None):
        self._bound = bound
        self._certificate = certificate
        self._path = path
        self.address = str(path) if path is not None else _url(bound, has_tls=certificate is not None)
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
                ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
            )
        )

    async def run(self) -> None:
        """Serve until cancelled; then let open requests end for a few seconds."""
        async with asyncio.TaskGroup() as group:
            if self._certificate is not None:
                group.create_task(run_every(LOOK_SECONDS, self._certificate.look, name="certificate"))
            log.info("listening", extra={"address": self.address})
            await self._serve()

    async def _serve(self) -> None:
        serving = asyncio.ensure_future(self._server.serve([self._bound]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await serving
            self.close()

    def close(self) -> None:
        """Give the address back; repeatable."""
        self._bound.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def tcp_server(
    app: ASGIApp, listen: ListenSettings, section: str, *, certificate: ServerCertificate | None = None
) -> HttpServer:
    """Return a server on the network as [section] says; raise PlaintextRefused or ConfigurationError."""
    certificate = certificate or ServerCertificate.of(listen, section)
    return HttpServer(app, bind_tcp(listen, section), certificate, None)


def unix_server(app: ASGIApp, path: Path) -> HttpServer:
    """Return a server on a unix socket; raise ConfigurationError."""
    return HttpServer(app, bind_unix(path), None, path)


def _url(bound: socket.socket, *, has_tls: bool) -> str:
    host, port = bound.getsockname()[:2]
    return f"{'https' if has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


class _QuietServer(uvicorn.Server):
    """Leaves signals to the process, and tells nothing twice."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(forget_cut_answers)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Catch none: the lifecycle does."""
        yield
