"""Who calls and what they may do: an API token with a role; each role includes the ones before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, get_args, get_origin

from fastapi import Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.standby_controller.api.parts import PartsOf
from services.standby_controller.store.tokens import Role, Token
from shared.errors import (
    CredentialError,
    CredentialExpired,
    CredentialMissing,
    ForbiddenError,
    PostgresError,
    RequestError,
)
from shared.http.credentials import parse_bearer

_BEARER: Final = HTTPBearer(
    scheme_name="token",
    bearerFormat="wst_…",
    description="An API token, made with `warmstandby token create` on the node or with `POST /v1/tokens`.",
    auto_error=False,
)

ACCESS_ERRORS: Final = (CredentialMissing, CredentialError, CredentialExpired, ForbiddenError, PostgresError)


async def authenticate(
    request: Request, parts: PartsOf, _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> Token:
    """Return the caller's token; raises CredentialError and its kin, and PostgresError."""
    return await parts.tokens.check(parse_bearer(request.headers.get("Authorization")), parts.clock.now())


async def refuse_unknown_queries(request: Request) -> None:
    """Refuse a query parameter that is unknown, or given twice where one counts: no filter is left out in silence."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute), "this guards routes of the API"
    known = {parameter.alias: parameter.field_info.annotation for parameter in route.dependant.query_params}
    unknown = sorted(set(request.query_params) - known.keys())
    if unknown:
        allowed = f"allowed are {', '.join(sorted(known))}" if known else "this route knows none"
        raise RequestError(f"query parameter {unknown[0]!r}: unknown; {allowed}")
    for name, annotation in known.items():
        if len(request.query_params.getlist(name)) > 1 and not _may_repeat(annotation):
            raise RequestError(f"query parameter {name!r}: given more than once; allowed is one")


def _may_repeat(annotation: object) -> bool:
    return any(get_origin(one) is list for one in (annotation, *get_args(annotation)))


def _at_least(role: Role) -> Callable[[Token], Awaitable[Token]]:
    async def check(token: Annotated[Token, Depends(authenticate)]) -> Token:
        if not token.role.includes(role):
            raise ForbiddenError(f"this needs the role {role}; the token {token.name!r} has {token.role}")
        return token

    return check


Viewer = Annotated[Token, Depends(_at_least(Role.VIEWER))]
Operator = Annotated[Token, Depends(_at_least(Role.OPERATOR))]
Admin = Annotated[Token, Depends(_at_least(Role.ADMIN))]
