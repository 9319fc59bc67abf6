"""The agent's own look at its peers: asks each at its configured address what its record says. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from services.primary_agent.node.node import Node
from shared.clock import Clock
from shared.errors import PeerUnreachable, WarmstandbyError
from shared.lifecycle import run_every
from shared.log import fields_of
from shared.node.client import NodeClient
from shared.node.observation import Contact, PeerSeen
from shared.settings import Settings

log = logging.getLogger(__name__)

DEADLINE_SECONDS: Final = 3.0
UNKNOWN_AFTER_LOOKS: Final = 3


class PeerWatch:
    """Asks every peer every `heartbeat_seconds`; `seen` tells the last look at each."""

    def __init__(self, settings: Settings, clock: Clock, node: Node, looked: asyncio.Event) -> None:
        self._seen = {peer.node_id: PeerSeen(peer.node_id, Contact.NOT_ASKED) for peer in settings.peers}
        self._not_asked = dict(self._seen)
        self._looked_at = clock.monotonic()
        self._clients = [
            NodeClient.of_peer(settings, peer, node.speaker, deadline_seconds=DEADLINE_SECONDS, clock=clock)
            for peer in settings.peers
        ]
        self._troubles: dict[str, str] = {}
        self._pause_seconds = settings.agent.heartbeat_seconds
        self._clock = clock
        self._looked = looked

    async def run(self) -> None:
        """Look for ever."""
        try:
            await run_every(self._pause_seconds, self.look, name="peer watch", clock=self._clock)
        finally:
            for client in self._clients:
                await client.aclose()

    async def look(self) -> None:
        """Ask all peers at once."""
        for seen in await asyncio.gather(*(self._ask(client) for client in self._clients)):
            self._seen[seen.node_id] = seen
        self._looked_at = self._clock.monotonic()
        self._looked.set()

    @property
    def seen(self) -> Mapping[str, PeerSeen]:
        """Return the last look at each peer; one that is too old, as after a pause of this process, is none."""
        age = self._clock.monotonic() - self._looked_at
        return self._seen if age <= UNKNOWN_AFTER_LOOKS * self._pause_seconds + DEADLINE_SECONDS else self._not_asked

    async def _ask(self, client: NodeClient) -> PeerSeen:
        try:
            view = await client.node()
        except WarmstandbyError as error:
            self._tell(client.node_id, error)
            silent = isinstance(error, PeerUnreachable)
            return PeerSeen(client.node_id, Contact.SILENT if silent else Contact.UNCLEAR)
        self._tell(client.node_id, None)
        return PeerSeen(client.node_id, Contact.ANSWERED, view.mode, view.state, view.term)

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
