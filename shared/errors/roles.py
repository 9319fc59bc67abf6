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


class FenceListUnwritable(RoleError):
    """The list of closed databases cannot be written."""

    code = "fence_list_unwritable"
    status = 503
    default_hint = "Look at space and rights of the folder of [fencing] hba_list."


class GuardClosed(RoleError):
    """The node's databases may not be overwritten now."""

    code = "guard_closed"
    default_hint = "The node is or was promoted. Look at its state with GET /v1/status."


class TransitionRefused(RoleError):
    """The node's state does not allow this change of roles."""

    code = "transition_refused"


class NotEligible(RoleError):
    """The standby may not promote itself."""

    code = "not_eligible"
    default_hint = "GET /v1/status says why; an administrator may fail over by hand with POST /v1/failover."


class AttemptOpen(RoleError):
    """Another promotion is on its way on this node."""

    code = "attempt_open"
    default_hint = "Wait for its end; GET /v1/transitions shows it."


class AttemptGone(RoleError):
    """The promotion was abandoned, or is past the point where it could be."""

    code = "attempt_gone"


class GrantGiven(RoleError):
    """The node has promised not to be promoted for a while, so that the other one may serve."""

    code = "grant_given"
    default_hint = "The other node was alive a moment ago. Evidence from before that does not count; try again."
    retry_after_seconds = 5.0


class PeerServes(RoleError):
    """Another node serves in this term."""

    code = "peer_serves"
    default_hint = "Use a switchover (POST /v1/switchover): nothing is lost by it."


class AgentRuns(RoleError):
    """Only a node whose agent is dead for certain is closed by its controller."""

    code = "agent_runs"
    default_hint = "Its agent is there, and alone closes that node: start it again, or end it if it hangs."
    retry_after_seconds = 5.0


class PeerNotClosed(RoleError):
    """The node that hands over was not seen closed for this attempt."""

    code = "peer_not_closed"


class HookVeto(RoleError):
    """A hook ended with an error and forbids the promotion."""

    code = "hook_veto"
    default_hint = "The log of the agent holds the hook's output."


class FenceIncomplete(RoleError):
    """The databases could not be closed for certain."""

    code = "fence_incomplete"
    status = 503
    default_hint = (
        "The detail names what is open or who is inside. End that session (the application, a job worker), or switch "
        "the server off. README.md, section Fencing, says what each strength stops."
    )
    retry_after_seconds = 5.0

    def __init__(
        self, detail: str, *, hint: str | None = None, sessions: tuple[str, ...] = (), prepared: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail, hint=hint)
        self.sessions = sessions
        """Who is still inside, for people."""
        self.prepared = prepared
        """Transactions prepared for two-phase commit that could still be committed, for people."""


class ApplyNotStopped(RoleError):
    """A session that applies a sync could not be ended."""

    code = "apply_not_stopped"
    status = 503
    default_hint = "End the sessions of role warmstandby_apply on this node; the promotion is tried again."
    retry_after_seconds = 5.0


class TransitionRunning(RoleError):
    """A change of roles is on its way; there is one at a time."""

    code = "transition_running"
    default_hint = "GET /v1/status shows it. Wait for its end."


class TransitionFailed(RoleError):
    """The change of roles did not come to its end."""

    code = "transition_failed"
    default_hint = "GET /v1/status on both nodes shows who serves now; the change can be asked for again."


class FinalDeltaTooLong(RoleError):
    """The last sync of a switchover would stop writes for longer than allowed."""

    code = "final_delta_too_long"
    default_hint = "Wait for a quieter hour, or raise failover.max_write_gap_seconds with PATCH /v1/config."
