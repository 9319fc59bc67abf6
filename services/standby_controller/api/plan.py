"""`POST /v1/transitions/plan`: the dry run of a failover or a switchover."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.gate_models import CheckAnswer, RefusalAnswer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.wire import Answer, Demand
from services.standby_controller.policy.detector import Way
from services.standby_controller.policy.gate import Override
from services.standby_controller.policy.plan import Plan, PlanKind, PlannedAct
from shared.errors import RequestError
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/transitions", tags=["people"])


class PlanDemand(Demand):
    """What shall be planned."""

    kind: Annotated[PlanKind, Field(strict=False)]
    overrides: tuple[Annotated[Override, Field(strict=False)], ...] = Field(
        (), strict=False, description="Checks that would be passed by hand."
    )


class ActAnswer(Answer):
    """One act, in the order in which they would be done."""

    number: int
    node_id: str = Field(description="The node that does it.")
    name: str
    text: str
    is_point_of_no_return: bool = Field(description="Before it all can be given up, after it there is only forward.")
    is_skipped: bool = Field(description="A hook that is not configured on this node.")
    limit_seconds: float | None = Field(description="A hook that takes longer is killed.")

    @classmethod
    def of(cls, number: int, act: PlannedAct) -> ActAnswer:
        """Return the answer for an act."""
        return cls(
            number=number,
            node_id=act.node_id,
            name=act.name,
            text=act.text,
            is_point_of_no_return=act.is_point_of_no_return,
            is_skipped=act.is_skipped,
            limit_seconds=act.limit_seconds,
        )


class PlanAnswer(Answer):
    """What would be checked and done; nothing was."""

    kind: PlanKind
    may_begin_by_hand: bool = Field(description="Nothing refuses it, with these overrides.")
    may_begin_by_itself: bool = Field(description="Nothing refuses it; a switchover never begins by itself.")
    way: Way = Field(description="How this node would take over by itself now; `none` while that is not due.")
    checks: tuple[CheckAnswer, ...]
    refusals_by_hand: tuple[RefusalAnswer, ...]
    refusals_automatic: tuple[RefusalAnswer, ...]
    acts: tuple[ActAnswer, ...]
    estimated_loss_seconds: float | None = Field(description="Age of the data that would be lost; null is unknown.")
    detection_seconds: float = Field(description="Until a death of the active node is certain, at most.")
    takeover_seconds: float = Field(description="From the decision to the first probe that says active, without hooks.")

    @classmethod
    def of(cls, plan: Plan) -> PlanAnswer:
        """Return the answer for a plan."""
        return cls(
            kind=plan.kind,
            may_begin_by_hand=not plan.refusals_by_hand,
            may_begin_by_itself=plan.kind is PlanKind.FAILOVER and not plan.refusals_automatic,
            way=plan.way,
            checks=tuple(map(CheckAnswer.of, plan.checks)),
            refusals_by_hand=tuple(map(RefusalAnswer.of, plan.refusals_by_hand)),
            refusals_automatic=tuple(map(RefusalAnswer.of, plan.refusals_automatic)),
            acts=tuple(ActAnswer.of(number, act) for number, act in enumerate(plan.acts, 1)),
            estimated_loss_seconds=plan.estimated_loss_seconds,
            detection_seconds=plan.detection_seconds,
            takeover_seconds=plan.takeover_seconds,
        )


@router.post(
    "/plan",
    operation_id="planTransition",
    summary="Show what a failover or a switchover would check and do",
    response_model=PlanAnswer,
    responses=problem_responses(*ACCESS_ERRORS, RequestError),
)
async def plan_transition(asked: PlanDemand, parts: PartsOf, _: Viewer) -> PlanAnswer:
    """List every check and every act for this node becoming active; it does none of them. Ask the standby."""
    return PlanAnswer.of(parts.planner.plan(asked.kind, asked.overrides))
