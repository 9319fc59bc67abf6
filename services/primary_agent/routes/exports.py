"""The export routes: a standby opens an export, reads its parts, closes and confirms it. Streams are COPY data.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Response

from services.primary_agent.export.service import ExportService
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from shared.errors import (
    CaptureDamaged,
    CaptureNotReady,
    CursorTrimmed,
    CursorUnknown,
    DatabaseUnreachable,
    ExportGone,
    NotActive,
    NotFound,
    ProgramMissing,
    RequestError,
    RightsMissing,
    SchemaChanged,
    StaleTerm,
    TableLocked,
    TableRewritten,
)
from shared.http.problem import problem_responses
from shared.http.streams import ByteStream, Sink
from shared.replication.model import Confirm, ExportView, Manifest, OpenExport

STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The bytes.", "content": {"application/octet-stream": {}}}
}

ExportId = Annotated[str, Path(description="The export's id, from its manifest.")]
Number = Annotated[int, Path(ge=0, description="The table's number in the manifest.")]


def exports_router(exports: ExportService, caller: Caller) -> APIRouter:
    """Return the routes; `caller` proves who asks, and an export belongs to the node that opened it."""
    router = APIRouter(tags=["nodes"])

    @router.post(
        "/components/{component}/exports",
        operation_id="openExport",
        summary="Open an export of a component at one snapshot",
        status_code=201,
        responses=problem_responses(
            *CALLER_ERRORS, RequestError, NotFound, NotActive, StaleTerm, CursorUnknown, CursorTrimmed, SchemaChanged,
            CaptureDamaged, CaptureNotReady, TableLocked, DatabaseUnreachable, RightsMissing,
        ),
    )  # fmt: skip
    async def open_export(
        component: Annotated[str, Path(description="The component's name, as in [[components]].")],
        request: OpenExport,
        response: Response,
        node_id: Annotated[str, Depends(caller)],
    ) -> Manifest:
        """Fix what the standby will read: a full copy, or what changed since the sync point that its copy stands at."""
        manifest = await exports.open(component, request, node_id)
        response.headers["Location"] = f"/exports/{manifest.export_id}"
        return manifest

    @router.get(
        "/exports/{export_id}",
        operation_id="readExport",
        summary="What was sent of an open export",
        responses=problem_responses(*CALLER_ERRORS, RequestError, ExportGone),
    )
    async def read_export(export_id: ExportId, node_id: Annotated[str, Depends(caller)]) -> ExportView:
        """Tell rows, keys and bytes sent for each table, for comparison with what arrived."""
        return exports.view(export_id, node_id)

    @router.delete(
        "/exports/{export_id}",
        operation_id="closeExport",
        summary="Close an export",
        status_code=204,
        responses=problem_responses(*CALLER_ERRORS, RequestError, ExportGone),
    )
    async def close_export(export_id: ExportId, node_id: Annotated[str, Depends(caller)]) -> None:
        """Give the snapshot back; what was read can still be confirmed."""
        await exports.close(export_id, node_id)

    @router.get(
        "/exports/{export_id}/tables/{number}/keys",
        operation_id="readExportKeys",
        summary="The changed keys of a table",
        response_class=ByteStream,
        responses={
            **STREAM,
            **problem_responses(*CALLER_ERRORS, RequestError, ExportGone, TableRewritten, TableLocked),
        },
    )
    async def read_keys(export_id: ExportId, number: Number, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream one bytea column as binary COPY: every key whose row is to be deleted before the rows are inserted."""

        async def produce(sink: Sink) -> None:
            await exports.copy_keys(export_id, number, node_id, sink)

        return ByteStream(produce)

    @router.get(
        "/exports/{export_id}/tables/{number}/rows",
        operation_id="readExportRows",
        summary="The rows of a table",
        response_class=ByteStream,
        responses={
            **STREAM,
            **problem_responses(*CALLER_ERRORS, RequestError, ExportGone, TableRewritten, TableLocked),
        },
    )
    async def read_rows(export_id: ExportId, number: Number, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream text COPY in the database's encoding: the whole table, or the rows of the keys read just before."""

        async def produce(sink: Sink) -> None:
            await exports.copy_rows(export_id, number, node_id, sink)

        return ByteStream(produce)

    @router.get(
        "/exports/{export_id}/schema",
        operation_id="readExportSchema",
        summary="The definitions of the component's database",
        response_class=ByteStream,
        responses={
            **STREAM,
            **problem_responses(*CALLER_ERRORS, RequestError, ExportGone, ProgramMissing, RightsMissing, TableLocked),
        },
    )
    async def read_schema(export_id: ExportId, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream a pg_dump archive (custom format, definitions and large objects) at the export's snapshot."""

        async def produce(sink: Sink) -> None:
            await exports.dump_schema(export_id, node_id, sink)

        return ByteStream(produce)

    @router.post(
        "/exports/{export_id}/confirm",
        operation_id="confirmExport",
        summary="Say that a sync point is committed on the standby",
        status_code=204,
        responses=problem_responses(*CALLER_ERRORS, RequestError, CursorUnknown, DatabaseUnreachable),
    )
    async def confirm_export(export_id: ExportId, confirm: Confirm, node_id: Annotated[str, Depends(caller)]) -> None:
        """Let the active node forget what the standby has; works after the export is closed too, and again."""
        await exports.confirm(export_id, confirm, node_id)

    return router
