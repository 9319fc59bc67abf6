"""Transitions as the API shows them."""

from __future__ import annotations

from pydantic import Field, JsonValue

from services.standby_controller.api.wire import Answer, Instant
from services.standby_controller.policy.transition_advice import advise_after
from services.standby_controller.policy.transition_story import (
    Evidence,
    Phase,
    Topic,
    Transition,
    TransitionResult,
)


class PhaseAnswer(Answer):
    """One act of one node."""

    node: str
    step: str
    outcome: str = Field(description="begun, done or failed.")
    started_at: Instant
    seconds: float | None
    detail: str
    times: int = Field(description="How often it was begun.")

    @classmethod
    def of(cls, phase: Phase) -> PhaseAnswer:
        """Return the answer for a phase."""
        return cls(
            node=phase.node,
            step=phase.step,
            outcome=phase.outcome,
            started_at=phase.started_at,
            seconds=phase.seconds,
            detail=phase.detail,
            times=phase.times,
        )


class EvidenceAnswer(Answer):
    """What one node's controller knew."""

    node: str
    topic: Topic = Field(
        description="looks: at its peers in the minute before; decision: what was weighed; loss: what was lost."
    )
    at: Instant
    data: dict[str, JsonValue]

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceAnswer:
        """Return the answer for a piece of evidence."""
        return cls(node=evidence.node, topic=evidence.topic, at=evidence.at, data=evidence.data)


class TransitionAnswer(Answer):
    """One change of roles."""

    id: str
    kind: str = Field(
        description="failover, switchover, failback, force, fence, handover, in_doubt, unfence or return."
    )
    node: str = Field(description="The node that was promoted, or else the one that changed.")
    result: TransitionResult
    started_at: Instant
    ended_at: Instant | None
    duration_seconds: float | None = Field(description="By the monotonic clock, so that no step of a clock is in it.")
    is_by_hand: bool = Field(description="A person asked for it; otherwise the node's controller did.")
    asked_by: str = Field(description="Whose word it was, as far as it is known.")
    why: str
    term_epoch: int | None
    attempts: int = Field(description="How often the act that was repeated most was begun.")
    estimated_loss_seconds: float | None = Field(description="Age of the copy when it was decided.")
    lost_rows: int | None = Field(description="Rows that only the lost node had; null until it is back.")
    phases: tuple[PhaseAnswer, ...]
    evidence: tuple[EvidenceAnswer, ...] = Field(description="What the controllers of the nodes knew.")
    advice: str = Field(description="What to do now.")

    @classmethod
    def of(cls, transition: Transition) -> TransitionAnswer:
        """Return the answer for a transition."""
        return cls(
            id=transition.id,
            kind=transition.kind,
            node=transition.node,
            result=transition.result,
            started_at=transition.started_at,
            ended_at=transition.ended_at,
            duration_seconds=transition.duration_seconds,
            is_by_hand=transition.is_by_hand,
            asked_by=transition.asked_by,
            why=transition.why,
            term_epoch=transition.term_epoch,
            attempts=transition.attempts,
            estimated_loss_seconds=_number(transition.known(Topic.DECISION, "estimated_loss_seconds")),
            lost_rows=_whole(transition.known(Topic.LOSS, "rows")),
            phases=tuple(map(PhaseAnswer.of, transition.phases)),
            evidence=tuple(map(EvidenceAnswer.of, transition.evidence)),
            advice=advise_after(transition),
        )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
