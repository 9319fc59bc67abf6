"""What is wrong for as long as it lasts, and told once when it is certain: a failover that is due and refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.standby_controller.policy.detector import Way
from shared.node.model import State


@dataclass(frozen=True, slots=True)
class RefusedFailover:
    """A node has failed and nobody takes over for it."""

    node_id: str
    text: str


def refused_failover(
    own_state: State | None, way: Way, peer_id: str | None, refusals: Sequence[str]
) -> RefusedFailover | None:
    """Return what is to be told of an automatic failover that is due by `way`, and why it does not begin."""
    if own_state is not State.STANDBY or way is Way.NONE or peer_id is None or not refusals:
        return None
    text = f"Node {peer_id} has failed, and this node does not take over: {' '.join(refusals)}"
    return RefusedFailover(peer_id, text)
