"""The node's record, its components and its journal, for peers and the own controller.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.primary_agent.node.node import Node
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.heartbeat import ComponentsSeen
from shared.errors import RequestError
from shared.http.problem import problem_responses
from shared.node.journal import Journal
from shared.node.model import Components, NodeView
from shared.node.model import Journal as JournalPage


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


def journal_router(journal: Journal, caller: Caller) -> APIRouter:
    """Return the route that shows what was done when the role changed."""
    router = APIRouter(tags=["nodes"], responses=problem_responses(*CALLER_ERRORS, RequestError))

    @router.get("/node/journal", operation_id="readJournal", summary="What was done when the role changed")
    async def read_journal(
        _: Annotated[str, Depends(caller)],
        after: Annotated[int, Query(ge=0, description="Only entries after this one.")] = 0,
    ) -> JournalPage:
        """Tell each step, oldest first."""
        return JournalPage(items=journal.after(after))

    return router
