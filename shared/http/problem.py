"""Errors as application/problem+json (RFC 9457): one form for ours, for invalid requests and for unknown routes."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.errors import MethodNotAllowed, NotFound, RequestError, WarmstandbyError
from shared.log import fields_of

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_SCHEMAS: Final = "#/components/schemas/"


class RefusalDetails(BaseModel):
    """One reason of a refusal."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="Stable name of the reason.")
    text: str = Field(description="The reason in one sentence.")
    override: str | None = Field(None, description="Name of the override that would pass it.")


class ProblemDetails(BaseModel):
    """What went wrong and what to do about it."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="`urn:warmstandby:` and the code.")
    title: str = Field(description="What went wrong, the same for every problem with this code.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong this time.")
    code: str = Field(description="Stable name for programs; never changes once released.")
    hint: str = Field(description="What to do about it.")
    refusals: tuple[RefusalDetails, ...] | None = Field(None, description="The reasons, where there are several.")


class ProblemResponse(JSONResponse):
    """A problem as an answer."""

    media_type = MEDIA_TYPE


def problem_response(error: WarmstandbyError) -> ProblemResponse:
    """Return the answer that tells the caller about the error."""
    refusals = tuple(RefusalDetails(code=one.code, text=one.text, override=one.override) for one in error.refusals)
    problem = ProblemDetails(
        type=f"urn:warmstandby:{error.code}",
        title=error.title(),
        status=error.status,
        detail=error.detail,
        code=error.code,
        hint=error.hint,
        refusals=refusals or None,
    )
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    return ProblemResponse(problem.model_dump(exclude_none=True), error.status, headers)


def problem_responses(*errors: type[WarmstandbyError]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that may answer with these errors."""
    by_status: dict[int | str, list[type[WarmstandbyError]]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(error)
    return {
        status: {"model": ProblemDetails, "description": "; ".join(f"`{one.code}`: {one.title()}" for one in several)}
        for status, several in sorted(by_status.items(), key=lambda item: int(item[0]))
    }


def answer_with_problems(app: FastAPI) -> None:
    """Make the application answer every expected error as a problem."""
    app.add_exception_handler(WarmstandbyError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def document_problems(document: dict[str, Any]) -> None:
    """Give the problems of an OpenAPI document their media type, and invalid requests our form."""
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            for response in operation.get("responses", {}).values():
                models = {_model_of(content) for content in response.get("content", {}).values()}
                if "HTTPValidationError" in models:
                    response["description"] = f"`{RequestError.code}`: {RequestError.title()}"
                if models & {"HTTPValidationError", "ProblemDetails"}:
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}ProblemDetails"}}}
    schemas = document.get("components", {}).get("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _model_of(content: dict[str, Any]) -> str:
    return str(content.get("schema", {}).get("$ref", "")).removeprefix(_SCHEMAS)


async def _on_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, WarmstandbyError)
    if error.status >= 500:
        log.warning("request failed", extra={"path": request.url.path, **fields_of(error)})
    return problem_response(error)


async def _on_invalid_request(_: Request, error: Exception) -> ProblemResponse:
    """Name what is wrong and where; never give back what was sent, it may be a secret."""
    assert isinstance(error, RequestValidationError)
    return problem_response(RequestError("; ".join(_describe(fault) for fault in error.errors())))


def _describe(fault: dict[str, Any]) -> str:
    location: Sequence[int | str] = fault["loc"]
    given = fault.get("input")
    shown = f"{given}: " if isinstance(given, bool | int | float) else ""  # a text may be a secret
    return f"{'.'.join(str(part) for part in location)}: {shown}{str(fault['msg']).removeprefix('Value error, ')}"


async def _on_http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    address = f"{request.method} {request.url.path}"
    ours: WarmstandbyError
    if error.status_code == 404:
        ours = NotFound(f"there is nothing under {address}", hint="The API's documentation at /docs lists all routes.")
    elif error.status_code == 405:
        ours = MethodNotAllowed(f"{address} is not offered")
    else:
        ours = RequestError(f"{address}: {error.detail}")
    response = problem_response(ours)
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_allowed_methods(request))
    return response


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes of the address; the framework names those of the first one only."""
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    return [name for name, scope in scopes.items() if any(one.matches(scope)[0] is Match.FULL for one in routes)]
