"""Would a standby take over now? By the own gate on a standby, by what its standbys say on the active node. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors.base import Refusal
from shared.node.model import State


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the pair is not protected; `code` is stable."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class PeerWord:
    """What is known of a peer as a standby; `gaps` is what its own controller said last, None where that is too old."""

    node_id: str
    is_lost: bool = False
    state: State | None = None
    gaps: tuple[Reason, ...] | None = None

    @property
    def would_take_over(self) -> bool:
        """Say whether this peer is a standby that the gate would let promote itself."""
        return not self.is_lost and self.state is State.STANDBY and self.gaps == ()


def reasons_not_protected(
    own_state: State | None, refusals: Sequence[Refusal], peers: Sequence[PeerWord]
) -> tuple[Reason, ...]:
    """Return why no standby would take over now; empty means protected.

    `refusals` are those of the own gate, which count while this node is not active.
    """
    if any(peer.would_take_over for peer in peers):
        return ()
    if own_state is State.ACTIVE:
        return _reasons_of_active(peers)
    return tuple(Reason(refusal.code, refusal.text) for refusal in refusals)


def _reasons_of_active(peers: Sequence[PeerWord]) -> tuple[Reason, ...]:
    if not peers:
        return (Reason("no_standby", "This node has no [[peers]]."),)
    reasons: list[Reason] = []
    for peer in peers:
        if peer.is_lost:
            reasons.append(Reason("standby_silent", f"Node {peer.node_id} does not answer."))
        elif peer.state is not State.STANDBY:
            state = "not available" if peer.state is None else peer.state.value
            reasons.append(Reason("no_standby", f"Node {peer.node_id} is {state}."))
        elif peer.gaps is None:
            reasons.append(Reason("standby_unknown", f"The controller of node {peer.node_id} does not answer."))
        else:
            reasons.extend(Reason(gap.code, f"Node {peer.node_id}: {gap.text}") for gap in peer.gaps)
    return tuple(reasons)
