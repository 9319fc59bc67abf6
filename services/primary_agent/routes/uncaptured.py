"""The routes for what changes without a captured key: digests of tables, large objects by their content.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from services.primary_agent.export.service import ExportService
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.exports import STREAM, ExportId, Number
from shared.errors import DatabaseUnreachable, ExportGone, RequestError, RightsMissing, TableLocked, TableRewritten
from shared.http.problem import problem_responses
from shared.http.streams import ByteStream, Sink
from shared.replication.model import MOST_OBJECTS, TableDigest

Oids = Annotated[
    list[Annotated[int, Field(ge=1, le=2**32 - 1)]],
    Query(min_length=1, max_length=MOST_OBJECTS, description="The large objects' numbers."),
]


def uncaptured_router(exports: ExportService, caller: Caller) -> APIRouter:
    """Return the routes; like those of `exports_router` they read an export that is open."""
    router = APIRouter(tags=["nodes"])

    @router.get(
        "/exports/{export_id}/tables/{number}/digest",
        operation_id="readExportDigest",
        summary="What the rows of a compared table come to",
        responses=problem_responses(
            *CALLER_ERRORS, RequestError, ExportGone, TableRewritten, TableLocked, RightsMissing, DatabaseUnreachable
        ),
    )
    async def read_digest(export_id: ExportId, number: Number, node_id: Annotated[str, Depends(caller)]) -> TableDigest:
        """Count and hash the rows at the snapshot; equal numbers on the standby mean that nothing has to travel."""
        return await exports.digest(export_id, number, node_id)

    @router.get(
        "/exports/{export_id}/large-objects",
        operation_id="listExportObjects",
        summary="The large objects, with a digest of each one's content",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, RequestError, ExportGone, RightsMissing)},
    )
    async def list_objects(export_id: ExportId, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream binary COPY: oid, owner, rights (JSON), comment, size, digest; the last two null where unreadable."""

        async def produce(sink: Sink) -> None:
            await exports.copy_object_list(export_id, node_id, sink)

        return ByteStream(produce)

    @router.get(
        "/exports/{export_id}/large-objects/contents",
        operation_id="readExportObjects",
        summary="The content of large objects",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, RequestError, ExportGone, RightsMissing)},
    )
    async def read_objects(export_id: ExportId, oid: Oids, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream binary COPY: oid, place, data; the pieces of one object in order of their place are its content."""

        async def produce(sink: Sink) -> None:
            await exports.copy_object_contents(export_id, node_id, oid, sink)

        return ByteStream(produce)

    return router
