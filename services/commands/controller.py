"""Asks this node's controller over HTTP, as any program of an administrator would, with an API token."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from services.commands.running import add_config
from shared.errors import ConfigurationError, CredentialMissing, PeerRefusal, PeerUnreachable
from shared.http.tls import client_context, own_context
from shared.setting_values import check_url
from shared.settings import Settings

TOKEN_VARIABLE: Final = "WARMSTANDBY_TOKEN"
TIMEOUT_SECONDS: Final = 20.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Json = dict[str, Any]


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the controller is and who asks."""
    add_config(parser)
    parser.add_argument("--url", help="the controller; else [controller] listen of this node says it")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help=f"file with an API token; else {TOKEN_VARIABLE} holds one"
    )


@dataclass(frozen=True, slots=True)
class ControllerClient:
    """The controller's API; raises PeerUnreachable and PeerRefusal."""

    url: str
    token: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, settings: Settings, parsed: argparse.Namespace) -> ControllerClient:
        """Return a client as the options and the node's settings say; raises ConfigurationError, CredentialMissing."""
        url = parsed.url or _own_url(settings)
        try:
            check_url(url)
        except ValueError as error:
            raise ConfigurationError(f"--url {url}: {error}", hint="Correct --url.") from error
        tls = None
        if url.startswith("https:"):
            certificate = None if parsed.url else settings.controller.tls_certificate
            tls = own_context(certificate) if certificate else client_context(settings.tls.ca_file)
        return cls(url, _token(parsed.token_file), tls)

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, body: Json | None = None
    ) -> Json:
        """Return the answer."""
        content = None if body is None else json.dumps(body)
        sent = {**(headers or {}), **({} if body is None else {"Content-Type": "application/json"})}
        return await asyncio.to_thread(self._ask, method, path, sent, content)

    def _ask(self, method: str, path: str, headers: dict[str, str], content: str | None) -> Json:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            if self.tls is None
            else http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self.tls)
        )
        try:
            connection.request(method, path, body=content, headers={"Authorization": f"Bearer {self.token}", **headers})
            response = connection.getresponse()
            status, body = response.status, response.read()
        except ssl.SSLError as error:
            said = getattr(error, "verify_message", "") or error.reason or str(error)
            raise PeerUnreachable(
                f"the controller at {self.url}: TLS failed: {said}",
                hint="Name it by a host name of its certificate with --url, and the CA in [tls] ca_file.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnreachable(
                f"the controller at {self.url} does not answer: {str(error) or type(error).__name__}",
                hint="Start `warmstandby controller` on this node, or name another with --url.",
            ) from error
        finally:
            connection.close()
        answer = _parse(body)
        if status >= 400:
            raise PeerRefusal(
                str(answer.get("detail") or f"{method} {path} was answered with status {status}"),
                peer_code=str(answer.get("code") or "unknown"),
                peer_status=status,
                hint=str(answer.get("hint") or "Look at the controller's log."),
            )
        return answer


def _parse(body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _own_url(settings: Settings) -> str:
    host = _EVERYWHERE.get(settings.controller.host, settings.controller.host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.controller.has_tls else 'http'}://{shown}:{settings.controller.port}"


def _token(path: Path | None) -> str:
    if path is not None:
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--token-file {path}: {error}", hint="Name a file with an API token.") from error
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise CredentialMissing(
            "no API token was given",
            hint=f"Make one with `warmstandby token create`, then set {TOKEN_VARIABLE} or give --token-file.",
        )
    return token
