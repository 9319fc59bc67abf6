"""The agent's own look at its peers: asks each at its configured address what its record says. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.primary_agent.node.node import GRANT_SECONDS, Node
from shared.clock import Clock
from shared.errors import NotFound, PeerRefusal, PeerUnreachable, WarmstandbyError
from shared.lifecycle import run_every
from shared.log import fields_of
from shared.node.client import NodeClient
from shared.node.model import GrantAsked, NodeView, OrderFence, State
from shared.node.observation import Contact, PeerSeen
from shared.settings import Settings

log = logging.getLogger(__name__)

DEADLINE_SECONDS: Final = 3.0
UNKNOWN_AFTER_LOOKS: Final = 3
GRANT_COUNTS_SECONDS: Final = GRANT_SECONDS / 2
"""A grant that was not used by then is asked for again: it must not outlive the promise behind it."""


class PeerWatch:
    """Asks every peer every `heartbeat_seconds`; `seen` tells the last look at each."""

    def __init__(self, settings: Settings, clock: Clock, node: Node, looked: asyncio.Event) -> None:
        self._seen = {peer.node_id: PeerSeen(peer.node_id, Contact.NOT_ASKED) for peer in settings.peers}
        self._not_asked = dict(self._seen)
        self._looked_at = clock.monotonic()
        self._clients = {
            peer.node_id: NodeClient.of_peer(
                settings, peer, node.speaker, deadline_seconds=DEADLINE_SECONDS, clock=clock
            )
            for peer in settings.peers
        }
        self._node = node
        self._troubles: dict[str, str] = {}
        self._pause_seconds = settings.agent.heartbeat_seconds
        self._clock = clock
        self._looked = looked

    async def run(self) -> None:
        """Look for ever."""
        try:
            await run_every(self._pause_seconds, self.look, name="peer watch", clock=self._clock)
        finally:
            for client in self._clients.values():
                await client.aclose()

    async def look(self) -> None:
        """Ask all peers at once."""
        for seen in await asyncio.gather(*(self._ask(client) for client in self._clients.values())):
            self._seen[seen.node_id] = seen
        self._looked_at = self._clock.monotonic()
        self._looked.set()

    @property
    def seen(self) -> Mapping[str, PeerSeen]:
        """Return the last look at each peer; one that is too old, as after a pause of this process, is none."""
        age = self._clock.monotonic() - self._looked_at
        if age > UNKNOWN_AFTER_LOOKS * self._pause_seconds + DEADLINE_SECONDS:
            return self._not_asked
        if age > GRANT_COUNTS_SECONDS:
            return {name: replace(seen, has_granted=False) for name, seen in self._seen.items()}
        return self._seen

    def client(self, node_id: str) -> NodeClient:
        """Return the way to a peer's agent; raise NotFound."""
        found = self._clients.get(node_id)
        if found is None:
            raise NotFound(f"node {node_id!r} is not among [[peers]]")
        return found

    async def look_now(self, limit_seconds: float, *, but: str | None = None) -> tuple[NodeView, ...]:
        """Ask all peers but one at this moment and return what came within the limit."""
        asks = [asyncio.ensure_future(client.node()) for name, client in self._clients.items() if name != but]
        if not asks:
            return ()
        done, late = await asyncio.wait(asks, timeout=limit_seconds)
        for ask in late:
            ask.cancel()
        return tuple(ask.result() for ask in done if ask.exception() is None)

    async def _ask(self, client: NodeClient) -> PeerSeen:
        try:
            view = await client.node()
            has_granted = await self._ask_grant(client, view)
            await self._order_fence(client, view)
        except WarmstandbyError as error:
            self._tell(client.node_id, error)
            silent = isinstance(error, PeerUnreachable)
            return PeerSeen(client.node_id, Contact.SILENT if silent else Contact.UNCLEAR)
        self._tell(client.node_id, None)
        return PeerSeen(client.node_id, Contact.ANSWERED, view.mode, view.state, view.term, has_granted)

    async def _order_fence(self, client: NodeClient, view: NodeView) -> None:
        """Tell a peer that serves in a lower term to stop, until it has."""
        term = self._node.term
        owns_higher = term is not None and term.owner != client.node_id and term.is_higher_than(view.term)
        if self._node.is_active and view.state is State.ACTIVE and owns_higher:
            await client.order_fence(OrderFence())

    async def _ask_grant(self, client: NodeClient, view: NodeView) -> bool:
        """Ask a peer that accepts our term whether we may go on serving, while we wait for that."""
        term = self._node.term
        if self._node.state is not State.WAITING or term is None or view.term != term:
            return False
        try:
            await client.grant(GrantAsked(epoch=term.epoch))
        except PeerRefusal:
            return False
        return True

    def _tell(self, node_id: str, error: WarmstandbyError | None) -> None:
        """Log a change of what is wrong with a peer, once."""
        before, now = self._troubles.get(node_id, ""), error.code if error else ""
        if before == now:
            return
        self._troubles[node_id] = now
        if error is None:
            log.info("peer answers again", extra={"peer": node_id})
        else:
            log.warning("peer does not answer as it must", extra={"peer": node_id, **fields_of(error)})
