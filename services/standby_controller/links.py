"""The links to all nodes: one client for each node's heartbeat, others for each peer's exports and its controller.

They are apart so that a long export never makes a heartbeat wait for a connection.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.standby_controller.facts import NodeFacts
from shared.clock import Clock
from shared.node.client import NodeClient
from shared.node.controller_client import ControllerClient
from shared.node.protocol import Speaker
from shared.settings import Settings

EXPORT_DEADLINE_SECONDS: Final = 15.0


class OwnVoice:
    """Says who this node is, as its own agent last said it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._boot_id = uuid.uuid4().hex
        self._own: Callable[[], NodeFacts] | None = None

    def listen_to(self, own: Callable[[], NodeFacts]) -> None:
        """Take the facts of the own node from there."""
        self._own = own

    def __call__(self) -> Speaker:
        """Return who speaks."""
        heartbeat = None if self._own is None else self._own().heartbeat
        return Speaker(
            pair_id=self._settings.node.pair_id,
            node_id=self._settings.node.id,
            boot_id=heartbeat.boot_id if heartbeat else self._boot_id,
            epoch=heartbeat.term.epoch if heartbeat and heartbeat.term else None,
        )


@dataclass(frozen=True, slots=True)
class Links:
    """Clients: `heartbeats` of this node and then of each peer in the order of the settings, the others by node."""

    voice: OwnVoice
    heartbeats: Sequence[NodeClient]
    own: NodeClient
    agents: Mapping[str, NodeClient]
    exports: Mapping[str, NodeClient]
    controllers: Mapping[str, ControllerClient]


@asynccontextmanager
async def open_links(settings: Settings, clock: Clock) -> AsyncIterator[Links]:
    """Open all clients for the time of a block; raises ConfigurationError for a CA file that cannot be used."""
    voice, seconds = OwnVoice(settings), settings.controller.heartbeat_timeout_seconds
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(
            NodeClient.of_own_agent(settings, voice, deadline_seconds=seconds, clock=clock)
        )
        heartbeats, exports, controllers = [own], {}, {}
        for peer in settings.peers:
            heartbeats.append(
                await stack.enter_async_context(
                    NodeClient.of_peer(settings, peer, voice, deadline_seconds=seconds, clock=clock)
                )
            )
            exports[peer.node_id] = await stack.enter_async_context(
                NodeClient.of_peer(settings, peer, voice, deadline_seconds=EXPORT_DEADLINE_SECONDS, clock=clock)
            )
            controllers[peer.node_id] = await stack.enter_async_context(
                ControllerClient.of_peer(settings, peer, voice, deadline_seconds=seconds, clock=clock)
            )
        agents = {client.node_id: client for client in heartbeats if client is not own}
        yield Links(voice, heartbeats, own, agents, exports, controllers)
