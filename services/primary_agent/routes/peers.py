"""What a peer may ask of this node's role: grants, handover, fence, eligibility.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.primary_agent.node.roles import Roles
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from shared.errors import (
    AttemptGone,
    AttemptOpen,
    NotActive,
    PeerError,
    RecordUnwritable,
    RequestError,
    StaleTerm,
    TransitionRefused,
)
from shared.http.problem import problem_responses
from shared.node.model import Eligible, Grant, GrantAsked, NodeView, OrderFence, Prepare, Settle, Settled

_ERRORS = (*CALLER_ERRORS, RequestError, NotActive, StaleTerm, TransitionRefused, RecordUnwritable)


def peers_router(roles: Roles, caller: Caller) -> APIRouter:
    """Return the routes; `caller` proves which peer asks."""
    router = APIRouter(tags=["nodes"], responses=problem_responses(*_ERRORS))

    @router.post(
        "/grants",
        operation_id="askGrant",
        summary="May the caller, which owns this node's term, serve on?",
        responses=problem_responses(AttemptOpen),
    )
    async def ask_grant(asked: GrantAsked, node_id: Annotated[str, Depends(caller)]) -> Grant:
        """Promise a booted node that this one will not be promoted for a while, nor on evidence from before."""
        return await roles.grant(asked, node_id)

    @router.post(
        "/handover/prepare",
        operation_id="prepareHandover",
        summary="Close for the caller's attempt",
        responses=problem_responses(AttemptGone, PeerError),
    )
    async def prepare_handover(asked: Prepare, node_id: Annotated[str, Depends(caller)]) -> NodeView:
        """Begin to close the databases; `demotion.step` is `closed` when nobody can write any more."""
        return await roles.prepare_handover(asked, node_id)

    @router.post(
        "/handover/settle",
        operation_id="settleHandover",
        summary="What became of an attempt of this node, once and for all?",
        responses=problem_responses(AttemptOpen),
    )
    async def settle_handover(asked: Settle, node_id: Annotated[str, Depends(caller)]) -> Settled:
        """Abandon the attempt unless it has become the term; the caller serves on when it is abandoned."""
        return await roles.settle(asked, node_id)

    @router.post(
        "/fence",
        operation_id="orderFence",
        summary="Stop serving",
        responses=problem_responses(PeerError),
    )
    async def order_fence(asked: OrderFence, node_id: Annotated[str, Depends(caller)]) -> NodeView:
        """Stop serving for a caller that owns a higher term or holds an attempt, as it confirms when asked back."""
        return await roles.order_fence(asked, node_id)

    @router.put("/eligible", operation_id="setEligible", summary="May the calling standby promote itself?")
    async def set_eligible(asked: Eligible, node_id: Annotated[str, Depends(caller)]) -> NodeView:
        """Record it for the caller in this term; a node that boots does not serve past a standby that may."""
        return await roles.set_eligible(asked, node_id)

    return router
