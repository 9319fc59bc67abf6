"""The application: the routes for people under /v1, those for nodes, and the probes. No decision is made here."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Depends

from services.standby_controller.api import (
    audit,
    configuration,
    events,
    heartbeat_series,
    heartbeats,
    notifications,
    plan,
    probes,
    rescues,
    roles,
    status,
    switches,
    sync_series,
    syncs,
    tokens,
    transitions,
    verifications,
)
from services.standby_controller.api.access import refuse_unknown_queries
from services.standby_controller.routes import pair, view
from shared.http.application import Application, new_application

TITLE: Final = "Warmstandby controller"
DESCRIPTION: Final = "Follows the active node of a pair: status, syncs, history and settings, for people and programs."
TAGS: Final = {
    "people": "For administrators and their programs, with an API token.",
    "nodes": "Between the nodes of a pair; the caller proves itself by its own key.",
    "probes": "For load balancers and monitors, without a credential.",
}

ROUTERS: Final[tuple[APIRouter, ...]] = (
    status.router,
    sync_series.router,  # before the syncs: theirs are ids
    syncs.router,
    roles.router,
    rescues.router,
    verifications.router,
    plan.router,
    switches.router,
    heartbeat_series.router,
    heartbeats.router,
    events.router,
    transitions.router,
    notifications.router,
    configuration.router,
    audit.router,
    tokens.router,
)

NODE_ROUTERS: Final[tuple[APIRouter, ...]] = (view.router, pair.router)


def new_app(*, docs: bool) -> Application:
    """Return the application with all routes; it answers once it is given its parts."""
    app = new_application(TITLE, DESCRIPTION, tags=TAGS, docs=docs)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(refuse_unknown_queries)])
    for router in NODE_ROUTERS:
        app.include_router(router)
    app.include_router(probes.router)
    return app
