"""`GET /node` and `GET /components`: the node's record and its components, for peers and the own controller."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from services.primary_agent.node.node import Node
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.heartbeat import ComponentsSeen
from shared.http.problem import problem_responses
from shared.node.model import Components, NodeView


def node_router(node: Node, components: ComponentsSeen, caller: Caller) -> APIRouter:
    """Return the routes that show the node."""
    router = APIRouter(tags=["nodes"], dependencies=[Depends(caller)], responses=problem_responses(*CALLER_ERRORS))

    @router.get("/node", operation_id="readNode", summary="The node's record")
    async def read_node() -> NodeView:
        """Tell state, reason, term, attempt and which standbys may promote themselves."""
        return node.view()

    @router.get("/components", operation_id="listComponents", summary="The node's components")
    async def list_components() -> Components:
        """Tell each component's position, capture and the tables that a delta does not keep current."""
        return Components(items=components())

    return router
