"""What the node's own controller and administrators on its host ask, on the unix socket."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from services.primary_agent.node.roles import Roles
from services.primary_agent.routes.caller import Caller
from shared.errors import (
    AttemptGone,
    AttemptOpen,
    GrantGiven,
    NotActive,
    NotEligible,
    PeerError,
    PeerNotClosed,
    RecordUnwritable,
    RequestError,
    StaleTerm,
    TransitionRefused,
)
from shared.http.problem import problem_responses
from shared.node.model import AttemptName, Eligible, NodeView, Promote

_ERRORS = (RequestError, NotActive, StaleTerm, TransitionRefused, RecordUnwritable, AttemptGone)


def commands_router(roles: Roles, caller: Caller, own_id: str) -> APIRouter:
    """Return the routes; who can open the socket is this node."""
    router = APIRouter(tags=["nodes"], dependencies=[Depends(caller)], responses=problem_responses(*_ERRORS))

    @router.post(
        "/node/promote",
        operation_id="promoteNode",
        summary="Promote this node",
        responses=problem_responses(AttemptOpen, NotEligible, GrantGiven),
    )
    async def promote(asked: Promote) -> NodeView:
        """Open an attempt; the agent goes on by itself, and `GET /node` tells how far it is."""
        return await roles.promote(asked)

    @router.post(
        "/node/commit",
        operation_id="commitSwitchover",
        summary="Go on with a switchover",
        responses=problem_responses(PeerNotClosed),
    )
    async def commit(asked: AttemptName) -> NodeView:
        """Take the term: the last changes of the node that handed over are here."""
        return await roles.commit(asked.attempt_id)

    @router.post("/node/abandon", operation_id="abandonAttempt", summary="Give an attempt up")
    async def abandon(asked: AttemptName) -> NodeView:
        """Be what the node was before; refused once the attempt is the term."""
        return await roles.abandon(asked.attempt_id)

    @router.post("/node/fence", operation_id="fenceNode", summary="Stop serving")
    async def fence() -> NodeView:
        """Close the databases because an administrator says so."""
        return await roles.fence()

    @router.post(
        "/node/unfence",
        operation_id="unfenceNode",
        summary="Serve again",
        responses=problem_responses(PeerError),
    )
    async def unfence() -> NodeView:
        """End a fence that ended no term, once the peers agree."""
        return await roles.unfence()

    @router.post("/node/follow", operation_id="followTerm", summary="Be a standby")
    async def follow(asked: Eligible) -> NodeView:
        """Note that the databases hold what the owner of the term has."""
        return await roles.follow(asked.epoch)

    @router.put("/eligible", operation_id="setOwnEligible", summary="May this standby promote itself?")
    async def set_own_eligible(asked: Eligible) -> NodeView:
        """Record it, after the active node has (to widen) or before it does (to narrow)."""
        return await roles.set_eligible(asked, own_id)

    return router
