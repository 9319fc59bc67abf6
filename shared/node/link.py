"""One HTTP link to a service of another node, or to the own agent: who asks is said, what answers is checked.

Which routes there are is `client.py` (agents) and `controller_client.py` (controllers). How a failure is translated
stands in `failures.py`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from pydantic import ValidationError

from shared.clock import Clock, SystemClock
from shared.errors import PeerError, PeerUnreachable, ProtocolMismatch, TransferIncomplete, WrongPair
from shared.http.packing import CODING, Damaged, unpack
from shared.http.tls import client_context
from shared.node.failures import describe, explain_failure, explain_refusal
from shared.node.model import Wire
from shared.node.protocol import Speaker, read_speaker
from shared.settings import Settings, TransferCompression

DEADLINE_SECONDS: Final = 3.0
SILENCE_SECONDS: Final = 3600.0  # of a stream: the other server may search long for the first row
KEEP_CONNECTION_SECONDS: Final = 30.0  # shorter than the servers keep theirs

Answer = TypeVar("Answer")


class NodeLink:
    """What every client between nodes is; close it with `aclose` or use it as an async context manager.

    Requests raise PeerUnreachable (it does not answer in time), PeerRefusedUs (401, 403, TLS), PeerRefusal (its own
    refusal, with `peer_code`), WrongPair, ProtocolMismatch, or PeerError (anything else than a right answer).
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        node_id: str,
        speaker: Callable[[], Speaker],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock | None = None,
        address: str | None = None,
    ) -> None:
        self.node_id = node_id
        self._address = address or str(http.base_url)
        self._http = http
        self._speaker = speaker
        self._deadline_seconds = deadline_seconds
        self._clock = clock or SystemClock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _tell(self, method: str, path: str, asked: Wire) -> httpx.Response:
        return await self._ask(method, path, body=asked.model_dump_json())

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: str | None = None,
        deadline_seconds: float | None = None,
        is_named: bool = True,
        is_last: bool = False,
    ) -> httpx.Response:
        """Return the whole answer, checked, within the deadline as a whole; a probe's does not name who speaks.

        The connection is closed after the last one, so that the next makes a new one.
        """
        seconds = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        headers = self._speaker().headers() | ({} if body is None else {"Content-Type": "application/json"})
        headers |= {"Connection": "close"} if is_last else {}
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(
                    method, path, params=params, content=body, headers=headers, timeout=seconds
                )
        except TimeoutError as error:
            raise PeerUnreachable(f"{self._name}: no answer within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error
        self._check(response, is_named=is_named)
        return response

    async def _send(self, path: str, params: dict[str, list[str]], chunks: AsyncIterator[bytes]) -> httpx.Response:
        """Put a stream of bytes and return the answer, checked; it may take its time."""
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=self._deadline_seconds)
        headers = self._speaker().headers() | {"Content-Type": "application/octet-stream"}
        try:
            response = await self._http.put(path, params=params, content=chunks, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error
        self._check(response, is_named=True)
        return response

    @asynccontextmanager
    async def _stream(self, path: str, asked: Wire | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=self._deadline_seconds)
        headers = self._speaker().headers() | ({} if asked is None else {"Content-Type": "application/json"})
        method, body = ("GET", None) if asked is None else ("POST", asked.model_dump_json())
        request = self._http.build_request(method, path, content=body, headers=headers, timeout=timeout)
        try:
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error
        try:
            if response.is_error:
                await self._read_rest(response)
            self._check(response, is_named=True)
            yield self._chunks(response)
        finally:
            await response.aclose()

    async def _read_rest(self, response: httpx.Response) -> None:
        try:
            await response.aread()
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        chunks = response.aiter_raw()
        try:
            async for chunk in unpack(chunks) if response.headers.get("Content-Encoding") == CODING else chunks:
                yield chunk
        except httpx.HTTPError as error:
            raise TransferIncomplete(f"{self._name}: the stream broke: {describe(error)}") from error
        except Damaged as error:
            raise TransferIncomplete(f"{self._name}: the stream is damaged: {error}") from error

    def _check(self, response: httpx.Response, *, is_named: bool) -> None:
        if not response.is_success:
            raise explain_refusal(self._name, response)
        if not is_named:
            return
        speaker = read_speaker(response.headers)
        if speaker is None:
            raise PeerError(f"{self._name}: what answers is no Warmstandby agent")
        if speaker.pair_id != self._speaker().pair_id:
            raise WrongPair(f"{self._name}: belongs to the pair {speaker.pair_id}")
        if speaker.node_id != self.node_id:
            raise WrongPair(
                f"{self._name}: says that it is the node {speaker.node_id}",
                hint="Compare node_id and the URLs in [[peers]] with [node] id of the other node.",
            )
        if not speaker.is_understood:
            raise ProtocolMismatch(f"{self._name}: speaks protocol {speaker.protocol_min} to {speaker.protocol}")

    def _parse(self, response: httpx.Response, read: Callable[[bytes], Answer]) -> Answer:
        try:
            return read(response.content)
        except ValidationError as error:
            fault = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise PeerError(f"{self._name}: its answer cannot be read: {where}: {fault['msg']}") from error

    @property
    def _name(self) -> str:
        return f"node {self.node_id} at {self._address}"


def certificate_expiry(response: httpx.Response) -> datetime | None:
    """Return until when the certificate counts that the answer came under; None without TLS."""
    stream = response.extensions.get("network_stream")
    tls = None if stream is None else stream.get_extra_info("ssl_object")
    if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
        return None
    ends = (tls.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None


_LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=KEEP_CONNECTION_SECONDS)


def peer_http(settings: Settings, url: str) -> httpx.AsyncClient:
    """Return the way to a peer's service at its configured address, with this node's key."""
    has_tls = url.startswith("https://")
    transport = httpx.AsyncHTTPTransport(
        verify=client_context(settings.tls.ca_file) if has_tls else False, trust_env=False, limits=_LIMITS
    )
    coding = CODING if settings.controller.transfer_compression is TransferCompression.GZIP else "identity"
    return _http(transport, url, settings.node.key.get_secret_value(), coding)


def own_http(settings: Settings) -> httpx.AsyncClient:
    """Return the way to this node's own agent, over its unix socket and without a key."""
    transport = httpx.AsyncHTTPTransport(uds=str(settings.agent_socket), verify=False, trust_env=False)
    return _http(transport, "http://agent", None, "identity")


def _http(transport: httpx.AsyncHTTPTransport, base_url: str, key: str | None, coding: str) -> httpx.AsyncClient:
    headers = {"Accept-Encoding": coding} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)
