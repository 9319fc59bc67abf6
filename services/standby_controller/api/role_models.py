"""A change of roles as the API shows it."""

from __future__ import annotations

from pydantic import Field

from services.standby_controller.api.wire import Answer, FailureAnswer, Instant
from services.standby_controller.roles.changes import Change, ChangeKind


class ChangeAnswer(Answer):
    """A change of roles: on its way, or the last one."""

    id: str
    kind: ChangeKind
    requested_by: str
    reason: str
    started_at: Instant
    ended_at: Instant | None
    phase: str
    seconds_per_phase: dict[str, float]
    write_gap_seconds: float | None = Field(description="How long nobody could write (switchover).")
    failure: FailureAnswer | None

    @classmethod
    def of(cls, change: Change) -> ChangeAnswer:
        """Return the answer for a change."""
        return cls(
            id=change.id,
            kind=change.kind,
            requested_by=change.requested_by,
            reason=change.why,
            started_at=change.started_at,
            ended_at=change.ended_at,
            phase=change.phase,
            seconds_per_phase=dict(change.phases),
            write_gap_seconds=change.write_gap_seconds,
            failure=FailureAnswer.of(change.failure),
        )
