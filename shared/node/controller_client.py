"""Asks a peer's controller: the mirror of the controller's routes for nodes, and its probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

from shared.clock import Clock
from shared.errors import PeerError
from shared.node.controller_model import CloseNode, ControllerView, Live, NodeClosed
from shared.node.link import DEADLINE_SECONDS, NodeLink, peer_http
from shared.node.pair import HistoryPage, PairBook, PairDocumentView
from shared.node.protocol import Speaker
from shared.settings import PeerSettings, Settings

HISTORY_SECONDS: Final = 20.0


class ControllerClient(NodeLink):
    """One peer's controller, seen from here; what every method raises is said at NodeLink."""

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
        """Return a client for a peer's controller at its configured address, with this node's key."""
        http = peer_http(settings, peer.controller_url)
        return cls(http, peer.node_id, speaker, deadline_seconds=deadline_seconds, clock=clock)

    async def check_live(self) -> None:
        """Ask the probe that needs no credential; raise unless a controller answers that it lives."""
        response = await self._ask("GET", "/health/live", is_named=False)
        if not self._parse(response, Live.model_validate_json).is_live:
            raise PeerError(f"{self._name}: it says itself that it does not live")

    async def view(self) -> ControllerView:
        """Read what the controller knows."""
        return self._parse(await self._ask("GET", "/nodes/view"), ControllerView.model_validate_json)

    async def close_node(self, asked: CloseNode, *, deadline_seconds: float) -> NodeClosed:
        """Have the controller close its own node, whose agent is dead; repeatable."""
        response = await self._ask(
            "POST", "/nodes/close", body=asked.model_dump_json(), deadline_seconds=deadline_seconds
        )
        return self._parse(response, NodeClosed.model_validate_json)

    async def pair_book(self) -> PairBook:
        """Read what the controller holds of the pair's settings and tokens."""
        return self._parse(await self._ask("GET", "/pair/document"), PairDocumentView.model_validate_json).book

    async def offer_pair_book(self, book: PairBook) -> PairBook:
        """Have the controller take what is higher than its own, and return what it holds then; repeatable."""
        response = await self._ask("PUT", "/pair/document", body=book.model_dump_json())
        return self._parse(response, PairDocumentView.model_validate_json).book

    async def history(self, generation: str, after: int) -> HistoryPage:
        """Read the controller's history after a place, the oldest rows first."""
        params = {"generation": generation, "after": str(after)}
        response = await self._ask("GET", "/pair/history", params=params, deadline_seconds=HISTORY_SECONDS)
        return self._parse(response, HistoryPage.model_validate_json)
