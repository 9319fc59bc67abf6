"""`GET /heartbeat`: tells what the agent already knows; no SQL here."""

from __future__ import annotations

import platform
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BeforeValidator

from services.primary_agent.node.disk import DiskWatch
from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.kernel_clock import read_kernel_clock
from services.primary_agent.node.node import Node
from services.primary_agent.routes.caller import CALLER_ERRORS, Caller
from shared.clock import Clock
from shared.errors import RequestError
from shared.http.problem import problem_responses
from shared.node.model import ApplicationHealth, ClockExchange, ComponentStatus, Heartbeat, Versions
from shared.settings import Settings
from shared.version import VERSION


def _refuse_numbers(value: object) -> object:
    """Seconds since 1970 would be taken for a time otherwise, and nobody promised that."""
    if isinstance(value, str) and "T" not in value.upper():
        raise ValueError("allowed is a time as in 2026-01-02T03:04:05.678Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_refuse_numbers)]
ComponentsSeen = Callable[[], tuple[ComponentStatus, ...]]
ApplicationSeen = Callable[[], ApplicationHealth | None]


def heartbeat_router(
    settings: Settings,
    clock: Clock,
    node: Node,
    databases: DatabaseWatch,
    application: ApplicationSeen,
    disk: DiskWatch,
    components: ComponentsSeen,
    caller: Caller,
) -> APIRouter:
    """Return the route; `application` and `components` give what is known of them without asking anybody."""
    router = APIRouter(tags=["nodes"], dependencies=[Depends(caller)])
    started = clock.monotonic()

    @router.get(
        "/heartbeat",
        operation_id="readHeartbeat",
        summary="One look at the node",
        responses=problem_responses(*CALLER_ERRORS, RequestError),
    )
    async def heartbeat(
        sent_at: Annotated[
            Instant | None,
            Query(description="The caller's wall clock when it sent the request; given back for the clock exchange."),
        ] = None,
    ) -> Heartbeat:
        """Answer in every state with node, term, clock exchange, health and components; a fact carries its age."""
        received_at = clock.now()
        health = databases.health()
        return Heartbeat(
            **node.envelope(),
            mode=node.mode,
            site=settings.node.site,
            state=node.state,
            reason=node.sentence,
            reason_code=node.reason,
            attempt=node.record.attempt,
            demotion=node.record.demotion,
            eligible=node.record.eligible,
            fence=node.fence_view(),
            promoted_seconds=node.promoted_seconds,
            clock=_exchange(sent_at, received_at, clock),
            database=health,
            application=application(),
            disk=disk.space(),
            resources=disk.resources(),
            components=components(),
            uptime_seconds=clock.monotonic() - started,
            versions=Versions(warmstandby=VERSION, python=platform.python_version(), postgres=health.server_version),
        )

    return router


def _exchange(sent_at: datetime | None, received_at: datetime, clock: Clock) -> ClockExchange:
    kernel = read_kernel_clock()
    return ClockExchange(
        sent_at=sent_at,
        received_at=received_at,
        answered_at=clock.now(),
        is_synchronised=kernel.is_synchronised,
        error_seconds=kernel.error_seconds,
    )
