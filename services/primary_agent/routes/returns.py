"""The routes of a return: the own controller asks what this node has alone, a peer that comes back meets this one.

Annotations are evaluated here (no `from __future__ import annotations`): FastAPI reads `Depends(caller)` out of them.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request

from services.primary_agent.returning.divergence import DivergenceService
from services.primary_agent.returning.meeting import MeetingService
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from services.primary_agent.routes.exports import STREAM
from shared.errors import (
    CaptureDamaged,
    CaptureNotReady,
    CursorUnknown,
    DatabaseUnreachable,
    NotActive,
    NotFound,
    NotStandby,
    RequestError,
    RightsMissing,
    SchemaChanged,
    TableLocked,
)
from shared.http.problem import problem_responses
from shared.http.streams import ByteStream, Sink
from shared.replication.model import SyncPoint
from shared.replication.returning import BaseFound, Divergence, FindBase, KeysStored, SharedPoints

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "description": "Binary COPY of one bytea column: the keys as they were captured.",
    }
}
_USED: Final = (
    RequestError,
    NotFound,
    CaptureDamaged,
    CaptureNotReady,
    DatabaseUnreachable,
    RightsMissing,
    TableLocked,
)

Component = Annotated[str, Path(description="The component's name, as in [[components]].")]


def meeting_router(meeting: MeetingService, caller: Caller) -> APIRouter:
    """Return the routes for a peer that comes back."""
    router = APIRouter(tags=["nodes"])

    @router.post(
        "/components/{component}/bases",
        operation_id="findBase",
        summary="Find the newest moment that both nodes know",
        responses=problem_responses(*CALLER_ERRORS, *_USED, NotActive, CursorUnknown),
    )
    async def find_base(component: Component, asked: FindBase, node_id: Annotated[str, Depends(caller)]) -> BaseFound:
        """Answer with the first of the caller's moments that this node knows too and keeps all changes since."""
        return await meeting.find_base(component, asked, node_id)

    @router.put(
        "/components/{component}/divergent-keys/{schema_name}/{table}",
        operation_id="putDivergentKeys",
        summary="Bring the keys that a node which comes back had changed alone",
        responses=problem_responses(*CALLER_ERRORS, *_USED, NotActive, SchemaChanged, CursorUnknown),
        openapi_extra=_BODY,
    )
    async def put_keys(
        component: Component,
        schema_name: Annotated[str, Path(pattern=r"^[^\x00]+$", description="The table's schema.")],
        table: Annotated[str, Path(pattern=r"^[^\x00]+$", description="The table's name.")],
        request: Request,
        column: Annotated[
            list[str], Query(min_length=1, max_length=32, description="The key's columns, as the keys hold them.")
        ],
        type: Annotated[  # noqa: A002  the parameter's name in the address
            list[str], Query(min_length=1, max_length=32, description="Their types.")
        ],
        node_id: Annotated[str, Depends(caller)],
    ) -> KeysStored:
        """Take the keys as if this node had just changed them: the next export brings what it has of them."""
        if len(column) != len(type):
            raise SchemaChanged("a key has as many types as columns")
        key = list(zip(column, type, strict=True))
        return await meeting.store_keys(component, (schema_name, table), key, node_id, request.stream())

    return router


def divergence_router(divergence: DivergenceService, caller: Caller) -> APIRouter:
    """Return the routes for the own controller."""
    router = APIRouter(tags=["nodes"], dependencies=[Depends(caller)])

    @router.get(
        "/components/{component}/points",
        operation_id="listSharedPoints",
        summary="The moments that this node can tell its changes since",
        responses=problem_responses(*CALLER_ERRORS, *_USED, NotStandby),
    )
    async def list_points(component: Component) -> SharedPoints:
        """List the newest first; a copy has one, where it stands."""
        return await divergence.list_points(component)

    @router.get(
        "/components/{component}/divergence",
        operation_id="readDivergence",
        summary="What this node has alone since a moment",
        responses=problem_responses(*CALLER_ERRORS, *_USED, NotStandby, CursorUnknown),
    )
    async def read_divergence(
        component: Component,
        capture_id: Annotated[str, Query(description="Of the moment, one of this node's own sync points.")],
        seq: Annotated[int, Query(ge=1, lt=2**63, description="Its number.")],
        nonce: Annotated[str, Query(description="Its nonce.")],
    ) -> Divergence:
        """Drain to the end of the log, then count the keys of each table that changed since."""
        return await divergence.find(component, SyncPoint(capture_id=capture_id, seq=seq, nonce=nonce))

    @router.get(
        "/components/{component}/divergence/{number}/keys",
        operation_id="readDivergentKeys",
        summary="The keys of a table that only this node had changed",
        response_class=ByteStream,
        responses={**STREAM, **problem_responses(*CALLER_ERRORS, *_USED, NotStandby)},
    )
    async def read_keys(
        component: Component,
        number: Annotated[int, Path(ge=0, description="The table's number in the divergence.")],
        *,
        with_birth: Annotated[bool, Query(description="Say of each key whether it was inserted since.")] = False,
    ) -> ByteStream:
        """Stream binary COPY: a bytea column, and with their birth a boolean one."""

        async def produce(sink: Sink) -> None:
            await divergence.copy_keys(component, number, sink, with_birth=with_birth)

        return ByteStream(produce)

    return router
