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

from shared.errors.base import (
    Refusal,
    WarmstandbyError,
)
from shared.errors.configuration import (
    ConfigurationError,
    PlaintextRefused,
)
from shared.errors.credentials import (
    CredentialError,
    CredentialExpired,
    CredentialMissing,
    ForbiddenError,
)
from shared.errors.gate import GateRefused
from shared.errors.peers import (
    PeerError,
    PeerRefusal,
    PeerRefusedUs,
    PeerUnreachable,
)
from shared.errors.postgres import (
    DatabaseMissing,
    DatabaseUnreachable,
    LoginRefused,
    PostgresError,
    ProgramMissing,
    RightsMissing,
    SchemaTooNew,
    VersionUnsupported,
    WalLevelInsufficient,
)
from shared.errors.replication import (
    CaptureNotReady,
    ClockSkew,
    CursorMoved,
    CursorTrimmed,
    CursorUnknown,
    Divergence,
    ExportGone,
    NothingToRepair,
    ReplicationError,
    RescueUnwritable,
    SchemaChanged,
    SeedRefused,
    SyncCancelled,
    SyncNotRunning,
    SyncRunning,
    TableLocked,
    TableRewritten,
    TransferIncomplete,
)
from shared.errors.requests import (
    ConfigRefused,
    ConfirmationNeeded,
    CursorInvalid,
    MethodNotAllowed,
    NameTaken,
    NotFound,
    NotificationNotDead,
    PreconditionFailed,
    PreconditionRequired,
    RequestError,
    ScheduleGap,
    WindowInvalid,
)
from shared.errors.roles import (
    AgentRuns,
    ApplyNotStopped,
    AttemptGone,
    AttemptOpen,
    FenceIncomplete,
    FenceListUnwritable,
    FinalDeltaTooLong,
    GrantGiven,
    GuardClosed,
    HookVeto,
    NotActive,
    NotEligible,
    NotStandby,
    PeerNotClosed,
    PeerServes,
    ProtocolMismatch,
    RecordUnwritable,
    RoleError,
    StaleTerm,
    TransitionFailed,
    TransitionRefused,
    TransitionRunning,
    WrongPair,
)

__all__ = [
    "AgentRuns",
    "ApplyNotStopped",
    "AttemptGone",
    "AttemptOpen",
    "CaptureNotReady",
    "ClockSkew",
    "ConfigRefused",
    "ConfigurationError",
    "ConfirmationNeeded",
    "CredentialError",
    "CredentialExpired",
    "CredentialMissing",
    "CursorInvalid",
    "CursorMoved",
    "CursorTrimmed",
    "CursorUnknown",
    "DatabaseMissing",
    "DatabaseUnreachable",
    "Divergence",
    "ExportGone",
    "FenceIncomplete",
    "FenceListUnwritable",
    "FinalDeltaTooLong",
    "ForbiddenError",
    "GateRefused",
    "GrantGiven",
    "GuardClosed",
    "HookVeto",
    "LoginRefused",
    "MethodNotAllowed",
    "NameTaken",
    "NotActive",
    "NotEligible",
    "NotFound",
    "NotStandby",
    "NothingToRepair",
    "NotificationNotDead",
    "PeerError",
    "PeerNotClosed",
    "PeerRefusal",
    "PeerRefusedUs",
    "PeerServes",
    "PeerUnreachable",
    "PlaintextRefused",
    "PostgresError",
    "PreconditionFailed",
    "PreconditionRequired",
    "ProgramMissing",
    "ProtocolMismatch",
    "RecordUnwritable",
    "Refusal",
    "ReplicationError",
    "RequestError",
    "RescueUnwritable",
    "RightsMissing",
    "RoleError",
    "ScheduleGap",
    "SchemaChanged",
    "SchemaTooNew",
    "SeedRefused",
    "StaleTerm",
    "SyncCancelled",
    "SyncNotRunning",
    "SyncRunning",
    "TableLocked",
    "TableRewritten",
    "TransferIncomplete",
    "TransitionFailed",
    "TransitionRefused",
    "TransitionRunning",
    "VersionUnsupported",
    "WalLevelInsufficient",
    "WarmstandbyError",
    "WindowInvalid",
    "WrongPair",
]
