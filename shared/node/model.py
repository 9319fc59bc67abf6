"""What nodes say about themselves on the wire: state, term, attempt, heartbeat. Values only, no I/O and no clock."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

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


class Wire(BaseModel):
    """A value between nodes: frozen; keys of a newer release are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Term(Wire):
    """The last promotion that a node accepts as having happened."""

    epoch: int = Field(ge=1)
    owner: str

    def is_higher_than(self, other: Term | None) -> bool:
        """Say whether this term comes after the other; any term comes after none."""
        return other is None or self.epoch > other.epoch


class Attempt(Wire):
    """A promotion that has not happened yet."""

    id: str
    epoch: int
    kind: str
    step: str


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


class CaptureState(StrEnum):
    """How far a component's capture is."""

    OFF = "off"
    PREPARING = "preparing"
    READY = "ready"
    BROKEN = "broken"


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


class UnkeptTable(Wire):
    """A table that a delta does not keep current, and why."""

    name: str
    reason: str


class ComponentStatus(Wire):
    """One component as its node sees it."""

    name: str
    database: str
    position: str | None = Field(None, description="The source's WAL position, or the sync point the copy stands at.")
    capture: CaptureStatus | None = None
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
    clock: ClockExchange
    database: DatabaseHealth
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
    eligible: dict[str, bool] = Field(default_factory=dict)
