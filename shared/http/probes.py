"""Probes for load balancers and monitors, as both services have them: from what is known, without a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import WarmstandbyError
from shared.node.model import Problem, State
from shared.node.probes import Probe, ProbeTexts, RoleFacts, answer

_METHODS: Final = {"GET": "", "HEAD": "Head", "OPTIONS": "Options"}
_HEADERS: Final = {"Allow": ", ".join(_METHODS)}

Facts = Callable[[Request], RoleFacts]
Texts = Callable[[Request], ProbeTexts]


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


def probes_router(facts: Facts, problems: Callable[[Request], tuple[WarmstandbyError, ...]], texts: Texts) -> APIRouter:
    """Return the probes; `facts` are those of the node, `problems` keep the service from its work."""
    router = APIRouter(tags=["probes"])
    _add_role_probe(router, facts, texts, Probe.ACTIVE, State.ACTIVE)
    _add_role_probe(router, facts, texts, Probe.STANDBY, State.STANDBY)
    _add_page(router, facts, texts, Probe.STATUS_PAGE, "probeStatusPage", "Does the node serve? As a page")
    _add_page(
        router, facts, texts, Probe.STANDBY_PAGE, "probeStandbyPage", "Does the node serve, or stand by? As a page"
    )

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


def _add_role_probe(router: APIRouter, facts: Facts, texts: Texts, kind: Probe, wanted: State) -> None:
    async def probe(request: Request, response: Response) -> RoleAnswer:
        """Answer 200 while the node has this role, else 503."""
        is_so = answer(kind, facts(request), texts(request)).is_so
        response.status_code = 200 if is_so else 503
        response.headers.update(_HEADERS)
        return RoleAnswer(is_so=is_so)

    responses: dict[int | str, dict[str, Any]] = {
        503: {"model": RoleAnswer, "description": f"The node is not {wanted.value}."}
    }
    for method, suffix in _METHODS.items():
        router.add_api_route(
            kind.value,
            probe,
            methods=[method],
            operation_id=f"probe{wanted.value.capitalize()}{suffix}",
            summary=f"Is the node {wanted.value}?",
            responses=responses,
        )


def _add_page(router: APIRouter, facts: Facts, texts: Texts, kind: Probe, operation: str, summary: str) -> None:
    async def page(request: Request) -> Response:
        """Answer 200 with the text of [probes] while it is so, else 503."""
        said = answer(kind, facts(request), texts(request))
        return HTMLResponse(said.text, status_code=200 if said.is_so else 503, headers=_HEADERS)

    for method, suffix in _METHODS.items():
        router.add_api_route(
            kind.value,
            page,
            methods=[method],
            operation_id=f"{operation}{suffix}",
            summary=summary,
            response_class=HTMLResponse,
            responses={503: {"description": "It is not.", "content": {"text/html": {}}}},
        )


def _without_data(error: WarmstandbyError) -> Problem:
    """Tell what kind of problem it is; names of hosts and roles stay in the log."""
    return Problem(code=error.code, text=error.title(), hint=error.default_hint)
