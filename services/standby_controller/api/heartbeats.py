"""The history of looks at the peers."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import PartsOf
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
        )


@router.get(
    "",
    operation_id="listHeartbeats",
    summary="List looks at the peers, newest first",
    response_model=ListAnswer[HeartbeatAnswer],
    responses=problem_responses(*ACCESS_ERRORS, CursorInvalid),
)
async def list_heartbeats(
    parts: PartsOf,
    _: Viewer,
    *,
    peer: Annotated[str | None, Query(pattern=NAME, description="Only of this node.")] = None,
    result: Annotated[str | None, Query(pattern=CODE, description="Only with this result.")] = None,
    at_from: From = None,
    at_before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> ListAnswer[HeartbeatAnswer]:
    """Read what each heartbeat said, how long it took and what it tells of the clocks."""
    wanted = HeartbeatFilter(peer, result, at_from, at_before)
    page = await parts.heartbeats.list_heartbeats(wanted, limit, cursor)
    return ListAnswer[HeartbeatAnswer](items=tuple(map(HeartbeatAnswer.of, page.items)), next_cursor=page.next_cursor)
