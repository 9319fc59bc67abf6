"""Changes of roles by an administrator's word: failover, switchover, the return of a fenced node, fence and unfence."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Operator
from services.standby_controller.api.audit import note
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.role_models import ChangeAnswer
from services.standby_controller.api.sync_models import Accepted
from services.standby_controller.api.wire import Answer, Demand
from services.standby_controller.policy.gate import Override
from services.standby_controller.roles.changes import Change
from services.standby_controller.setting_group import WHOLE
from services.standby_controller.store.audit import Action
from services.standby_controller.store.tokens import Token
from shared.errors import (
    ConfirmationNeeded,
    GateRefused,
    NotActive,
    NotStandby,
    PeerError,
    PeerRefusal,
    PeerServes,
    PeerUnreachable,
    StaleTerm,
    TransitionRefused,
    TransitionRunning,
)
from shared.http.problem import problem_responses
from shared.node.model import State

router: Final = APIRouter(prefix="/v1", tags=["people"])

_LOCATION: Final = {"Location": {"description": "Address of the transition.", "schema": {"type": "string"}}}
_STARTED: Final = {"description": "It is on its way; GET /v1/status shows it.", "headers": _LOCATION}


class ChangeDemand(Demand):
    """What every change of roles says."""

    expected_term: Annotated[int, Field(ge=1, le=2**53), WHOLE] | None = Field(
        None, description="Epoch of the term that you saw; refused when another counts by now."
    )
    reason: str = Field("", max_length=300, description="Why, for the history.")


class FailoverDemand(ChangeDemand):
    """A failover by hand."""

    overrides: tuple[Annotated[Override, Field(strict=False)], ...] = Field(
        (), strict=False, description="Checks to pass, for this attempt; they need a reason."
    )
    peer_is_off: bool = Field(
        False, description="You vouch that the other server is switched off; needed when it does not answer."
    )
    confirm_node: str | None = Field(
        None,
        max_length=63,
        description="The id of the node to be promoted; needed with overrides and with peer_is_off.",
    )


class ResyncDemand(ChangeDemand):
    """The return of a fenced node."""

    accept: Accepted = ()


class StateAnswer(Answer):
    """The node's state."""

    state: State


@router.post(
    "/failover",
    operation_id="failOver",
    summary="Promote this standby although the active node is not asked, or after closing it",
    status_code=202,
    responses={
        202: _STARTED,
        **problem_responses(*ACCESS_ERRORS, GateRefused, PeerServes, StaleTerm, TransitionRunning, ConfirmationNeeded),
    },
)
async def fail_over(asked: FailoverDemand, response: Response, parts: PartsOf, caller: Operator) -> ChangeAnswer:
    """Take over by hand: the gate is judged, a node that answers is closed first, with proof."""
    _check_term(parts, asked)
    if asked.overrides and not asked.reason:
        raise ConfirmationNeeded("overrides need a reason", hint="Say why in `reason`; it is kept in the history.")
    if (asked.overrides or asked.peer_is_off) and asked.confirm_node != parts.settings.node.id:
        raise ConfirmationNeeded(
            f"confirm_node must be {parts.settings.node.id!r}, the node that would be promoted",
            hint="If the other server still runs, or comes back cut off from this one, both would serve.",
        )
    change = parts.roles.takeover.by_hand(
        caller.name, asked.reason, frozenset(asked.overrides), is_peer_off=asked.peer_is_off
    )
    return _started(response, parts, caller, Action.FAILOVER_STARTED, change, asked)


@router.post(
    "/switchover",
    operation_id="switchOver",
    summary="Swap the roles without loss",
    status_code=202,
    responses={
        202: _STARTED,
        **problem_responses(
            *ACCESS_ERRORS, GateRefused, NotStandby, NotActive, PeerUnreachable, StaleTerm, TransitionRunning
        ),
    },
)
async def switch_over(asked: ChangeDemand, response: Response, parts: PartsOf, caller: Operator) -> ChangeAnswer:
    """Make this standby active in place of the node that serves now; nothing is lost, writes stop for a moment."""
    _check_term(parts, asked)
    change = await parts.roles.swaps.begin(caller.name, asked.reason)
    return _started(response, parts, caller, Action.SWITCHOVER_STARTED, change, asked)


@router.post(
    "/resync",
    operation_id="resyncNode",
    summary="Bring this fenced node back as a standby",
    status_code=202,
    responses={
        202: _STARTED,
        **problem_responses(*ACCESS_ERRORS, NotStandby, NotActive, PeerUnreachable, StaleTerm, TransitionRunning),
    },
)
async def resync_node(asked: ResyncDemand, response: Response, parts: PartsOf, caller: Operator) -> ChangeAnswer:
    """Follow the active node again; what only this node has is saved first (GET /v1/rescues)."""
    _check_term(parts, asked)
    change = await parts.roles.returning.by_hand(caller.name, asked.reason, asked.accept)
    return _started(response, parts, caller, Action.RESYNC_STARTED, change, asked)


@router.post(
    "/fence",
    operation_id="fenceNode",
    summary="Stop this node from serving",
    status_code=202,
    responses=problem_responses(*ACCESS_ERRORS, PeerError, PeerRefusal, TransitionRefused),
)
async def fence_node(parts: PartsOf, caller: Operator) -> StateAnswer:
    """Close this node's databases to the application; `POST /v1/unfence` ends that."""
    state = (await parts.roles.own_agent.fence()).state
    note(parts, caller, Action.NODE_FENCED, parts.settings.node.id)
    return StateAnswer(state=state)


@router.post(
    "/unfence",
    operation_id="unfenceNode",
    summary="Let this node serve again",
    status_code=202,
    responses=problem_responses(*ACCESS_ERRORS, PeerError, PeerRefusal, TransitionRefused),
)
async def unfence_node(parts: PartsOf, caller: Operator) -> StateAnswer:
    """End a fence that an administrator or a failed takeover left, when the peers agree."""
    state = (await parts.roles.own_agent.unfence()).state
    note(parts, caller, Action.NODE_UNFENCED, parts.settings.node.id)
    return StateAnswer(state=state)


def _check_term(parts: Parts, asked: ChangeDemand) -> None:
    present = parts.monitor.own.term
    if asked.expected_term is not None and asked.expected_term != (present.epoch if present else None):
        raise StaleTerm(
            f"you expect term {asked.expected_term}, this node accepts {present.epoch if present else None}"
        )


def _started(
    response: Response, parts: Parts, caller: Token, action: Action, change: Change, asked: ChangeDemand
) -> ChangeAnswer:
    note(parts, caller, action, change.id, asked.model_dump(mode="json", exclude_defaults=True))
    response.headers["Location"] = f"/v1/transitions/{change.id}"
    return ChangeAnswer.of(change)
