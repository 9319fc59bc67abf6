"""Probes for load balancers and monitors, answered from what this node's own agent says; no credential, no data."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import Field

from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.wire import Answer
from shared.errors import ProbeFailed
from shared.http.problem import problem_responses
from shared.node.model import State

router: Final = APIRouter(tags=["probes"])

FRESH_SECONDS: Final = 3.0
"""What the own agent said longer ago (three looks) is unknown, and unknown is not healthy."""


class ProbeAnswer(Answer):
    """A probe that passed; one that does not is a 503."""

    status: str = Field(description="Always `ok`.")


_PASSED: Final = ProbeAnswer(status="ok")
_FAILS: Final = problem_responses(ProbeFailed)


@router.get(
    "/active",
    operation_id="probe_active",
    summary="Is this the active node?",
    response_model=ProbeAnswer,
    responses=_FAILS,
)
async def probe_active(parts: PartsOf) -> ProbeAnswer:
    """Answer 200 on the active node, else 503."""
    return _expect(parts, State.ACTIVE)


@router.get(
    "/standby",
    operation_id="probe_standby",
    summary="Is this a standby node?",
    response_model=ProbeAnswer,
    responses=_FAILS,
)
async def probe_standby(parts: PartsOf) -> ProbeAnswer:
    """Answer 200 on a standby node, else 503."""
    return _expect(parts, State.STANDBY)


@router.get(
    "/health/live",
    operation_id="probe_live",
    summary="Does this service run?",
    response_model=ProbeAnswer,
)
async def probe_live() -> ProbeAnswer:
    """Answer 200 as long as the process serves; nothing is asked of anybody."""
    return _PASSED


@router.get(
    "/health/ready",
    operation_id="probe_ready",
    summary="Can this service do its work?",
    response_model=ProbeAnswer,
    responses=_FAILS,
)
async def probe_ready(parts: PartsOf) -> ProbeAnswer:
    """Answer 200 when the control database was reached and the own agent answers, else 503."""
    if not parts.database.is_prepared:
        raise ProbeFailed("the control database was not reached yet")
    _state(parts)
    return _PASSED


def _expect(parts: Parts, wanted: State) -> ProbeAnswer:
    state = _state(parts)
    if state is not wanted:
        raise ProbeFailed(f"this node is {state}")
    return _PASSED


def _state(parts: Parts) -> State:
    own = parts.monitor.own
    silent = own.silent_seconds(parts.clock.monotonic())
    if own.state is None or silent is None or silent > FRESH_SECONDS:
        raise ProbeFailed("this node's own agent does not answer")
    return own.state


for _path, _probe in (
    ("/active", probe_active),
    ("/standby", probe_standby),
    ("/health/live", probe_live),
    ("/health/ready", probe_ready),
):
    router.add_api_route(_path, _probe, methods=["HEAD", "OPTIONS"], include_in_schema=False)
