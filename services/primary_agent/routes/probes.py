"""Probes for load balancers and monitors: answered from what is known, without a credential, and without data."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.node import Node
from shared.errors import WarmstandbyError
from shared.node.model import Problem, State

_ALLOW: Final = {"Allow": "GET, HEAD, OPTIONS"}


class RoleAnswer(BaseModel):
    """Whether the node has the role that the probe is about."""

    model_config = ConfigDict(frozen=True)

    is_so: bool = Field(description="True with status 200, false with 503.")


class LiveAnswer(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True)

    is_live: bool = True


class ReadyAnswer(BaseModel):
    """Whether the node can do its work, and what keeps it from it."""

    model_config = ConfigDict(frozen=True)

    is_ready: bool
    problems: tuple[Problem, ...] = ()


def probes_router(node: Node, databases: DatabaseWatch) -> APIRouter:
    """Return the probes."""
    router = APIRouter(tags=["probes"])
    for state, path in ((State.ACTIVE, "/active"), (State.STANDBY, "/standby")):
        _add_role_probe(router, node, state, path)

    @router.get("/health/live", operation_id="probeLive", summary="Does the agent answer?")
    async def live() -> LiveAnswer:
        """Answer 200 as long as the process serves requests; nothing else is looked at."""
        return LiveAnswer()

    @router.get(
        "/health/ready",
        operation_id="probeReady",
        summary="Can the node do its work?",
        responses={503: {"model": ReadyAnswer, "description": "It cannot; the problems say why."}},
    )
    async def ready(response: Response) -> ReadyAnswer:
        """Answer 200 when the last looks at PostgreSQL and at the record found nothing wrong, else 503."""
        problems = tuple(_without_data(one) for one in (databases.problem, node.write_problem) if one is not None)
        response.status_code = 503 if problems else 200
        return ReadyAnswer(is_ready=not problems, problems=problems)

    return router


def _add_role_probe(router: APIRouter, node: Node, state: State, path: str) -> None:
    async def probe(response: Response) -> RoleAnswer:
        """Answer 200 while the node has this role, else 503."""
        is_so = node.state is state
        response.status_code = 200 if is_so else 503
        response.headers.update(_ALLOW)
        return RoleAnswer(is_so=is_so)

    responses: dict[int | str, dict[str, Any]] = {
        503: {"model": RoleAnswer, "description": f"The node is not {state.value}."}
    }
    for method in ("GET", "HEAD", "OPTIONS"):
        router.add_api_route(
            path,
            probe,
            methods=[method],
            operation_id=f"probe{state.value.capitalize()}{'' if method == 'GET' else method.capitalize()}",
            summary=f"Is the node {state.value}?",
            responses=responses,
        )


def _without_data(error: WarmstandbyError) -> Problem:
    """Tell what kind of problem it is; names of hosts and roles stay in the log."""
    return Problem(code=error.code, text=error.title(), hint=error.default_hint)
