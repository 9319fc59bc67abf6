"""Posts an event to a URL, signed by the Standard Webhooks scheme, and calls the dead man's switch."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from services.standby_controller.notify.addresses import describe, look_up
from services.standby_controller.pair_channels import WebhookChannel
from services.standby_controller.policy.delivery import Outcome

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_AGENT: Final = "warmstandby"
_PORTS: Final = {"http": 80, "https": 443}
_GONE: Final = 410


async def post_event(
    channel: WebhookChannel, body: bytes, event_id: str, *, context: ssl.SSLContext, now: datetime
) -> Outcome:
    """Post a CloudEvent and return whether it was taken; raises nothing."""
    headers = {**channel.headers, "Content-Type": CONTENT_TYPE, **signed_headers(channel.secrets, event_id, now, body)}
    answer = await _ask("POST", channel.url, headers, body, seconds=channel.timeout_seconds, context=context)
    if isinstance(answer, str):
        return Outcome(problem=answer)
    if 200 <= answer < 300:
        return Outcome()
    if 300 <= answer < 400:
        return Outcome(problem=f"the receiver answered {answer}; redirects are not followed")
    return Outcome(problem=f"the receiver answered {answer}", is_final=answer == _GONE)


async def call(url: str, *, seconds: float, context: ssl.SSLContext) -> str | None:
    """Call a URL and return what went wrong; None where it answered well. Raises nothing."""
    answer = await _ask("GET", url, {}, None, seconds=seconds, context=context)
    if isinstance(answer, str):
        return answer
    return None if 200 <= answer < 300 else f"it answered {answer}"


def signed_headers(secrets: Sequence[str], event_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of the Standard Webhooks scheme: one signature for each secret."""
    timestamp = str(int(now.timestamp()))
    headers = {"webhook-id": event_id, "webhook-timestamp": timestamp}
    if secrets:
        content = f"{event_id}.{timestamp}.".encode() + body
        headers["webhook-signature"] = " ".join(f"v1,{_sign(secret, content)}" for secret in secrets)
    return headers


def _sign(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


async def _ask(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, seconds: float, context: ssl.SSLContext
) -> int | str:
    """Return the status that was answered, or what went wrong; the answer's content is not read."""
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=context, trust_env=False, timeout=seconds, follow_redirects=False) as http,
        ):
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            problem: httpx.TransportError | None = None
            for address in await look_up(host, port):
                place = f"[{address}]" if ":" in address else address
                request = http.build_request(
                    method,
                    parts._replace(netloc=f"{place}:{port}").geturl(),
                    content=body,
                    headers={**headers, "Host": parts.netloc, "User-Agent": _AGENT},
                    extensions={"sni_hostname": host},
                )
                try:
                    response = await http.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    problem = error
                    continue
                await response.aclose()
                return response.status_code
            return describe(host, problem)
    except (TimeoutError, httpx.TimeoutException):
        return f"{urlsplit(url).hostname} did not answer within {seconds:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return describe(urlsplit(url).hostname or "", error)
