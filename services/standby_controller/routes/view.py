"""`GET /nodes/view`: what this controller knows of its node and of the pair's protection."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from services.standby_controller.api.parts import PartsOf
from services.standby_controller.policy.advice import reasons_not_protected
from services.standby_controller.routes.caller import Peer
from shared.http.caller import CALLER_ERRORS
from shared.http.problem import problem_responses
from shared.node.controller_model import ControllerView, Gap

router: Final = APIRouter(prefix="/nodes", tags=["nodes"])


@router.get(
    "/view",
    operation_id="readView",
    summary="What this controller knows",
    responses=problem_responses(*CALLER_ERRORS),
)
async def read_view(parts: PartsOf, _: Peer) -> ControllerView:
    """Tell from what is known whether this node would take over; asks nobody."""
    own, speaker = parts.monitor.own, parts.doorkeeper.speaker()
    reasons = reasons_not_protected(parts.lookout.look())
    return ControllerView(
        pair_id=speaker.pair_id,
        node_id=speaker.node_id,
        boot_id=speaker.boot_id,
        term=own.term,
        state=own.state,
        protected=not reasons,
        reasons=tuple(Gap(code=reason.code, text=reason.text) for reason in reasons),
    )
