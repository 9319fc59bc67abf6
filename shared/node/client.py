"""Asks another node's agent, or the own one over its unix socket: the mirror of the agent's routes.

How it asks and what it checks is `link.py`. What an answer means for the pair is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from urllib.parse import quote

from shared.clock import Clock, format_instant
from shared.node.file_sets import FileSetLink
from shared.node.holding import HoldingLink
from shared.node.link import DEADLINE_SECONDS, certificate_expiry, own_http, peer_http
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
)
from shared.node.protocol import Speaker
from shared.node.returning import ReturningLink
from shared.replication.model import Confirm, ExportView, Manifest, OpenExport, TableDigest
from shared.settings import PeerSettings, Settings

OPEN_EXPORT_SECONDS: Final = 120.0
DIGEST_SECONDS: Final = 6 * 3600.0  # the other server reads a whole table; whether it lives, the held export sees
RENEWAL: Final = timedelta(days=30)
LOOK_AGAIN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat with our two timestamps of the clock exchange."""

    heartbeat: Heartbeat
    sent_at: datetime
    received_at: datetime
    sent_monotonic: float
    received_monotonic: float
    certificate_expires_at: datetime | None = None
    """Of the certificate that the answer came under; None without TLS."""


class NodeClient(ReturningLink, HoldingLink, FileSetLink):
    """One node's agent, seen from here; what every method raises is said at NodeLink."""

    _looked_at: float | None = None
    """When a certificate that expires soon was last looked for anew (monotonic)."""

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
        http = peer_http(settings, peer.agent_url)
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
        http, socket = own_http(settings), str(settings.agent_socket)
        return cls(http, settings.node.id, speaker, deadline_seconds=deadline_seconds, clock=clock, address=socket)

    async def heartbeat(self) -> Heard:
        """Read the heartbeat and note when the request left and the answer came."""
        sent_at, sent_monotonic = self._clock.now(), self._clock.monotonic()
        params, is_last = {"sent_at": format_instant(sent_at)}, self._is_to_be_renewed(sent_monotonic)
        response = await self._ask("GET", "/heartbeat", params=params, is_last=is_last)
        received_monotonic, received_at = self._clock.monotonic(), self._clock.now()
        heartbeat, expires_at = self._parse(response, Heartbeat.model_validate_json), certificate_expiry(response)
        if expires_at is None or expires_at - received_at > RENEWAL:
            self._looked_at = None
        elif is_last or self._looked_at is None:
            self._looked_at = received_monotonic
        return Heard(heartbeat, sent_at, received_at, sent_monotonic, received_monotonic, expires_at)

    def _is_to_be_renewed(self, now: float) -> bool:
        """Say whether to connect anew: a kept connection would go on showing a certificate that was replaced."""
        return self._looked_at is not None and now - self._looked_at >= LOOK_AGAIN_SECONDS

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

    async def digest(self, export_id: str, number: int) -> TableDigest:
        """Ask what a compared table's rows come to; takes as long as reading the table does."""
        path = f"{_export_path(export_id)}/tables/{number}/digest"
        response = await self._ask("GET", path, deadline_seconds=DIGEST_SECONDS)
        return self._parse(response, TableDigest.model_validate_json)

    @asynccontextmanager
    async def large_objects(self, export_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the list of large objects as binary COPY; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_export_path(export_id)}/large-objects") as chunks:
            yield chunks

    @asynccontextmanager
    async def large_object_contents(self, export_id: str, oids: Sequence[int]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream contents of at most MOST_OBJECTS large objects as binary COPY; see `large_objects`."""
        asked = "&".join(f"oid={oid}" for oid in oids)
        async with self._stream(f"{_export_path(export_id)}/large-objects/contents?{asked}") as chunks:
            yield chunks

    @asynccontextmanager
    async def schema(self, export_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the schema as a pg_dump archive; a stream that breaks raises TransferIncomplete."""
        async with self._stream(f"{_export_path(export_id)}/schema") as chunks:
            yield chunks


def _export_path(export_id: str) -> str:
    return f"/exports/{quote(export_id, safe='')}"
