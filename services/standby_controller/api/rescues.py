"""What only a node that came back had: what it would be, and what was saved."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import FileResponse
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Admin, Operator, Viewer
from services.standby_controller.api.audit import note
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.wire import Answer, Instant, ListAnswer
from services.standby_controller.apply.returning import ReturnView
from services.standby_controller.rescue.keeping import discard
from services.standby_controller.rescue.manifest import RescuedFile, RescuedTable, RescueKind, RescueManifest
from services.standby_controller.severity import Severity
from services.standby_controller.source import find_source
from services.standby_controller.store.audit import Action
from services.standby_controller.store.events import EventKind, NewEvent
from shared.errors import (
    DatabaseUnreachable,
    NotActive,
    NotFound,
    NotStandby,
    PeerError,
    PeerRefusal,
    PeerRefusedUs,
    PeerUnreachable,
    RequestError,
    RescueUnwritable,
)
from shared.http.problem import problem_responses
from shared.replication.model import SyncPoint, TableName
from shared.replication.returning import ChangedTable, PreparedTransaction

router: Final = APIRouter(prefix="/v1", tags=["people"])

RescueId = Annotated[str, Path(description="Id of a rescue.", max_length=160)]


class RescueAnswer(Answer):
    """What was saved of one component."""

    id: str
    kind: RescueKind = Field(
        description="`rows`, `files`: files; `database`: the whole old database, under another name."
    )
    component: str
    database: str = Field(description="Empty of a file set.")
    folder: str | None = Field(description="Of a file set.")
    node_id: str = Field(description="Whose data was saved.")
    source_node: str = Field(description="The node that the pair went on with.")
    term_epoch: int
    base: SyncPoint | None = Field(description="The last moment that both nodes shared.")
    reason: str
    made_at: Instant
    encoding: str | None = Field(description="Of the files.")
    rows: int
    tables: tuple[RescuedTable, ...]
    prepared: tuple[PreparedTransaction, ...] = Field(description="Prepared transactions that were rolled back.")
    files: tuple[RescuedFile, ...] = Field(description="Of a file set: what was overwritten or removed.")
    kept_database: str | None

    @classmethod
    def of(cls, manifest: RescueManifest) -> RescueAnswer:
        """Return the answer for a rescue."""
        return cls(**{name: getattr(manifest, name) for name in cls.model_fields})


class ReturnAnswer(Answer):
    """What one component's return would be."""

    component: str
    is_clean: bool = Field(description="This node has nothing that the active one lacks.")
    needs_seed: str | None = Field(description="Why only a full copy helps; the old database is kept then.")
    here: tuple[ChangedTable, ...] = Field(description="What only this node has changed, by table.")
    there: tuple[ChangedTable, ...] = Field(description="What the active node has changed since.")
    prepared: tuple[PreparedTransaction, ...]
    untold: tuple[TableName, ...] = Field(description="Tables whose changes are not captured; all rows are compared.")

    @classmethod
    def of(cls, view: ReturnView) -> ReturnAnswer:
        """Return the answer for a view."""
        here = tuple(ChangedTable.model_validate(table.model_dump()) for table in view.here)
        return cls(
            component=view.component,
            is_clean=view.is_clean,
            needs_seed=view.needs_seed,
            here=here,
            there=view.there,
            prepared=view.prepared,
            untold=view.untold,
        )


@router.get(
    "/resync",
    operation_id="previewResync",
    summary="Show what only this node has, and what only the active one has",
    response_model=ListAnswer[ReturnAnswer],
    responses=problem_responses(
        *ACCESS_ERRORS, NotActive, NotStandby, PeerError, PeerRefusal, PeerRefusedUs, PeerUnreachable
    ),
)
async def preview_resync(parts: PartsOf, _: Viewer) -> ListAnswer[ReturnAnswer]:
    """Count keys on both sides, for each table, since the last moment both nodes shared; changes nothing."""
    views = await parts.roles.divergence(find_source(parts.monitor.nodes))
    return ListAnswer[ReturnAnswer](items=tuple(map(ReturnAnswer.of, views)), next_cursor=None)


@router.get(
    "/rescues",
    operation_id="listRescues",
    summary="List what was saved on this node before it was overwritten, newest first",
    response_model=ListAnswer[RescueAnswer],
    responses=problem_responses(*ACCESS_ERRORS),
)
async def list_rescues(parts: PartsOf, _: Viewer) -> ListAnswer[RescueAnswer]:
    """Show every rescue; each stays until an administrator discards it."""
    found = await parts.rescues.list_all()
    return ListAnswer[RescueAnswer](items=tuple(map(RescueAnswer.of, found)), next_cursor=None)


@router.get(
    "/rescues/{rescue_id}",
    operation_id="getRescue",
    summary="Show one rescue",
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def get_rescue(parts: PartsOf, _: Viewer, rescue_id: RescueId) -> RescueAnswer:
    """Show the counts of each table and the names of its files."""
    return RescueAnswer.of(await parts.rescues.read(rescue_id))


@router.get(
    "/rescues/{rescue_id}/files/{file}",
    operation_id="getRescueFile",
    summary="Download the saved rows of a table, or a saved file",
    response_class=FileResponse,
    responses={
        200: {
            "description": "CSV with a header, in the database's encoding; a file's bytes.",
            "content": {"text/csv": {}},
        },
        **problem_responses(*ACCESS_ERRORS, NotFound),
    },
)
async def get_rescue_file(
    parts: PartsOf,
    _: Operator,
    rescue_id: RescueId,
    file: Annotated[str, Path(description="`file` of a table, or of a file, of the rescue.", max_length=255)],
) -> FileResponse:
    """Give the rows: `_change` says what was done to each, `_side` on which node it stood like that."""
    path = await parts.rescues.find_file(rescue_id, file)
    media_type = "text/csv" if path.suffix == ".csv" else "application/octet-stream"
    return FileResponse(path, media_type=media_type, filename=path.name)


@router.delete(
    "/rescues/{rescue_id}",
    operation_id="discardRescue",
    summary="Discard a rescue",
    status_code=204,
    responses=problem_responses(*ACCESS_ERRORS, NotFound, RequestError, RescueUnwritable, DatabaseUnreachable),
)
async def discard_rescue(
    parts: PartsOf,
    caller: Admin,
    rescue_id: RescueId,
    confirm: Annotated[str, Query(max_length=160, description="The rescue's id once more: it is gone for good.")],
) -> Response:
    """Remove the saved rows, or drop the kept database, for good."""
    manifest = await parts.rescues.read(rescue_id)
    if confirm != rescue_id:
        raise RequestError("confirm must be the id of the rescue", hint="What it holds is nowhere else.")
    await discard(parts.settings, parts.rescues, rescue_id)
    note(parts, caller, Action.RESCUE_DISCARDED, rescue_id, {"component": manifest.component, "rows": manifest.rows})
    what = f"{len(manifest.files)} files" if manifest.files else f"{manifest.rows} rows"
    text = f"{caller.name} discarded rescue {rescue_id}: {what} of component {manifest.component}"
    await parts.events.add(
        NewEvent(parts.clock.now(), EventKind.RESCUE_DISCARDED, Severity.WARNING, rescue_id, text, {})
    )
    return Response(status_code=204)
