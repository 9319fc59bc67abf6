"""Who calls and what they may do: an API token with a role; each role includes the ones before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.standby_controller.api.parts import PartsOf
from services.standby_controller.store.tokens import Role, Token
from shared.errors import CredentialError, CredentialExpired, CredentialMissing, ForbiddenError, PostgresError
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


def _at_least(role: Role) -> Callable[[Token], Awaitable[Token]]:
    async def check(token: Annotated[Token, Depends(authenticate)]) -> Token:
        if not token.role.includes(role):
            raise ForbiddenError(f"this needs the role {role}; the token {token.name!r} has {token.role}")
        return token

    return check


Viewer = Annotated[Token, Depends(_at_least(Role.VIEWER))]
Operator = Annotated[Token, Depends(_at_least(Role.OPERATOR))]
Admin = Annotated[Token, Depends(_at_least(Role.ADMIN))]
