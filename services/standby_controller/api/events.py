"""What happened: as pages, and as a stream."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field, JsonValue

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.event_stream import MEDIA_TYPE, event_stream
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

    id: str = Field(description="The same on all nodes; send it as `after` to get what came later.")
    at: Instant
    kind: EventKind
    severity: Severity
    subject: str | None = Field(description="The sync, node, component or transition it is about.")
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
    summary="List events, newest first, those after one, as they came, or follow them",
    response_model=ListAnswer[EventAnswer],
    responses={
        200: {
            "description": "A page of events, or with `Accept: text/event-stream` each event from now on.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        },
        **problem_responses(*ACCESS_ERRORS, CursorInvalid),
    },
)
async def list_events(
    request: Request,
    parts: PartsOf,
    caller: Viewer,
    *,
    after: Annotated[
        str | None, Query(pattern=_ID, description="Only after the event of this id, in the order in which they came.")
    ] = None,
    kind: Annotated[EventKind | None, Query(description="Only of this kind.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    subject: Annotated[
        str | None, Query(pattern=_SUBJECT, description="Only about this sync, node, component or transition.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="Follow from here: what a browser sends when it comes back.")
    ] = None,
) -> Any:
    """Read what happened on either node; poll with `after` set to the last id, or follow, to miss nothing.

    A stream (`Accept: text/event-stream`) begins after `Last-Event-ID`, else after `after`, else now.
    """
    wanted = EventFilter(kind, severity, subject)
    if MEDIA_TYPE in request.headers.get("Accept", ""):
        begin = last_event_id or after
        place = await (parts.events.last_place() if begin is None else parts.events.place_of(begin))
        return event_stream(parts, caller, place, wanted, lambda record: EventAnswer.of(record).model_dump_json())
    if after is not None:
        records = await parts.events.list_after(await parts.events.place_of(after), wanted, limit)
        return ListAnswer[EventAnswer](items=tuple(map(EventAnswer.of, records)), next_cursor=None)
    page = await parts.events.list_events(wanted, limit, cursor)
    return ListAnswer[EventAnswer](items=tuple(map(EventAnswer.of, page.items)), next_cursor=page.next_cursor)
