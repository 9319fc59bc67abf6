"""Real receivers of notifications: an SMTP server, an HTTP server, and a listener that never answers."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from lab import ports

USER, PASSWORD = "wanda", "p-w0rd-of-wanda"


@dataclass
class Mailbox:
    """What an SMTP server got, and what it answers; `answers` gives a recipient another answer than 250."""

    answers: dict[str, str] = field(default_factory=dict)
    data_answer: str | None = None
    pause_seconds: float = 0.0
    letters: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    were_encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  the name that the server asks for
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Take the recipient, or answer as told."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the letter."""
        await asyncio.sleep(self.pause_seconds)
        if self.data_answer is not None:
            return self.data_answer
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        transport = server.transport
        assert transport is not None
        self.were_encrypted.append(transport.get_extra_info("sslcontext") is not None)
        self.letters.append((tuple(envelope.rcpt_tos), letter))
        return "250 taken"

    def login(self, _: SMTP, __: Session, ___: Any, ____: str, given: Any) -> AuthResult:
        """Let one user in."""
        is_right = isinstance(given, LoginPassword) and (given.login, given.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        self.logins.append("right" if is_right else "wrong")
        return AuthResult(success=is_right, handled=is_right)

    @property
    def subjects(self) -> list[str]:
        """Return the subjects of all letters."""
        return [str(letter["Subject"]) for _, letter in self.letters]


@contextmanager
def mail_server(
    mailbox: Mailbox, *, authority: trustme.CA | None = None, is_tls: bool = False, port: int | None = None
) -> Iterator[int]:
    """Run an SMTP server for a block and give its port; with an authority it speaks TLS and wants a login."""
    context = None
    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    reserved = port or ports.reserve_port()
    options: dict[str, Any] = {}
    if context is not None:
        options = {"authenticator": mailbox.login}
        if is_tls:
            options |= {"ssl_context": context, "auth_require_tls": False}
        else:
            options |= {"tls_context": context, "auth_required": True, "require_starttls": True}
    controller = Controller(mailbox, hostname="127.0.0.1", port=reserved, **options)
    controller.start()
    try:
        yield reserved
    finally:
        controller.stop()
        if port is None:
            ports.release_port(reserved)


@dataclass
class Hook:
    """What an HTTP server got, and what it answers."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def bodies(self) -> list[bytes]:
        """Return the bodies of all calls."""
        return [body for _, _, body in self.got]


@contextmanager
def webhook_server(hook: Hook, *, port: int | None = None, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run an HTTP server for the time of a block and give its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hook.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(hook.status)
            for name, value in hook.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    reserved = port or ports.reserve_port()
    server = ThreadingHTTPServer(("127.0.0.1", reserved), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield reserved
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        if port is None:
            ports.release_port(reserved)


@contextmanager
def black_hole() -> Iterator[tuple[int, Callable[[], int]]]:
    """Run a listener that takes every call and never answers; give its port, and how many have called."""
    reserved = ports.reserve_port()
    stop, calls = threading.Event(), []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        try:
            while await reader.read(1000):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(swallow, "127.0.0.1", reserved)
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()

    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield reserved, lambda: len(calls)
    finally:
        stop.set()
        thread.join()
        ports.release_port(reserved)


def until(is_so: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
    return found
