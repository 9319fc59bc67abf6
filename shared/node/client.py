"""Asks another node's agent, or the own one over its unix socket: the mirror of the agent's routes.

Every request says who asks, every answer is checked for pair, node and protocol. How a failure is translated stands in
`shared/node/failures.py`. What an answer means for the pair is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shared.clock import Clock, SystemClock, format_instant
from shared.errors import PeerError, PeerUnreachable, ProtocolMismatch, TransferIncomplete, WrongPair
from shared.http.tls import client_context
from shared.node.failures import describe, explain_failure, explain_refusal
from shared.node.model import (
    AttemptName,
    Components,
    ComponentStatus,
    Eligible,
    Grant,
    GrantAsked,
    Heartbeat,
    Journal,
    JournalEntry,
    NodeView,
    OrderFence,
    Prepare,
    Promote,
    Settle,
    Settled,
    Wire,
)
from shared.node.protocol import Speaker, read_speaker
from shared.replication.model import Confirm, ExportView, Manifest, OpenExport
from shared.settings import PeerSettings, Settings

DEADLINE_SECONDS: Final = 3.0
OPEN_EXPORT_SECONDS: Final = 120.0
SILENCE_SECONDS: Final = 3600.0  # of a stream: the other server may search long for the first row
KEEP_CONNECTION_SECONDS: Final = 30.0  # shorter than the servers keep theirs

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat with our two timestamps of the clock exchange."""

    heartbeat: Heartbeat
    sent_at: datetime
    received_at: datetime
    sent_monotonic: float
    received_monotonic: float


class NodeClient:
    """One node's agent, seen from here; close it with `aclose` or use it as an async context manager.

    All methods raise PeerUnreachable (it does not answer in time), PeerRefusedUs (401, 403, TLS), PeerRefusal (its own
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

    @classmethod
    def of_peer(
        cls,
        settings: Settings,
        peer: PeerSettings,
        speaker: Callable[[], Speaker],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock | None = None,
    ) -> Self:
        """Return a client for a peer's agent at its configured address, with this node's key."""
        has_tls = peer.agent_url.startswith("https://")
        transport = httpx.AsyncHTTPTransport(
            verify=client_context(settings.tls.ca_file) if has_tls else False, trust_env=False, limits=_LIMITS
        )
        http = _http(transport, peer.agent_url, settings.node.key.get_secret_value())
        return cls(http, peer.node_id, speaker, deadline_seconds=deadline_seconds, clock=clock)

    @classmethod
    def of_own_agent(
        cls,
        settings: Settings,
        speaker: Callable[[], Speaker],
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        clock: Clock | None = None,
    ) -> Self:
        """Return a client for this node's own agent, over its unix socket and without a key."""
        transport = httpx.AsyncHTTPTransport(uds=str(settings.agent_socket), verify=False, trust_env=False)
        http = _http(transport, "http://agent", None)
        socket = str(settings.agent_socket)
        return cls(http, settings.node.id, speaker, deadline_seconds=deadline_seconds, clock=clock, address=socket)

    async def heartbeat(self) -> Heard:
        """Read the heartbeat and note when the request left and the answer came."""
        sent_at, sent_monotonic = self._clock.now(), self._clock.monotonic()
        response = await self._ask("GET", "/heartbeat", params={"sent_at": format_instant(sent_at)})
        received_monotonic, received_at = self._clock.monotonic(), self._clock.now()
        heartbeat = self._parse(response, Heartbeat.model_validate_json)
        return Heard(heartbeat, sent_at, received_at, sent_monotonic, received_monotonic)

    async def node(self) -> NodeView:
        """Read the node's record."""
        return self._parse(await self._ask("GET", "/node"), NodeView.model_validate_json)

    async def components(self) -> tuple[ComponentStatus, ...]:
        """Read the components as the node sees them."""
        return self._parse(await self._ask("GET", "/components"), Components.model_validate_json).items

    async def grant(self, asked: GrantAsked) -> Grant:
        """Ask whether this node may serve again."""
        return self._parse(await self._tell("POST", "/grants", asked), Grant.model_validate_json)

    async def prepare_handover(self, asked: Prepare) -> NodeView:
        """Ask the active node to close for an attempt that is open here; it goes on closing after the answer."""
        return self._parse(await self._tell("POST", "/handover/prepare", asked), NodeView.model_validate_json)

    async def settle(self, asked: Settle) -> Settled:
        """Ask the holder of an attempt for its outcome; one that has not happened is abandoned by that."""
        return self._parse(await self._tell("POST", "/handover/settle", asked), Settled.model_validate_json)

    async def order_fence(self, asked: OrderFence) -> NodeView:
        """Tell a node to stop serving; it asks back before it does."""
        return self._parse(await self._tell("POST", "/fence", asked), NodeView.model_validate_json)

    async def set_eligible(self, asked: Eligible) -> NodeView:
        """Say whether this node may promote itself in a term."""
        return self._parse(await self._tell("PUT", "/eligible", asked), NodeView.model_validate_json)

    async def journal(self, after: int) -> tuple[JournalEntry, ...]:
        """Read what the node wrote down of its changes of roles, after an entry."""
        response = await self._ask("GET", "/node/journal", params={"after": str(after)})
        return self._parse(response, Journal.model_validate_json).items

    async def promote(self, asked: Promote) -> NodeView:
        """Have the own agent promote its node; it goes on after the answer."""
        return self._parse(await self._tell("POST", "/node/promote", asked), NodeView.model_validate_json)

    async def commit(self, asked: AttemptName) -> NodeView:
        """Have the own agent go on with a switchover: the last changes are here."""
        return self._parse(await self._tell("POST", "/node/commit", asked), NodeView.model_validate_json)

    async def abandon(self, asked: AttemptName) -> NodeView:
        """Have the own agent give up an attempt that has not happened."""
        return self._parse(await self._tell("POST", "/node/abandon", asked), NodeView.model_validate_json)

    async def fence(self) -> NodeView:
        """Have the own agent stop serving."""
        return self._parse(await self._ask("POST", "/node/fence"), NodeView.model_validate_json)

    async def unfence(self) -> NodeView:
        """Have the own agent serve again where its fence ended no term."""
        return self._parse(await self._ask("POST", "/node/unfence"), NodeView.model_validate_json)

    async def follow(self, epoch: int) -> NodeView:
        """Tell the own agent that the databases hold what the owner of the term has."""
        asked = Eligible(epoch=epoch, is_eligible=False)
        return self._parse(await self._tell("POST", "/node/follow", asked), NodeView.model_validate_json)

    async def open_export(
        self, component: str, request: OpenExport, *, deadline_seconds: float = OPEN_EXPORT_SECONDS
    ) -> Manifest:
        """Open an export: a snapshot, a barrier and a drain on the other side, so it may take its time."""
        path = f"/components/{quote(component, safe='')}/exports"
        response = await self._ask("POST", path, body=request.model_dump_json(), deadline_seconds=deadline_seconds)
        return self._parse(response, Manifest.model_validate_json)

    async def export(self, export_id: str) -> ExportView:
        """Read what the node has sent of an export."""
        return self._parse(await self._ask("GET", _export_path(export_id)), ExportView.model_validate_json)

    async def close_export(self, export_id: str) -> None:
        """Close an export; repeatable."""
        await self._ask("DELETE", _export_path(export_id))

    async def confirm_export(self, export_id: str, confirm: Confirm) -> None:
        """Tell that the export's sync point is committed here; repeatable."""
        await self._ask("POST", f"{_export_path(export_id)}/confirm", body=confirm.model_dump_json())

    @asynccontextmanager
    async def rows(self, export_id: str, number: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a table's rows as COPY text; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_export_path(export_id)}/tables/{number}/rows") as chunks:
            yield chunks

    @asynccontextmanager
    async def keys(self, export_id: str, number: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a table's changed keys as COPY text; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_export_path(export_id)}/tables/{number}/keys") as chunks:
            yield chunks

    @asynccontextmanager
    async def schema(self, export_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the schema as a pg_dump archive; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_export_path(export_id)}/schema") as chunks:
            yield chunks

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
    ) -> httpx.Response:
        """Return the whole answer, checked, within the deadline as a whole."""
        seconds = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        headers = self._speaker().headers() | ({} if body is None else {"Content-Type": "application/json"})
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(
                    method, path, params=params, content=body, headers=headers, timeout=seconds
                )
        except TimeoutError as error:
            raise PeerUnreachable(f"{self._name}: no answer within {seconds:g} s") from error
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error
        self._check(response)
        return response

    @asynccontextmanager
    async def _stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=self._deadline_seconds)
        request = self._http.build_request("GET", path, headers=self._speaker().headers(), timeout=timeout)
        try:
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error
        try:
            if response.is_error:
                await self._read_rest(response)
            self._check(response)
            yield self._chunks(response)
        finally:
            await response.aclose()

    async def _read_rest(self, response: httpx.Response) -> None:
        try:
            await response.aread()
        except httpx.HTTPError as error:
            raise explain_failure(self._name, error) from error

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.HTTPError as error:
            raise TransferIncomplete(f"{self._name}: the stream broke: {describe(error)}") from error

    def _check(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise explain_refusal(self._name, response)
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


_LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=KEEP_CONNECTION_SECONDS)


def _http(transport: httpx.AsyncHTTPTransport, base_url: str, key: str | None) -> httpx.AsyncClient:
    headers = {"Accept-Encoding": "identity"} | ({} if key is None else {"Authorization": f"Bearer {key}"})
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, trust_env=False)


def _export_path(export_id: str) -> str:
    return f"/exports/{quote(export_id, safe='')}"
