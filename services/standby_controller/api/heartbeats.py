"""The history of looks at the peers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.tables import CSV, as_csv, link_to_next, wants_csv
from services.standby_controller.api.wire import (
    CODE,
    DEFAULT_LIMIT,
    NAME,
    Answer,
    Before,
    Cursor,
    From,
    Instant,
    Limit,
    ListAnswer,
)
from services.standby_controller.store.heartbeats import HeartbeatFilter, HeartbeatRecord
from shared.errors import CursorInvalid
from shared.http.problem import problem_responses
from shared.node.model import State

router: Final = APIRouter(prefix="/v1/heartbeats", tags=["people"])

_COLUMNS: Final = (
    "peer", "at", "result", "state", "term_epoch", "round_trip_seconds", "offset_low_seconds", "offset_high_seconds",
    "silent_seconds",
)  # fmt: skip


class HeartbeatAnswer(Answer):
    """One look at one peer."""

    peer: str
    at: Instant
    result: str = Field(description="`ok`, or the code of what went wrong.")
    state: State | None
    term_epoch: int | None
    round_trip_seconds: float | None
    offset_low_seconds: float | None = Field(description="The peer's clock minus this node's is at least this.")
    offset_high_seconds: float | None = Field(description="… and at most this.")
    silent_seconds: float | None = Field(
        description="Since the answer before it, by the monotonic clock; null where the controller had none yet."
    )

    @classmethod
    def of(cls, record: HeartbeatRecord) -> HeartbeatAnswer:
        """Return the answer for a look."""
        return cls(
            peer=record.peer,
            at=record.at,
            result=record.result,
            state=record.state,
            term_epoch=record.term_epoch,
            round_trip_seconds=record.round_trip_seconds,
            offset_low_seconds=record.offset_low_seconds,
            offset_high_seconds=record.offset_high_seconds,
            silent_seconds=record.silent_seconds,
        )


@router.get(
    "",
    operation_id="listHeartbeats",
    summary="List looks at the peers, newest first",
    response_model=ListAnswer[HeartbeatAnswer],
    responses={
        200: {"description": "A page of looks.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problem_responses(*ACCESS_ERRORS, CursorInvalid),
    },
)
async def list_heartbeats(
    request: Request,
    parts: PartsOf,
    _: Viewer,
    *,
    peer: Annotated[str | None, Query(pattern=NAME, description="Only of this node.")] = None,
    result: Annotated[str | None, Query(pattern=CODE, description="Only with this result.")] = None,
    at_from: From = None,
    at_before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Any:
    """Read what each heartbeat said, how long it took and what it tells of the clocks.

    `Accept: text/csv` gives the page as CSV, with `Link` to the next one.
    """
    wanted = HeartbeatFilter(peer, result, at_from, at_before)
    page = await parts.heartbeats.list_heartbeats(wanted, limit, cursor)
    items = tuple(map(HeartbeatAnswer.of, page.items))
    if wants_csv(request):
        rows = (item.model_dump(mode="json") for item in items)
        text = as_csv(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))
        return Response(text, media_type=CSV, headers=link_to_next(request, page.next_cursor))
    return ListAnswer[HeartbeatAnswer](items=items, next_cursor=page.next_cursor)
