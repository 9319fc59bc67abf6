"""What every request passes at the edge of a service: an id, headers that keep browsers safe, and the last catch.

A pure ASGI middleware, so that streams pass through it chunk by chunk without being touched.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import WarmstandbyError
from shared.http.problem import problem_response
from shared.log import REQUEST_ID, fields_of

log = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-ID"

_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9-]{8,64}")
_SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Edge:
    """Wraps an application; a safe header that a route sets itself counts.

    A route or dependency may put headers for any answer, streams and errors too, into `request.state.answer_headers`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        token = REQUEST_ID.set(request_id)
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers.update(scope.get("state", {}).get("answer_headers", {}))
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.debug("caller went away", extra={"path": scope["path"]})
        except Exception as error:
            _report(error, scope)  # whatever it is: logged once, and answered without details
            if not has_started:
                await problem_response(_internal())(scope, receive, send_with_headers)
        finally:
            REQUEST_ID.reset(token)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if _ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex


def _internal() -> WarmstandbyError:
    return WarmstandbyError("the service made a mistake; its log has the same request id")


def _report(error: Exception, scope: Scope) -> None:
    """An error of ours in a stream that has begun can only end it: the server then cuts the connection."""
    where = {"method": scope["method"], "path": scope["path"]}
    ours = error if isinstance(error, WarmstandbyError) else error.__cause__
    if isinstance(ours, WarmstandbyError):
        log.warning("answer cut short", extra={**where, **fields_of(ours)})
    else:
        log.error("unexpected error", extra=where, exc_info=error)


def forget_cut_answers(record: logging.LogRecord) -> bool:
    """Drop the server's own line about an answer that `Edge` has already reported."""
    return "without completing response" not in record.getMessage()
