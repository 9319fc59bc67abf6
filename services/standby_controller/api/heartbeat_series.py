"""The looks at the peers summed up: how well each could be reached, and curves of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.windows import SpanSeconds, check_span, choose_span, window_of
from services.standby_controller.api.wire import NAME, Answer, Before, From, Instant, ListAnswer
from services.standby_controller.store.series import HeartbeatSpan, Window
from shared.errors import WindowInvalid
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/heartbeats", tags=["people"])

Peer = Annotated[str | None, Query(pattern=NAME, description="Only of this node.")]
_DAY: Final = timedelta(days=1)


class HeartbeatSummary(Answer):
    """How well one peer could be reached in a window of time."""

    peer: str
    at_from: Instant
    at_before: Instant
    looks: int
    answered: int
    answered_share: float | None = Field(description="Of the looks, from 0 to 1; null where there was none.")
    longest_silence_seconds: float | None = Field(
        description="The longest time from one answer to the next, or since the last, by the monotonic clock."
    )
    round_trip_p50_seconds: float | None
    round_trip_p95_seconds: float | None
    round_trip_p99_seconds: float | None
    round_trip_max_seconds: float | None

    @classmethod
    def of(cls, span: HeartbeatSpan, window: Window) -> HeartbeatSummary:
        """Return the answer for a span that is the whole window."""
        return cls(
            peer=span.peer,
            at_from=window.at_from,
            at_before=window.at_before,
            looks=span.looks,
            answered=span.answered,
            answered_share=span.answered / span.looks if span.looks else None,
            longest_silence_seconds=span.silent_seconds,
            round_trip_p50_seconds=span.round_trip_p50_seconds,
            round_trip_p95_seconds=span.round_trip_p95_seconds,
            round_trip_p99_seconds=span.round_trip_p99_seconds,
            round_trip_max_seconds=span.round_trip_max_seconds,
        )


class HeartbeatBucket(Answer):
    """The looks at one peer in one span of time."""

    peer: str
    at: Instant
    looks: int
    answered: int
    round_trip_p50_seconds: float | None
    round_trip_p95_seconds: float | None
    offset_seconds: float | None = Field(description="The peer's clock minus this node's, as the middle guess.")

    @classmethod
    def of(cls, span: HeartbeatSpan) -> HeartbeatBucket:
        """Return the answer for a span."""
        return cls(
            peer=span.peer,
            at=span.at,
            looks=span.looks,
            answered=span.answered,
            round_trip_p50_seconds=span.round_trip_p50_seconds,
            round_trip_p95_seconds=span.round_trip_p95_seconds,
            offset_seconds=span.offset_seconds,
        )


@router.get(
    "/summary",
    operation_id="summariseHeartbeats",
    summary="Say how well each peer could be reached",
    response_model=ListAnswer[HeartbeatSummary],
    responses=problem_responses(*ACCESS_ERRORS, WindowInvalid),
)
async def summarise_heartbeats(
    parts: PartsOf, _: Viewer, *, peer: Peer = None, at_from: From = None, at_before: Before = None
) -> ListAnswer[HeartbeatSummary]:
    """Sum up a window, by default the last 24 hours; of what is forgotten by now, the hours that begin in it."""
    window = window_of(at_from, at_before, parts.clock.now(), _DAY)
    spans = await parts.series.heartbeats(_peers(parts, peer), window)
    return ListAnswer[HeartbeatSummary](
        items=tuple(HeartbeatSummary.of(span, window) for span in spans), next_cursor=None
    )


@router.get(
    "/series",
    operation_id="listHeartbeatSeries",
    summary="List sums of the looks at the peers in equal spans of time, for curves",
    response_model=ListAnswer[HeartbeatBucket],
    responses=problem_responses(*ACCESS_ERRORS, WindowInvalid),
)
async def list_heartbeat_series(
    parts: PartsOf,
    _: Viewer,
    *,
    peer: Peer = None,
    at_from: From = None,
    at_before: Before = None,
    bucket_seconds: SpanSeconds = None,
) -> ListAnswer[HeartbeatBucket]:
    """Read each peer's spans, oldest first and without gaps; the window is the last 24 hours by default.

    Of looks that are forgotten there are hours: spans shorter than one show them in the span that they begin in.
    """
    window = window_of(at_from, at_before, parts.clock.now(), _DAY)
    seconds = choose_span(window) if bucket_seconds is None else check_span(window, bucket_seconds)
    spans = await parts.series.heartbeats(_peers(parts, peer), window, seconds)
    return ListAnswer[HeartbeatBucket](items=tuple(map(HeartbeatBucket.of, spans)), next_cursor=None)


def _peers(parts: Parts, peer: str | None) -> list[str]:
    return [one.node_id for one in parts.monitor.peers] if peer is None else [peer]
