"""The one tree of errors: what went wrong, its stable code, its HTTP status and what to do about it.

Nothing here formats an HTTP answer (`shared/http/problem.py` does) or writes a log line.

    WarmstandbyError
    ├── ConfigurationError          node.toml or the environment cannot be used (exit code 2)
    ├── CredentialError             401 and 403
    ├── RequestError                the caller asked for something that cannot be (4xx)
    ├── RoleError                   a node's state or term does not allow it (409)
    ├── ReplicationError            an export, a sync or a cursor cannot go on (409)
    ├── PostgresError               a database does not answer, or not as it must (503)
    └── PeerError                   another node does not answer, or not as it must (503)

The docstring of a class is its title; `code` never changes once released; `hint` says what an administrator does next.
"""


from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason of a refusal, and the name of the override that would pass it."""

    code: str
    text: str
    override: str | None = None


class WarmstandbyError(Exception):
    """Something went wrong in Warmstandby."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    default_hint: ClassVar[str] = "Look at the log of the service that answered."
    retry_after_seconds: float | None = None
    refusals: tuple[Refusal, ...] = ()

    def __init__(self, detail: str, *, hint: str | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint if hint is not None else self.default_hint
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds

    @classmethod
    def title(cls) -> str:
        """Return the first line of the docstring, the sentence for people."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


# Configuration -------------------------------------------------------------------------------------------------------


class ConfigurationError(WarmstandbyError):
    """The configuration of this node cannot be used."""

    code = "configuration_invalid"
    default_hint = "Correct the named key in node.toml or in the environment and start the service again."


class PlaintextRefused(ConfigurationError):
    """The service would listen beyond loopback without TLS."""

    code = "plaintext_refused"
    default_hint = "Set tls_certificate and tls_key for the service, or allow_plaintext = true in a private network."


# Credentials ---------------------------------------------------------------------------------------------------------


class CredentialError(WarmstandbyError):
    """The caller's credential is not accepted."""

    code = "credential_invalid"
    status = 401
    default_hint = "Send a valid credential as `Authorization: Bearer …`."


class CredentialMissing(CredentialError):
    """The request carries no credential."""

    code = "credential_missing"


class CredentialExpired(CredentialError):
    """The credential has expired."""

    code = "credential_expired"
    default_hint = "Make a new token with `warmstandby token create` on the node."


class ForbiddenError(CredentialError):
    """The credential does not give this right."""

    code = "forbidden"
    status = 403
    default_hint = "Use a credential with the role that the operation names."


# Requests ------------------------------------------------------------------------------------------------------------


class RequestError(WarmstandbyError):
    """The request cannot be carried out as it stands."""

    code = "request_invalid"
    status = 422
    default_hint = "Compare the request with the API's documentation at /docs."


class NotFound(RequestError):
    """There is nothing under this address."""

    code = "not_found"
    status = 404
    default_hint = "List the resources first and use an id from the answer."


class CursorInvalid(RequestError):
    """The cursor of a list cannot be used."""

    code = "list_cursor_invalid"
    default_hint = "Send `next_cursor` of the last answer unchanged, with the same filters, or leave it out."


class NameTaken(RequestError):
    """Something of this name exists already."""

    code = "name_taken"
    status = 409
    default_hint = "Choose another name, or delete the old one first."


class MethodNotAllowed(RequestError):
    """Another method is needed under this address."""

    code = "method_not_allowed"
    status = 405
    default_hint = "The Allow header lists the methods it takes."


class ConfigRefused(RequestError):
    """The pair's configuration cannot be changed like this."""

    code = "config_refused"
    default_hint = "Correct the named keys. GET /v1/config shows all keys with their present values."


class PreconditionRequired(RequestError):
    """A change of the configuration must name the version it was made from."""

    code = "precondition_required"
    status = 428
    default_hint = "Send the ETag of GET /v1/config as If-Match."


class PreconditionFailed(RequestError):
    """The configuration was changed by somebody else meanwhile."""

    code = "precondition_failed"
    status = 412
    default_hint = "Read GET /v1/config again and repeat the change on the new version."


# Roles ---------------------------------------------------------------------------------------------------------------


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


# Replication ---------------------------------------------------------------------------------------------------------


class ReplicationError(WarmstandbyError):
    """The sync cannot go on."""

    code = "sync_failed"
    status = 409
    default_hint = "The standby keeps the data of its last successful sync. Look at GET /v1/syncs."


class SyncRunning(ReplicationError):
    """A sync is running already; syncs never overlap."""

    code = "sync_running"
    default_hint = "Wait for it, or cancel it with POST /v1/syncs/{id}/cancel."


class SyncNotRunning(ReplicationError):
    """The sync has ended already."""

    code = "sync_not_running"
    default_hint = "GET /v1/syncs/{id} shows how it ended."


class CursorUnknown(ReplicationError):
    """The active node does not know the sync point that the standby stands at."""

    code = "cursor_unknown"
    default_hint = "The next sync copies everything again (seed) by itself."


class CursorTrimmed(ReplicationError):
    """The active node no longer keeps the changes since the standby's sync point."""

    code = "cursor_trimmed"
    default_hint = "The next sync copies everything again (seed) by itself."


class SchemaChanged(ReplicationError):
    """Tables of the component were created, dropped or altered since the standby's sync point."""

    code = "schema_changed"
    default_hint = "The next sync copies everything again (seed) by itself."


class CaptureNotReady(ReplicationError):
    """The active node cannot capture changes yet."""

    code = "capture_not_ready"
    status = 503
    default_hint = "Transactions that were open when capture started must end first; the detail names them."
    retry_after_seconds = 2.0


class TableRewritten(ReplicationError):
    """A table was truncated or rewritten while it was being exported."""

    code = "table_rewritten"
    default_hint = "The sync starts again with a fresh export by itself."


class TableLocked(ReplicationError):
    """A statement of the application holds a table longer than the lock timeout."""

    code = "table_locked"
    status = 503
    default_hint = "The sync is tried again. Look for long ALTER TABLE or LOCK statements on the named table."
    retry_after_seconds = 5.0


class ExportGone(ReplicationError):
    """The export was closed or has expired."""

    code = "export_gone"
    status = 404
    default_hint = "Open a new export."


class TransferIncomplete(ReplicationError):
    """Fewer rows arrived than were sent."""

    code = "transfer_incomplete"
    default_hint = "Nothing was changed on the standby; the next sync starts again."


class Divergence(ReplicationError):
    """The standby's data cannot take the changes: it was written to by somebody else."""

    code = "divergence"
    default_hint = "Find out who writes to the standby; the next sync copies everything again (seed)."


class SeedRefused(ReplicationError):
    """The standby cannot take a full copy."""

    code = "seed_refused"


class SyncCancelled(ReplicationError):
    """The sync was cancelled."""

    code = "cancelled"
    default_hint = "Nothing was changed on the standby. Start it again with POST /v1/syncs."


# PostgreSQL ----------------------------------------------------------------------------------------------------------


class PostgresError(WarmstandbyError):
    """A database did not do what was asked."""

    code = "database_error"
    status = 503
    default_hint = "Look at the log of that PostgreSQL server."
    retry_after_seconds = 5.0


class DatabaseUnreachable(PostgresError):
    """The PostgreSQL server does not answer."""

    code = "database_unreachable"
    default_hint = "Start the server, or correct host, port and password in [postgres] of node.toml."


class LoginRefused(PostgresError):
    """The PostgreSQL server refuses the role or its password."""

    code = "database_login_refused"
    default_hint = "Correct role and password in [postgres] of node.toml, or pg_hba.conf on the server."


class DatabaseMissing(PostgresError):
    """The database does not exist."""

    code = "database_missing"
    default_hint = "Create it as README.md shows, or correct its name in node.toml."


class VersionUnsupported(PostgresError):
    """The PostgreSQL server is too old."""

    code = "postgres_version_unsupported"
    default_hint = "Warmstandby needs PostgreSQL 15 or newer."


class SchemaTooNew(PostgresError):
    """Warmstandby's own database was written by a newer release."""

    code = "schema_too_new"
    default_hint = "Install the release that this node ran before, or a newer one."


class WalLevelInsufficient(PostgresError):
    """The PostgreSQL server does not write logical WAL."""

    code = "wal_level_insufficient"
    default_hint = "Run `ALTER SYSTEM SET wal_level = logical;` as a superuser and restart the PostgreSQL server."


class RightsMissing(PostgresError):
    """The database role lacks a right."""

    code = "rights_missing"
    default_hint = "Grant the rights listed in README.md to the role that the detail names."


class ProgramMissing(PostgresError):
    """A PostgreSQL client program is missing or too old."""

    code = "program_missing"
    default_hint = "Install the PostgreSQL client programs of the server's major version, or set bin_dir in [postgres]."


# Peers ---------------------------------------------------------------------------------------------------------------


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
