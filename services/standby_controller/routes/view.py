"""What this controller knows of its node and of the pair's protection, and how it closes a node without an agent."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from services.standby_controller.api.parts import PartsOf
from services.standby_controller.routes.caller import Peer
from shared.errors import (
    AgentRuns,
    FenceIncomplete,
    PeerError,
    PostgresError,
    RecordUnwritable,
    RequestError,
    StaleTerm,
    TransitionRefused,
)
from shared.http.caller import CALLER_ERRORS
from shared.http.problem import problem_responses
from shared.node.controller_model import CloseNode, ControllerView, Gap, NodeClosed

router: Final = APIRouter(prefix="/nodes", tags=["nodes"])


@router.get(
    "/view",
    operation_id="readView",
    summary="What this controller knows",
    responses=problem_responses(*CALLER_ERRORS),
)
async def read_view(parts: PartsOf, _: Peer) -> ControllerView:
    """Tell from what is known whether this node would take over; asks nobody."""
    judgement, speaker = parts.gatekeeper.judge(), parts.doorkeeper.speaker()
    ended = [success.ended_at for success in parts.runner.memory.successes.values()]
    return ControllerView(
        pair_id=speaker.pair_id,
        node_id=speaker.node_id,
        boot_id=speaker.boot_id,
        term=parts.monitor.own.term,
        state=judgement.facts.own_state,
        reasons=tuple(Gap(code=refusal.code, text=refusal.text) for refusal in judgement.refusals_automatic),
        is_eligible=judgement.facts.is_eligible,
        data_age_seconds=judgement.data_age_seconds,
        last_sync_at=max(ended, default=None),
        automatic_failover_age_seconds=parts.gatekeeper.automatic_failover_age_seconds(),
    )


@router.post(
    "/close",
    operation_id="closeNode",
    summary="Close this node, whose agent is dead",
    responses=problem_responses(
        *CALLER_ERRORS,
        AgentRuns,
        StaleTerm,
        TransitionRefused,
        FenceIncomplete,
        RecordUnwritable,
        PeerError,
        PostgresError,
        RequestError,
    ),
)
async def close_node(parts: PartsOf, peer: Peer, asked: CloseNode) -> NodeClosed:
    """Record that the node is closed for the caller, a standby of its term, then close it and prove it. Repeatable.

    Refused unless the agent neither answers nor holds its folder; one that starts meanwhile waits.
    """
    speaker = parts.doorkeeper.speaker()
    proved = await parts.closing.close(asked, peer)
    return NodeClosed(
        pair_id=speaker.pair_id,
        node_id=speaker.node_id,
        boot_id=speaker.boot_id,
        term=proved.term,
        strength=proved.strength,
        text=proved.text,
    )
