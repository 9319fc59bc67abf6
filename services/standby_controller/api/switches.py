"""`PUT /v1/maintenance` and `PUT /v1/arming`: what may happen by itself."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Operator
from services.standby_controller.api.audit import note
from services.standby_controller.api.gate_models import SwitchesAnswer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.wire import Demand
from services.standby_controller.store.audit import Action
from shared.errors import PreconditionFailed, RequestError
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1", tags=["people"])

_ERRORS: Final = problem_responses(*ACCESS_ERRORS, PreconditionFailed, RequestError)


class MaintenanceDemand(Demand):
    """Whether the pair is in maintenance."""

    enabled: bool
    reason: str = Field("", max_length=300, description="Why, for the history.")


class ArmingDemand(Demand):
    """Whether automatic failover is armed."""

    armed: bool
    reason: str = Field("", max_length=300, description="Why, for the history.")


@router.put(
    "/maintenance",
    operation_id="setMaintenance",
    summary="Begin or end maintenance",
    response_model=SwitchesAnswer,
    responses=_ERRORS,
)
async def set_maintenance(asked: MaintenanceDemand, parts: PartsOf, caller: Operator) -> SwitchesAnswer:
    """Nothing happens by itself in maintenance; after it a failure must be seen anew before anything does."""
    document = await parts.arming.set_maintenance(asked.enabled, caller.name, asked.reason)
    note(parts, caller, Action.MAINTENANCE_SET, after=asked.model_dump())
    return SwitchesAnswer.of(document.failover)


@router.put(
    "/arming",
    operation_id="setArming",
    summary="Arm or disarm automatic failover",
    response_model=SwitchesAnswer,
    responses=_ERRORS,
)
async def set_arming(asked: ArmingDemand, parts: PartsOf, caller: Operator) -> SwitchesAnswer:
    """Disarmed by hand, or by the controller after three attempts that were given up; armed by an administrator."""
    document = await parts.arming.set_armed(asked.armed, caller.name, asked.reason)
    note(parts, caller, Action.ARMING_SET, after=asked.model_dump())
    return SwitchesAnswer.of(document.failover)
