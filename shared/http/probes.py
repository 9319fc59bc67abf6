"""Probes for load balancers and monitors, as both services have them: from what is known, without a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

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
    """Whether the service can do its work, and what keeps it from it."""

    model_config = ConfigDict(frozen=True)

    is_ready: bool
    problems: tuple[Problem, ...] = ()


def probes_router(
    state: Callable[[Request], State | None], problems: Callable[[Request], tuple[WarmstandbyError, ...]]
) -> APIRouter:
    """Return the probes; `state` is the node's, None while unknown, `problems` keep the service from its work."""
    router = APIRouter(tags=["probes"])
    for wanted, path in ((State.ACTIVE, "/active"), (State.STANDBY, "/standby")):
        _add_role_probe(router, state, wanted, path)

    @router.get("/health/live", operation_id="probeLive", summary="Does the service answer?")
    async def live() -> LiveAnswer:
        """Answer 200 as long as the process serves requests; nothing else is looked at."""
        return LiveAnswer()

    @router.get(
        "/health/ready",
        operation_id="probeReady",
        summary="Can the service do its work?",
        responses={503: {"model": ReadyAnswer, "description": "It cannot; the problems say why."}},
    )
    async def ready(request: Request, response: Response) -> ReadyAnswer:
        """Answer 200 when nothing known keeps the service from its work, else 503."""
        found = tuple(map(_without_data, problems(request)))
        response.status_code = 503 if found else 200
        return ReadyAnswer(is_ready=not found, problems=found)

    return router


def _add_role_probe(router: APIRouter, state: Callable[[Request], State | None], wanted: State, path: str) -> None:
    async def probe(request: Request, response: Response) -> RoleAnswer:
        """Answer 200 while the node has this role, else 503."""
        is_so = state(request) is wanted
        response.status_code = 200 if is_so else 503
        response.headers.update(_ALLOW)
        return RoleAnswer(is_so=is_so)

    responses: dict[int | str, dict[str, Any]] = {
        503: {"model": RoleAnswer, "description": f"The node is not {wanted.value}."}
    }
    for method in ("GET", "HEAD", "OPTIONS"):
        router.add_api_route(
            path,
            probe,
            methods=[method],
            operation_id=f"probe{wanted.value.capitalize()}{'' if method == 'GET' else method.capitalize()}",
            summary=f"Is the node {wanted.value}?",
            responses=responses,
        )


def _without_data(error: WarmstandbyError) -> Problem:
    """Tell what kind of problem it is; names of hosts and roles stay in the log."""
    return Problem(code=error.code, text=error.title(), hint=error.default_hint)
