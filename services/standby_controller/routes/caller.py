"""Who calls a route for nodes: a peer, proved by its key."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from services.standby_controller.api.parts import parts_of
from shared.http.caller import peer_caller

Peer = Annotated[str, Depends(peer_caller(lambda request: parts_of(request).doorkeeper))]
"""The node_id of the peer that calls."""
