"""What the pair promises without a referee, in words: the same sentences in the API, the console and the docs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FENCE_SECONDS: Final = 20.0
"""What closing the databases and ending their sessions may take."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the promise depends on."""

    is_policy_promote: bool
    overlap_seconds: float
    has_references: bool
    has_fence_peer: bool
    is_fence_peer_required: bool

    @property
    def has_referee(self) -> bool:
        """Say whether anything besides the two nodes tells a dead server from a cut link."""
        return self.has_references or self.has_fence_peer


def longest_overlap_seconds(peer_look_seconds: float, timeout_seconds: float) -> float:
    """Return how long two nodes serve at most once the link between them is back: one look at the peer, one fence."""
    return peer_look_seconds + timeout_seconds + FENCE_SECONDS


def safety_text(promise: Promise) -> str:
    """Return what is promised, with the numbers of these settings."""
    if not promise.is_policy_promote:
        return (
            "Policy keep_in_standby: no node is promoted by itself, so the machines never make two nodes serve. "
            "A human can, by promoting a standby without switching the other server off."
        )
    if promise.is_fence_peer_required:
        return (
            "Policy promote with fence_peer_required: a standby takes over only when the hook fence_peer has switched "
            "the other server off, so exactly one node serves also when only the link between them is cut."
        )
    referees = []
    if promise.has_references:
        referees.append("a standby that reaches no reference target does not take over")
    if promise.has_fence_peer:
        referees.append("the hook fence_peer is run before a takeover")
    return (
        "Policy promote: if the active server is really down, exactly one server serves. If only the link between them "
        "is cut, both may serve from the takeover until the link is back; then the one with the lower term ends all "
        f"its sessions within {promise.overlap_seconds:.0f} s, what it alone had is rescued, nothing is merged, and "
        "you choose which side goes on."
        + (f" Referees: {'; '.join(referees)}." if referees else " There is no referee.")
    )
