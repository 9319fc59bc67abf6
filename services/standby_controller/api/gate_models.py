"""The gate, what is wrong with the active node, and what may happen by itself, as the API shows them."""

from __future__ import annotations

from pydantic import Field

from services.standby_controller.api.wire import Answer
from services.standby_controller.gatekeeper import Judgement
from services.standby_controller.pair_groups import FailoverGroup, FailoverPolicy
from services.standby_controller.policy.detector import Door, FailureKind, Look, Way
from services.standby_controller.policy.gate import Check, Override, Verdict
from shared.errors.base import Refusal


class CheckAnswer(Answer):
    """One check of the gate, judged for a takeover by itself and for one by hand."""

    code: str = Field(description="What a refusal by it is called.")
    text: str
    automatic: Verdict
    by_hand: Verdict
    override: Override | None = Field(description="What passes it by hand; null where nothing does.")

    @classmethod
    def of(cls, check: Check) -> CheckAnswer:
        """Return the answer for a check."""
        return cls(
            code=check.code, text=check.text, automatic=check.automatic, by_hand=check.by_hand, override=check.override
        )


class RefusalAnswer(Answer):
    """One reason of a refusal."""

    code: str
    text: str
    override: str | None = Field(description="What would pass it by hand.")

    @classmethod
    def of(cls, refusal: Refusal) -> RefusalAnswer:
        """Return the answer for a refusal."""
        return cls(code=refusal.code, text=refusal.text, override=refusal.override)


class LookAnswer(Answer):
    """One look of the evidence: what each door answered."""

    ago_seconds: float
    agent: Door
    controller: Door
    database: Door
    references: Door
    detail: str

    @classmethod
    def of(cls, look: Look, now_monotonic: float) -> LookAnswer:
        """Return the answer for a look."""
        return cls(
            ago_seconds=round(max(0.0, now_monotonic - look.began_seconds), 3),
            agent=look.agent,
            controller=look.controller,
            database=look.database,
            references=look.references,
            detail=look.detail,
        )


class DiagnosisAnswer(Answer):
    """What is wrong with the node that owns the term, as seen from this one."""

    node_id: str | None = Field(description="Null where this node owns the term, or nobody does.")
    kind: FailureKind
    is_certain: bool = Field(description="Enough looks in a row agree.")
    way: Way = Field(description="How this node would take over from it now; `none` while that is not due.")
    evidence: tuple[LookAnswer, ...] = Field(description="The looks in a row that agree, oldest first.")

    @classmethod
    def of(cls, judgement: Judgement) -> DiagnosisAnswer:
        """Return the answer for a judgement."""
        return cls(
            node_id=judgement.peer_id,
            kind=judgement.kind,
            is_certain=judgement.diagnosis.is_certain,
            way=judgement.way,
            evidence=tuple(LookAnswer.of(look, judgement.at_seconds) for look in judgement.evidence),
        )


class SwitchesAnswer(Answer):
    """What may happen by itself."""

    policy: FailoverPolicy
    armed: bool
    maintenance: bool

    @classmethod
    def of(cls, failover: FailoverGroup) -> SwitchesAnswer:
        """Return the answer for the failover settings."""
        return cls(policy=failover.policy, armed=failover.armed, maintenance=failover.maintenance)
