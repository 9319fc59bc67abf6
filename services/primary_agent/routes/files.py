"""The routes by which a standby reads a file set: what lies there, and the contents of files.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from services.primary_agent.files.service import FileSetService
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.exports import STREAM
from shared.errors import FileSetMissing, FileSetUnusable, NotActive, NotFound, RequestError, StaleTerm
from shared.files.wire import OpenListing, WantFiles
from shared.http.problem import problem_responses
from shared.http.streams import ByteStream, Sink

Name = Annotated[str, Path(description="The file set's name, as in [[file_sets]].")]


def files_router(file_sets: FileSetService, caller: Caller) -> APIRouter:
    """Return the routes; `caller` proves who asks."""
    router = APIRouter(tags=["nodes"])
    errors = (RequestError, NotFound, NotActive, FileSetMissing, FileSetUnusable)

    @router.post(
        "/file-sets/{name}/listing",
        operation_id="listFileSet",
        summary="All that lies in a file set",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, *errors, StaleTerm)},
    )
    async def list_file_set(name: Name, asked: OpenListing, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream lines of JSON: a head, an entry for each path in order, an end without which it is not whole."""

        async def produce(sink: Sink) -> None:
            await file_sets.list_entries(name, asked, node_id, sink)

        return ByteStream(produce)

    @router.post(
        "/file-sets/{name}/contents",
        operation_id="readFiles",
        summary="The contents of files",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, *errors)},
    )
    async def read_files(name: Name, wanted: WantFiles, node_id: Annotated[str, Depends(caller)]) -> ByteStream:
        """Stream each file's blocks, each with its length before it, an empty one, and what the file was (JSON)."""

        async def produce(sink: Sink) -> None:
            await file_sets.give(name, wanted, node_id, sink)

        return ByteStream(produce)

    return router
