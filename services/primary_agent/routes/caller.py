"""Who calls a route of the agent; how a caller is proved is `shared/http/caller.py`."""

from __future__ import annotations

from services.primary_agent.node.node import Node
from shared.http.caller import CALLER_ERRORS, Caller, Doorkeeper
from shared.http.caller import own_caller as own_caller_of
from shared.http.caller import peer_caller as peer_caller_of
from shared.http.credentials import NodeKeys
from shared.settings import Settings

__all__ = ["CALLER_ERRORS", "Caller", "own_caller", "peer_caller"]


def peer_caller(settings: Settings, node: Node) -> Caller:
    """Return the dependency that gives the node_id of the peer whose key the request carries."""
    doorkeeper = Doorkeeper(NodeKeys(settings.peers), node.speaker)
    return peer_caller_of(lambda _: doorkeeper)


def own_caller(node: Node) -> Caller:
    """Return the dependency of the unix socket: who can open it is this node."""
    return own_caller_of(node.speaker)
