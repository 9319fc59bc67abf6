"""Syncs: start, list, watch, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response

from services.standby_controller.api.access import ACCESS_ERRORS, Operator, Viewer
from services.standby_controller.api.audit import note
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.sync_models import SyncAnswer, SyncDemand, progress_of
from services.standby_controller.api.tables import CSV, as_csv, link_to_next, wants_csv
from services.standby_controller.api.wire import DEFAULT_LIMIT, NAME, Before, Cursor, From, Limit, ListAnswer
from services.standby_controller.store.audit import Action
from services.standby_controller.store.records import SyncFilter, SyncRecord, SyncResult, Trigger
from shared.clock import format_instant
from shared.errors import (
    ClockSkew,
    CursorInvalid,
    NotActive,
    NotFound,
    NotStandby,
    PeerRefusedUs,
    PeerUnreachable,
    SyncNotRunning,
    SyncRunning,
)
from shared.http.problem import problem_responses
from shared.replication.model import SyncKind

router: Final = APIRouter(prefix="/v1/syncs", tags=["people"])

SyncId = Annotated[str, Path(description="Id of a sync, as lists show it.", max_length=100)]
_COLUMNS: Final = (
    "id", "result", "trigger", "requested_by", "source", "started_at", "ended_at", "duration_seconds",
    "kinds", "rows", "keys", "bytes", "code", "detail", "offset_low_seconds", "offset_high_seconds",
)  # fmt: skip
_LOCATION: Final = {"Location": {"description": "Address of the sync.", "schema": {"type": "string"}}}


@router.post(
    "",
    operation_id="startSync",
    summary="Start a sync now",
    status_code=202,
    response_model=SyncAnswer,
    responses={
        202: {"description": "It runs; watch it at `Location`.", "headers": _LOCATION},
        **problem_responses(
            *ACCESS_ERRORS, SyncRunning, NotStandby, NotActive, PeerUnreachable, PeerRefusedUs, ClockSkew
        ),
    },
)
async def start_sync(
    response: Response,
    parts: PartsOf,
    caller: Operator,
    asked: Annotated[SyncDemand | None, Body(description="May be left out.")] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="The same key gives the same sync again instead of a second one.",
            min_length=1,
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
        ),
    ] = None,
) -> SyncAnswer:
    """Bring this standby's components to the active node's present state; only one sync runs at a time.

    A source that lost much, or is another database than before, stops it with `refused_guard` unless that is accepted.
    """
    accepted = tuple(sorted(set(asked.accept))) if asked is not None else ()
    record, is_new = await parts.runner.start(Trigger.REQUEST, caller.name, idempotency_key, accepted=accepted)
    if is_new:
        note(parts, caller, Action.SYNC_STARTED, record.id, {"accept": list(accepted)} if accepted else None)
    response.headers["Location"] = f"/v1/syncs/{record.id}"
    return await _answer(parts, record.id)


@router.get(
    "",
    operation_id="listSyncs",
    summary="List syncs, newest first",
    response_model=ListAnswer[SyncAnswer],
    responses={
        200: {"description": "A page of syncs.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problem_responses(*ACCESS_ERRORS, CursorInvalid),
    },
)
async def list_syncs(
    request: Request,
    parts: PartsOf,
    _: Viewer,
    *,
    result: Annotated[list[SyncResult] | None, Query(description="Only these results; may be repeated.")] = None,
    trigger: Annotated[Trigger | None, Query(description="Only started like this.")] = None,
    component: Annotated[str | None, Query(pattern=NAME, description="Only with this component.")] = None,
    kind: Annotated[SyncKind | None, Query(description="Only with a component synced like this.")] = None,
    started_from: From = None,
    started_before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Any:
    """Read the history; `Accept: text/csv` gives the page as CSV, with `Link` to the next one."""
    wanted = SyncFilter(tuple(result or ()), trigger, component, kind, started_from, started_before)
    page = await parts.history.list_syncs(wanted, limit, cursor)
    items = [_shown(parts, record) for record in page.items]
    if wants_csv(request):
        return Response(_csv(items), media_type=CSV, headers=link_to_next(request, page.next_cursor))
    return ListAnswer[SyncAnswer](items=tuple(items), next_cursor=page.next_cursor)


@router.get(
    "/{sync_id}",
    operation_id="getSync",
    summary="Show one sync, with live progress while it runs",
    response_model=SyncAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def get_sync(parts: PartsOf, _: Viewer, sync_id: SyncId) -> SyncAnswer:
    """Show rows, bytes, tables, phase and time left of a running sync, or how it ended with the rows of each table."""
    return await _answer(parts, sync_id)


@router.post(
    "/{sync_id}/cancel",
    operation_id="cancelSync",
    summary="Cancel a running sync",
    status_code=202,
    response_model=SyncAnswer,
    responses={
        202: {"description": "It is being cancelled; watch it at `Location`.", "headers": _LOCATION},
        **problem_responses(*ACCESS_ERRORS, NotFound, SyncNotRunning),
    },
)
async def cancel_sync(response: Response, parts: PartsOf, caller: Operator, sync_id: SyncId) -> SyncAnswer:
    """End a running sync; the standby keeps the data it had, or of components that were finished the new data."""
    await parts.runner.cancel(sync_id, caller.name)
    note(parts, caller, Action.SYNC_CANCELLED, sync_id)
    response.headers["Location"] = f"/v1/syncs/{sync_id}"
    return await _answer(parts, sync_id)


async def _answer(parts: Parts, sync_id: str) -> SyncAnswer:
    running = parts.runner.running
    if running is not None and running.record.id == sync_id:
        return _shown(parts, running.record, with_tables=True)
    return _shown(parts, await parts.history.read(sync_id), with_tables=True)


def _shown(parts: Parts, record: SyncRecord, *, with_tables: bool = False) -> SyncAnswer:
    running = parts.runner.running
    if running is None or running.record.id != record.id:
        return SyncAnswer.of(record, with_tables=with_tables)
    progress = progress_of(running, parts.clock.monotonic())
    record = replace(running.record, components=tuple(running.done))
    return SyncAnswer.of(record, with_tables=with_tables, progress=progress)


def _csv(items: Sequence[SyncAnswer]) -> str:
    rows = (
        (
            item.id, item.result, item.trigger, item.requested_by, item.source, format_instant(item.started_at),
            "" if item.ended_at is None else format_instant(item.ended_at), item.duration_seconds,
            " ".join(sorted({part.kind for part in item.components if part.kind})), item.rows, item.keys, item.bytes,
            item.failure.code if item.failure else "", item.failure.detail if item.failure else "",
            item.offset_low_seconds, item.offset_high_seconds,
        )
        for item in items
    )  # fmt: skip
    return as_csv(_COLUMNS, rows)
