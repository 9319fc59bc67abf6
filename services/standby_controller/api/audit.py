"""The audit trail: who changed what, when, from what to what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Admin
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.tables import CSV, as_csv, link_to_next, wants_csv
from services.standby_controller.api.wire import (
    DEFAULT_LIMIT,
    Answer,
    Before,
    Cursor,
    From,
    Instant,
    Limit,
    ListAnswer,
)
from services.standby_controller.store.audit import Action, EntryFilter, EntryRecord, NewEntry
from services.standby_controller.store.tokens import Token
from shared.clock import format_instant
from shared.errors import CursorInvalid
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/audit", tags=["people"])

_COLUMNS: Final = ("id", "at", "node", "who", "action", "subject")


class EntryAnswer(Answer):
    """One change."""

    id: str
    node: str = Field(description="The node it was made on.")
    at: Instant
    who: str = Field(description="Name of the token, or what acted by itself.")
    action: Action
    subject: str | None = Field(description="The sync, token, change of roles or version it is about.")
    before: Any = Field(description="What was; null where the action replaced nothing.")
    after: Any = Field(description="What is, or what was asked for.")

    @classmethod
    def of(cls, record: EntryRecord) -> EntryAnswer:
        """Return the answer for an entry."""
        entry = record.entry
        return cls(
            id=record.id,
            node=record.node,
            at=entry.at,
            who=entry.who,
            action=entry.action,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
        )


def note(parts: Parts, caller: Token, action: Action, subject: str | None = None, after: Any = None) -> None:
    """Note what somebody has just done; nothing waits for its being written."""
    parts.recorder.add_entry(NewEntry(parts.clock.now(), caller.name, action, subject, None, after))


@router.get(
    "",
    operation_id="listAudit",
    summary="List who changed what, newest first",
    response_model=ListAnswer[EntryAnswer],
    responses={
        200: {"description": "A page of changes.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problem_responses(*ACCESS_ERRORS, CursorInvalid),
    },
)
async def list_audit(
    request: Request,
    parts: PartsOf,
    _: Admin,
    *,
    who: Annotated[str | None, Query(max_length=100, description="Only of this name.")] = None,
    action: Annotated[Action | None, Query(description="Only this action.")] = None,
    at_from: From = None,
    at_before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Any:
    """Read the changes made on either node; with `Accept: text/csv` as a table without before and after."""
    page = await parts.audit.list_entries(EntryFilter(who, action, at_from, at_before), limit, cursor)
    items = tuple(map(EntryAnswer.of, page.items))
    if wants_csv(request):
        return Response(_csv(items), media_type=CSV, headers=link_to_next(request, page.next_cursor))
    return ListAnswer[EntryAnswer](items=items, next_cursor=page.next_cursor)


def _csv(items: Sequence[EntryAnswer]) -> str:
    rows = ((one.id, format_instant(one.at), one.node, one.who, one.action, one.subject or "") for one in items)
    return as_csv(_COLUMNS, rows)
