"""Events as they happen: `text/event-stream` with ids, so that a client that comes back misses none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from starlette.responses import StreamingResponse

from services.standby_controller.api.parts import Parts
from services.standby_controller.store.events import EventFilter, EventRecord
from services.standby_controller.store.tokens import Token
from shared.errors import PostgresError

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0
RETRY_MILLISECONDS: Final = 2000
_PAGE: Final = 100
_HEADERS: Final = {"X-Accel-Buffering": "no"}


def event_stream(
    parts: Parts, caller: Token, place: int, wanted: EventFilter, show: Callable[[EventRecord], str]
) -> StreamingResponse:
    """Return an answer that goes on with every event after a place until the service or the token ends."""
    return StreamingResponse(_follow(parts, caller, place, wanted, show), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _follow(
    parts: Parts, caller: Token, place: int, wanted: EventFilter, show: Callable[[EventRecord], str]
) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    while not parts.feed.has_ended and parts.tokens.is_valid(caller.id, parts.clock.now()):
        try:
            head = await parts.events.last_place()
            if head < place:
                return  # the database was made anew: the client comes back and begins there
            records = await parts.events.list_after(place, wanted, _PAGE)
        except PostgresError:
            head, records = place, ()  # it is waited for: the client is told that we are here
        for record in records:
            yield f"id: {record.id}\ndata: {show(record)}\n\n"
        place = records[-1].change if len(records) == _PAGE else max([head, *(one.change for one in records)])
        if len(records) < _PAGE and not await parts.feed.wait_beyond(place, HEARTBEAT_SECONDS):
            yield ": heartbeat\n\n"
