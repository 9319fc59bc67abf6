"""What happened."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.wire import DEFAULT_LIMIT, Answer, Cursor, Instant, Limit, ListAnswer
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventFilter, EventKind, EventRecord
from shared.errors import CursorInvalid
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/events", tags=["people"])

_ID: Final = r"^[A-Za-z0-9_-]{1,63}\.[0-9]{1,18}$"
_SUBJECT: Final = r"^[A-Za-z0-9_.-]{1,100}$"


class EventAnswer(Answer):
    """One event."""

    id: str = Field(description="Sorts within its node; send it as `after` to get what came later.")
    at: Instant
    kind: EventKind
    severity: Severity
    subject: str | None = Field(description="The sync, node or component it is about.")
    text: str
    data: dict[str, JsonValue]

    @classmethod
    def of(cls, record: EventRecord) -> EventAnswer:
        """Return the answer for an event."""
        event = record.event
        return cls(
            id=record.id,
            at=event.at,
            kind=event.kind,
            severity=event.severity,
            subject=event.subject,
            text=event.text,
            data=event.data,
        )


@router.get(
    "",
    operation_id="listEvents",
    summary="List events, newest first, or those after one, oldest first",
    response_model=ListAnswer[EventAnswer],
    responses=problem_responses(*ACCESS_ERRORS, CursorInvalid),
)
async def list_events(
    parts: PartsOf,
    _: Viewer,
    *,
    after: Annotated[
        str | None, Query(pattern=_ID, description="Only after the event of this id, oldest first.")
    ] = None,
    kind: Annotated[EventKind | None, Query(description="Only of this kind.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    subject: Annotated[
        str | None, Query(pattern=_SUBJECT, description="Only about this sync, node or component.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ListAnswer[EventAnswer]:
    """Read what happened; poll with `after` set to the last id to miss nothing."""
    wanted = EventFilter(kind, severity, subject)
    if after is not None:
        records = await parts.events.list_after(after, wanted, limit)
        return ListAnswer[EventAnswer](items=tuple(map(EventAnswer.of, records)), next_cursor=None)
    page = await parts.events.list_events(wanted, limit, cursor)
    return ListAnswer[EventAnswer](items=tuple(map(EventAnswer.of, page.items)), next_cursor=page.next_cursor)
