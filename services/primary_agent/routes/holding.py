"""The routes by which a standby compares its copy with an open export: the tables, digests of their parts, hashes.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query

from services.primary_agent.export.holding import HoldingService
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.exports import STREAM, ExportId
from shared.errors import DatabaseUnreachable, ExportGone, NotFound, RequestError, TableLocked, TableRewritten
from shared.http.problem import problem_responses
from shared.http.streams import ByteStream, Sink
from shared.replication.verification import MOST_BITS, MOST_CHOSEN, Holding

_READ: Final = (RequestError, NotFound, ExportGone, TableRewritten, TableLocked, DatabaseUnreachable)

Number = Annotated[int, Path(ge=0, description="The table's number among those held.")]
Bits = Annotated[int, Query(ge=0, le=MOST_BITS, description="Rows are divided into 2^bits parts by a hash of the key.")]


def holding_router(holding: HoldingService, caller: Caller) -> APIRouter:
    """Return the routes; `caller` proves who asks, and an export belongs to the node that opened it."""
    router = APIRouter(tags=["nodes"])

    @router.get(
        "/exports/{export_id}/holding",
        operation_id="listHeldTables",
        summary="All tables at an export's snapshot",
        responses=problem_responses(*CALLER_ERRORS, RequestError, ExportGone, DatabaseUnreachable),
    )
    async def list_held(export_id: ExportId, node_id: Annotated[str, Depends(caller)]) -> Holding:
        """List every table, whether the export ships anything of it or not."""
        return await holding.list_tables(export_id, node_id)

    @router.get(
        "/exports/{export_id}/holding/{number}/digests",
        operation_id="readTableDigests",
        summary="Digests of the parts of a table",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, *_READ)},
    )
    async def read_digests(
        export_id: ExportId,
        number: Number,
        node_id: Annotated[str, Depends(caller)],
        *,
        bits: Bits = 0,
        hashes: Annotated[bool, Query(description="Hash the rows; else they are only counted.")] = True,
    ) -> ByteStream:
        """Stream binary COPY, one row for each part: its number, its number of rows, the sum of their hashes."""

        async def produce(sink: Sink) -> None:
            await holding.copy_digests(export_id, number, node_id, sink, bits=bits, has_hashes=hashes)

        return ByteStream(produce)

    @router.get(
        "/exports/{export_id}/holding/{number}/hashes",
        operation_id="readTableHashes",
        summary="Keys and hashes of the rows of some parts of a table",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, *_READ)},
    )
    async def read_hashes(
        export_id: ExportId,
        number: Number,
        node_id: Annotated[str, Depends(caller)],
        bits: Bits = 0,
        part: Annotated[
            list[int] | None, Query(max_length=MOST_CHOSEN, description="Numbers of parts; none for all.")
        ] = None,
    ) -> ByteStream:
        """Stream binary COPY: the key as it is captured, and the row's hash."""

        async def produce(sink: Sink) -> None:
            await holding.copy_hashes(export_id, number, node_id, sink, bits=bits, parts=part or ())

        return ByteStream(produce)

    return router
