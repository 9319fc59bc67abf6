"""API tokens: list, make, delete. A secret is shown once, in the answer that makes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Admin
from services.standby_controller.api.audit import note
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.wire import DEFAULT_LIMIT, NAME, Answer, Cursor, Demand, Instant, Limit, ListAnswer
from services.standby_controller.setting_group import WHOLE
from services.standby_controller.severity import Severity
from services.standby_controller.store.audit import Action
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.tokens import Role, Token
from shared.errors import CursorInvalid, NameTaken, NotFound, RequestError
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/tokens", tags=["people"])


class TokenAnswer(Answer):
    """A token without its secret."""

    id: str
    name: str
    role: Role
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None = Field(description="To the minute, on this node.")
    made_on: str = Field(description="The node that it was made on; it opens the API of every node.")

    @classmethod
    def of(cls, token: Token) -> TokenAnswer:
        """Return the answer for a token."""
        return cls(
            id=token.id,
            name=token.name,
            role=token.role,
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            made_on=token.made_on,
        )


class NewTokenAnswer(TokenAnswer):
    """A new token with its secret."""

    secret: str = Field(description="Send it as `Authorization: Bearer …`. It is not shown again.")


class NewToken(Demand):
    """What a new token shall be."""

    name: str = Field(pattern=NAME, description="Whose or what for; unique on the node that makes it.")
    role: Annotated[Role, Field(strict=False)] = Field(description="What it allows.")
    expires_in_days: Annotated[int, Field(ge=1, le=3650), WHOLE] | None = Field(
        None, description="It ends by itself after this; null for never."
    )


@router.get(
    "",
    operation_id="listTokens",
    summary="List API tokens by name",
    response_model=ListAnswer[TokenAnswer],
    responses=problem_responses(*ACCESS_ERRORS, CursorInvalid),
)
async def list_tokens(
    parts: PartsOf, _: Admin, *, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ListAnswer[TokenAnswer]:
    """Show who may use this API, without secrets."""
    page = await parts.tokens.list_tokens(limit, cursor)
    return ListAnswer[TokenAnswer](items=tuple(map(TokenAnswer.of, page.items)), next_cursor=page.next_cursor)


@router.post(
    "",
    operation_id="createToken",
    summary="Make an API token",
    status_code=201,
    response_model=NewTokenAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NameTaken, RequestError),
)
async def create_token(parts: PartsOf, caller: Admin, demand: NewToken) -> NewTokenAnswer:
    """Make a token for the pair; the answer is the only place where its secret ever appears."""
    now = parts.clock.now()
    expires_at = None if demand.expires_in_days is None else now + timedelta(days=demand.expires_in_days)
    token, secret = await parts.tokens.create(demand.name, demand.role, now, expires_at)
    note(parts, caller, Action.TOKEN_CREATED, token.id, {"name": token.name, "role": token.role.value})
    await _tell(parts, EventKind.TOKEN_CREATED, token, f"{caller.name} made the token {token.name} ({token.role})")
    return NewTokenAnswer(**TokenAnswer.of(token).model_dump(), secret=secret)


@router.delete(
    "/{token_id}",
    operation_id="deleteToken",
    summary="Delete an API token",
    status_code=204,
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def delete_token(
    parts: PartsOf, caller: Admin, token_id: Annotated[str, Path(description="Id of a token.", max_length=100)]
) -> Response:
    """End the use of a token at once; on a node that does not answer, as soon as it does."""
    token = await parts.tokens.delete(token_id, parts.clock.now())
    note(parts, caller, Action.TOKEN_DELETED, token.id, {"name": token.name, "role": token.role.value})
    await _tell(parts, EventKind.TOKEN_DELETED, token, f"{caller.name} deleted the token {token.name}")
    return Response(status_code=204)


async def _tell(parts: Parts, kind: EventKind, token: Token, text: str) -> None:
    event = NewEvent(parts.clock.now(), kind, Severity.INFO, token.name, text, {"role": token.role.value})
    await parts.events.add(event)
    parts.feed.look_now()
    await parts.exchange.deliver()
