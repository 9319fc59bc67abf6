"""Syncs for curves: how long they took, what they brought, how they ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.windows import SpanSeconds, check_span, window_of
from services.standby_controller.api.wire import Answer, Before, From, Instant, ListAnswer
from services.standby_controller.store.records import SyncResult
from services.standby_controller.store.series import SyncSpan
from shared.errors import WindowInvalid
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/syncs", tags=["people"])

_WEEK: Final = timedelta(days=7)


class SyncBucket(Answer):
    """One sync, or the syncs that began in one span of time."""

    started_at: Instant = Field(description="Of the sync, or of the span.")
    id: str | None = Field(description="Of the sync; null of a span.")
    syncs: int
    succeeded: int
    failed: int = Field(description="Failed or interrupted.")
    result: SyncResult | None = Field(description="The worst of them; null where there was none.")
    duration_seconds: float | None = Field(description="The longest.")
    rows: int
    bytes: int

    @classmethod
    def of(cls, span: SyncSpan) -> SyncBucket:
        """Return the answer for a sync or a span."""
        return cls(
            started_at=span.started_at,
            id=span.sync_id,
            syncs=span.syncs,
            succeeded=span.succeeded,
            failed=span.failed,
            result=span.result,
            duration_seconds=span.duration_seconds,
            rows=span.rows,
            bytes=span.bytes,
        )


@router.get(
    "/series",
    operation_id="listSyncSeries",
    summary="List what syncs came to, each or in equal spans of time, for curves",
    response_model=ListAnswer[SyncBucket],
    responses=problem_responses(*ACCESS_ERRORS, WindowInvalid),
)
async def list_sync_series(
    parts: PartsOf,
    _: Viewer,
    *,
    started_from: From = None,
    started_before: Before = None,
    bucket_seconds: SpanSeconds = None,
) -> ListAnswer[SyncBucket]:
    """Read the ended syncs of a window, by default the last 7 days, oldest first: each, or in spans.

    Without `bucket_seconds` it is the newest 500 of them.
    """
    window = window_of(started_from, started_before, parts.clock.now(), _WEEK)
    seconds = None if bucket_seconds is None else check_span(window, bucket_seconds)
    spans = await parts.series.syncs(window, seconds)
    return ListAnswer[SyncBucket](items=tuple(map(SyncBucket.of, spans)), next_cursor=None)
