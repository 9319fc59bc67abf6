"""A node's state or term does not allow it."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class RoleError(WarmstandbyError):
    """The node's role does not allow this."""

    code = "role_conflict"
    status = 409
    default_hint = "Look at GET /v1/status on both nodes."


class NotActive(RoleError):
    """Only the active node exports its data."""

    code = "not_active"


class NotStandby(RoleError):
    """Only a standby node runs syncs."""

    code = "not_standby"
    default_hint = "Syncs run on the standby: ask its controller. GET /v1/status tells which node it is."


class StaleTerm(RoleError):
    """The request carries an older term than this node has accepted."""

    code = "stale_term"
    default_hint = "Another node was promoted since. Look at GET /v1/status on both nodes."


class RecordUnwritable(RoleError):
    """The node's record cannot be written; its state stays as it is."""

    code = "record_unwritable"
    status = 503
    default_hint = "Look at space, rights and health of the disk that holds [node] state_dir."


class WrongPair(RoleError):
    """The other node belongs to another pair."""

    code = "wrong_pair"
    default_hint = "Compare [node] pair_id in node.toml of both nodes."


class ProtocolMismatch(RoleError):
    """The two nodes speak no common version of the protocol."""

    code = "protocol_mismatch"
    default_hint = "Bring both nodes to releases that share a protocol number (GET /heartbeat shows theirs)."


class GuardClosed(RoleError):
    """The node's databases may not be overwritten now."""

    code = "guard_closed"
    default_hint = "The node is or was promoted. Look at its state with GET /v1/status."
