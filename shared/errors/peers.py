"""Another node does not answer, or not as it must."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class PeerError(WarmstandbyError):
    """The other node did not answer as it must."""

    code = "peer_error"
    status = 503
    retry_after_seconds = 5.0
    default_hint = "Look at the other node's log."


class PeerUnreachable(PeerError):
    """The other node does not answer."""

    code = "peer_unreachable"
    default_hint = "Check that the other node is up and that its URL in [[peers]] is right."


class PeerRefusedUs(PeerError):
    """The other node refuses our credential or our certificate."""

    code = "peer_refused_us"
    default_hint = "Compare [node] key here with the key of this node in [[peers]] there, and the TLS settings of both."


class PeerRefusal(PeerError):
    """The other node answered with a refusal of its own; `peer_code` is its code."""

    code = "peer_refusal"

    def __init__(self, detail: str, *, peer_code: str, peer_status: int, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint)
        self.peer_code = peer_code
        self.peer_status = peer_status
