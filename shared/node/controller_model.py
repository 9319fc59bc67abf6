"""What the controllers of a pair say to each other on the wire. Values only, no I/O and no clock."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from shared.node.model import Envelope, Epoch, State, Wire


class Live(Wire):
    """The probe that every controller answers, without a credential (`GET /health/live`)."""

    is_live: bool


class Gap(Wire):
    """Why a node would not take over now."""

    code: str
    text: str


class ControllerView(Envelope):
    """What one controller knows of its own node and of the pair's protection (`GET /nodes/view`)."""

    state: State | None = Field(description="Its node's state; null while its own agent does not answer.")
    reasons: tuple[Gap, ...] = Field(
        description="What keeps its node from taking over by itself now; empty on a standby that would."
    )
    is_eligible: bool | None = Field(None, description="May its node promote itself, as its own agent has recorded it?")
    data_age_seconds: float | None = Field(None, description="Age of its oldest copy; null where it has none.")
    last_sync_at: datetime | None = Field(None, description="When its last successful sync ended, by its clock.")
    automatic_failover_age_seconds: float | None = Field(
        None, description="How long ago its node took over by itself; null where it did not, as far as it knows."
    )


class CloseNode(Wire):
    """A standby that is about to be promoted has a node closed whose agent is dead (`POST /nodes/close`)."""

    attempt_id: str = Field(min_length=8, max_length=64, description="The promotion that shall follow.")
    expected_epoch: Epoch = Field(description="Epoch of the term that the caller follows, and the node owns.")


class NodeClosed(Envelope):
    """The proof that nobody can write on a node any more, and that its agent will not open it."""

    strength: str = Field(description="hba or limit: how the databases are closed.")
    text: str = Field(description="What was seen, for people.")
