"""What a failed request to a node means, as an error of our tree. Knows exceptions and answers, sends nothing."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from shared.errors import PeerError, PeerRefusal, PeerRefusedUs, PeerUnreachable

_TLS_HINT: Final = (
    "The CA in [tls] ca_file here must have signed tls_certificate there, and that must carry the host name of the URL."
)
_SILENT: Final = (
    httpx.TimeoutException,
    httpx.ConnectError,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
)


def explain_failure(name: str, error: httpx.HTTPError) -> PeerError:
    """Return what it means that no whole answer came; `name` is the node's, for people."""
    text = describe(error)
    for tls in _chain(error):
        if isinstance(tls, ssl.SSLError):
            said = getattr(tls, "verify_message", "") or tls.reason or tls
            return PeerRefusedUs(f"{name}: TLS failed: {said}", hint=_TLS_HINT)
    if isinstance(error, httpx.TimeoutException):
        return PeerUnreachable(f"{name}: timeout ({type(error).__name__})")
    if isinstance(error, _SILENT) or "disconnected" in text:
        return PeerUnreachable(f"{name}: {text}")
    return PeerError(f"{name}: {text}")


def explain_refusal(name: str, response: httpx.Response) -> PeerError:
    """Return what an answer other than a success means; its body has been read."""
    problem = _problem(response)
    said = problem.get("detail") or problem.get("title") or f"HTTP status {response.status_code}"
    if response.status_code in (401, 403):
        return PeerRefusedUs(f"{name}: {said}")
    if "code" not in problem:
        return PeerError(f"{name}: HTTP status {response.status_code} that is no answer of an agent")
    return PeerRefusal(
        f"{name}: {said}",
        peer_code=problem["code"],
        peer_status=response.status_code,
        hint=problem.get("hint"),
    )


def describe(error: Exception) -> str:
    """Return what the operating system said, else the error's text, else its name."""
    for behind in _chain(error):
        if isinstance(behind, OSError) and behind.errno is not None:
            return os.strerror(behind.errno) if behind.errno > 0 else str(behind.strerror)
    return str(error) or type(error).__name__


def _problem(response: httpx.Response) -> dict[str, str]:
    """Return the texts of a problem, or nothing where the answer is none."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return {key: value for key, value in problem.items() if isinstance(value, str)} if isinstance(problem, dict) else {}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what lies behind it; the layers between keep it as cause or context."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
