"""What nodes say about themselves on the wire: state, term, attempt, heartbeat. Values only, no I/O and no clock."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.settings import Mode

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1


class State(StrEnum):
    """What a node does now (design.md, words)."""

    UNINITIALISED = "uninitialised"
    WAITING = "waiting"
    ACTIVE = "active"
    STANDBY = "standby"
    FENCED = "fenced"
    PROMOTING = "promoting"
    DEMOTING = "demoting"


Epoch = Annotated[int, Field(ge=1, le=2**53)]


class Wire(BaseModel):
    """A value between nodes: frozen; keys of a newer release are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Term(Wire):
    """The last promotion that a node accepts as having happened."""

    epoch: Epoch
    owner: str

    def is_higher_than(self, other: Term | None) -> bool:
        """Say whether this term comes after the other; any term comes after none."""
        return other is None or self.epoch > other.epoch


class AttemptKind(StrEnum):
    """Why a node is being promoted: the active one is silent, is ordered to stop, hands over, or a human vouches."""

    FAILOVER = "failover"
    TAKEOVER = "takeover"
    SWITCHOVER = "switchover"
    FORCE = "force"


class Attempt(Wire):
    """A promotion on its way; until its epoch is the term it has not happened, and may be abandoned."""

    id: str
    epoch: Epoch
    kind: AttemptKind
    step: str = Field(description="The act being done; it is done again after a crash.")
    is_by_hand: bool = False
    from_state: State = State.STANDBY
    from_reason: str | None = None
    peer: str | None = Field(None, description="The node that hands over, or is ordered to stop.")
    is_peer_closed: bool = Field(False, description="That node was seen closed for this attempt.")
    is_failback: bool = Field(False, description="The node of mode primary gets its role back.")
    why: str = Field("", description="For people: who or what asked, and why.")
    sequence_headroom: int = Field(0, description="Sequences move on by so many steps before the databases open.")


class DemotionKind(StrEnum):
    """How an active node stops to serve."""

    HANDOVER = "handover"
    FENCE = "fence"
    IN_DOUBT = "in_doubt"


class Demotion(Wire):
    """An active node's way out of service."""

    kind: DemotionKind
    id: str = Field(description="The attempt it makes room for, or an id of its own.")
    step: str = Field(description="The act being done; it is done again after a crash.")
    peer: str | None = Field(None, description="The node that takes over (handover).")
    epoch: Epoch | None = Field(None, description="The epoch that the attempt would own (handover).")
    reason_code: str | None = Field(None, description="The reason of the fenced state that follows (fence).")


class ClosedFor(Wire):
    """The promotion that a fenced node was closed for: no other one may count on it."""

    attempt_id: str
    peer: str = Field(description="The node that holds the attempt.")


class FenceView(Wire):
    """How the node's databases stand to applications."""

    strength: str = Field(description="hba or limit: how they are closed.")
    is_closed: bool | None = Field(description="Unknown while PostgreSQL does not answer.")
    problem: Problem | None = None


class Envelope(Wire):
    """Who speaks: part of every answer between nodes."""

    protocol: int = Field(PROTOCOL_MAX, description="The protocol number of this message.")
    protocol_min: int = Field(PROTOCOL_MIN, description="The lowest protocol number the sender still speaks.")
    pair_id: str
    node_id: str
    boot_id: str = Field(description="A new one at every start of the agent.")
    term: Term | None = None


class ClockExchange(Wire):
    """The four-timestamp exchange; the caller notes the fourth itself (RFC 5905, section 8)."""

    sent_at: datetime | None = Field(None, description="The caller's wall clock when it sent the request, given back.")
    received_at: datetime = Field(description="The agent's wall clock when the request arrived.")
    answered_at: datetime = Field(description="The agent's wall clock when the answer left.")
    is_synchronised: bool | None = Field(
        None, description="Whether something keeps the node's clock right, as its kernel says; null where it does not."
    )
    error_seconds: float | None = Field(
        None, description="How far that clock is from the true time at most, as the kernel believes; 16 where unknown."
    )


class Problem(Wire):
    """Something that is wrong, with what to do about it."""

    code: str
    text: str
    hint: str = ""


class DatabaseHealth(Wire):
    """What the agent last saw of its PostgreSQL server."""

    is_healthy: bool
    checked_age_seconds: float = Field(description="How long ago the agent looked.")
    server_version: str | None = None
    system_identifier: str | None = None
    postmaster_started_at: datetime | None = None
    problem: Problem | None = None


class DiskSpace(Wire):
    """What the agent last saw of the disks that the node depends on; of several the fullest."""

    free_bytes: int
    floor_bytes: int = Field(description="With less the node is not promoted.")
    checked_age_seconds: float = Field(description="How long ago the agent looked.")


class DiskSize(Wire):
    """The disk under one folder of the node."""

    folder: str = Field(description="Its name in node.toml: state_dir or data_dir.")
    total_bytes: int
    free_bytes: int


class Resources(Wire):
    """What the node's machine has, as far as the agent can see; in a container what that may use."""

    cpu_count: int | None = None
    memory_bytes: int | None = None
    disks: tuple[DiskSize, ...] = ()


class ApplicationHealth(Wire):
    """What the agent of the active node last saw of the application."""

    is_healthy: bool = Field(description="False once so many looks in a row failed as [application] failures says.")
    checked_age_seconds: float = Field(description="How long ago the agent looked.")
    failures: int = Field(0, ge=0, description="Failed looks in a row.")
    detail: str = Field("", description="What the last look saw, where it failed.")


class CaptureState(StrEnum):
    """How far a component's capture is."""

    OFF = "off"
    PREPARING = "preparing"
    READY = "ready"
    BROKEN = "broken"


class AbsentSubscriber(Wire):
    """A standby that nothing is held for any more, because it was not seen for too long."""

    node_id: str
    last_seen_at: datetime


class CaptureStatus(Wire):
    """What the active node keeps for its standbys."""

    state: CaptureState
    capture_id: str | None = None
    kept_wal_bytes: int | None = None
    spool_keys: int | None = None
    spool_bytes: int | None = None
    drained_lsn: str | None = None
    drained_age_seconds: float | None = None
    problem: Problem | None = None
    is_ahead: bool = Field(False, description="Made ahead on a standby, so that a promotion finds it ready.")
    absent: tuple[AbsentSubscriber, ...] = Field(
        (), description="Standbys not seen for [capture] subscriber_days: their next sync is a full copy."
    )


class UnkeptTable(Wire):
    """A table, a view or large objects that a delta cannot keep current, and why."""

    name: str
    reason: str


class ComponentStatus(Wire):
    """One component as its node sees it."""

    name: str
    database: str = Field("", description="Empty of a file set.")
    folder: str | None = Field(None, description="Of a file set.")
    position: str | None = Field(None, description="The source's WAL position, or the sync point the copy stands at.")
    capture: CaptureStatus | None = None
    is_copy: bool | None = Field(
        None,
        description="On a standby: whether the database (the folder) is there and is what syncs made; null until seen.",
    )
    unkept: tuple[UnkeptTable, ...] = ()
    problem: Problem | None = None


class Components(Wire):
    """The components of a node (`GET /components`)."""

    items: tuple[ComponentStatus, ...]
    next_cursor: None = Field(None, description="Always null: the list is whole.")


class Versions(Wire):
    """Releases in use."""

    warmstandby: str
    python: str
    postgres: str | None = None


class Heartbeat(Envelope):
    """One look at a node; answers in every state, without SQL."""

    mode: Mode
    site: str
    state: State
    reason: str | None = Field(None, description="Why the node is in this state.")
    reason_code: str | None = Field(None, description="The reason's stable name, as in `state_lost`.")
    attempt: Attempt | None = None
    demotion: Demotion | None = None
    eligible: dict[str, bool] = Field(default_factory=dict, description="Which standbys may promote themselves.")
    fence: FenceView | None = None
    promoted_seconds: float | None = Field(
        None,
        description="How long ago the node was promoted; null unless that was since the agent's start, and it serves.",
    )
    clock: ClockExchange
    database: DatabaseHealth
    application: ApplicationHealth | None = Field(
        None, description="Null where no look is configured, on a node that is not active, and before the first look."
    )
    disk: DiskSpace | None = Field(None, description="Null before the first look.")
    resources: Resources | None = Field(None, description="Null before the first look.")
    components: tuple[ComponentStatus, ...] = ()
    uptime_seconds: float
    versions: Versions


class NodeView(Envelope):
    """The record, for the node's own controller and its peers (`GET /node`)."""

    mode: Mode
    state: State
    reason: str | None = Field(None, description="Why the node is in this state.")
    reason_code: str | None = Field(None, description="The reason's stable name, as in `state_lost`.")
    attempt: Attempt | None = None
    demotion: Demotion | None = None
    closed_for: ClosedFor | None = None
    eligible: dict[str, bool] = Field(default_factory=dict, description="Which standbys may promote themselves.")
    fence: FenceView | None = None


class Promote(Wire):
    """The node's own controller asks its agent for a promotion (`POST /node/promote`)."""

    attempt_id: str = Field(min_length=8, max_length=64)
    kind: AttemptKind
    expected_epoch: Epoch | None = Field(description="Epoch of the term that the caller believes is accepted here.")
    is_by_hand: bool = False
    silent_seconds: float | None = Field(
        None, ge=0, description="For how long the active node has been silent, by the caller's monotonic clock."
    )
    peer: str | None = Field(None, description="The node that hands over, or is ordered to stop.")
    is_failback: bool = Field(False, description="The node of mode primary gets its role back (switchover).")
    may_leave_fence: bool = Field(False, description="A fenced node may be promoted: an administrator says so.")
    sequence_headroom: int = Field(
        0,
        ge=0,
        le=10**9,
        description="Move sequences on by so many steps: what the other node gave out last is not known.",
    )
    why: str = Field("", max_length=500)


class AttemptName(Wire):
    """Names an attempt."""

    attempt_id: str = Field(min_length=8, max_length=64)


class Prepare(Wire):
    """A standby that holds an attempt asks the active node to close for it (`POST /handover/prepare`)."""

    attempt_id: str = Field(min_length=8, max_length=64)
    epoch: Epoch = Field(description="The epoch that the attempt would own.")
    expected_epoch: Epoch = Field(description="Epoch of the term that the caller follows.")
    deadline_seconds: float = Field(gt=0, le=3600)


class Settle(Wire):
    """The node that hands over asks for the outcome of the attempt (`POST /handover/settle`)."""

    attempt_id: str = Field(min_length=8, max_length=64)
    epoch: Epoch = Field(description="The epoch that the attempt would own.")


class OrderFence(Wire):
    """A node asks an active one to stop serving; the order is checked by asking back (`POST /fence`)."""

    attempt_id: str | None = Field(None, description="The attempt that the caller holds, for an ordered takeover.")


class GrantAsked(Wire):
    """A booted node asks whether it may serve again (`POST /grants`)."""

    epoch: Epoch


class Grant(Envelope):
    """The caller's term is accepted here, no attempt is open, and none will be for a while."""

    grant_seconds: float


class Settled(Envelope):
    """How an attempt stands once and for all (`POST /handover/settle`)."""

    attempt_id: str
    is_accepted: bool = Field(description="It has become the term; otherwise it is abandoned and never will.")
    grant_seconds: float = 0.0


class Eligible(Wire):
    """Whether the calling standby may promote itself (`PUT /eligible`)."""

    epoch: Epoch = Field(description="Epoch of the term it is said for.")
    is_eligible: bool


class JournalEntry(Wire):
    """One step of a change of roles, as the agent wrote it down."""

    seq: int = Field(ge=1)
    at: datetime
    transition_id: str
    kind: str
    step: str
    outcome: str = Field(description="begun, done or failed.")
    seconds: float | None = None
    monotonic_seconds: float | None = Field(
        None, description="The node's monotonic clock, for durations between entries; it begins anew with each boot."
    )
    detail: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Journal(Wire):
    """Entries of the journal, oldest first (`GET /node/journal`)."""

    items: tuple[JournalEntry, ...]
    next_cursor: None = Field(None, description="Always null: ask again with `after`.")
