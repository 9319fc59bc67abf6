"""The agent's composition root: puts its parts together and runs them as siblings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from pydantic import SecretStr

from services.primary_agent.capture.service import CaptureService
from services.primary_agent.export.holding import HoldingService
from services.primary_agent.export.service import ExportService
from services.primary_agent.files.fence import NodeFence
from services.primary_agent.files.service import FileSetService
from services.primary_agent.node.application import ApplicationWatch
from services.primary_agent.node.database_restart import DatabaseRestart
from services.primary_agent.node.demotion import Demoting
from services.primary_agent.node.disk import DiskWatch
from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.hooks import Hooks
from services.primary_agent.node.judgement import Judgement
from services.primary_agent.node.machine import kernel_boot_id
from services.primary_agent.node.node import Node
from services.primary_agent.node.peer_watch import PeerWatch
from services.primary_agent.node.performer import Performer
from services.primary_agent.node.promotion import Promotion
from services.primary_agent.node.record_copy import RecordCopy
from services.primary_agent.node.roles import Roles
from services.primary_agent.returning.divergence import DivergenceService
from services.primary_agent.returning.meeting import MeetingService
from services.primary_agent.routes.caller import Caller, own_caller, peer_caller
from services.primary_agent.routes.commands import commands_router
from services.primary_agent.routes.exports import exports_router
from services.primary_agent.routes.files import files_router
from services.primary_agent.routes.heartbeat import heartbeat_router
from services.primary_agent.routes.holding import holding_router
from services.primary_agent.routes.node import journal_router, node_router
from services.primary_agent.routes.peers import peers_router
from services.primary_agent.routes.returns import divergence_router, meeting_router
from services.primary_agent.routes.uncaptured import uncaptured_router
from shared.clock import Clock, SystemClock
from shared.errors import WarmstandbyError
from shared.http.application import Application, new_application
from shared.http.probes import probes_router
from shared.http.server import tcp_server, unix_server
from shared.lifecycle import Sibling, run_siblings
from shared.node.journal import Journal
from shared.node.model import ComponentStatus
from shared.node.probes import ProbeTexts, RoleFacts
from shared.node.record import RecordFile
from shared.settings import ComponentSettings, Mode, NodeSettings, PostgresSettings, Settings

TITLE: Final = "Warmstandby agent"
DESCRIPTION: Final = "Owns a node: its record, its heartbeat, and the export of its data to the other node of the pair."
TAGS: Final = {
    "nodes": "Between the nodes of a pair; the caller proves itself by its own key.",
    "probes": "For load balancers and monitors, without a credential.",
}


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent's parts; `network` and `socket` are its two applications."""

    node: Node
    journal: Journal
    loops: Sequence[Sibling]
    network: Application
    socket: Application


def build(settings: Settings, clock: Clock | None = None) -> Agent:
    """Put the agent together; nothing is read, opened or started yet."""
    clock = clock or SystemClock()
    looked = asyncio.Event()
    store = RecordFile(settings.node.state_dir, pair_id=settings.node.pair_id, node_id=settings.node.id)
    node = Node(settings, clock, store, kernel_boot_id=kernel_boot_id())
    databases = DatabaseWatch(settings, clock, looked)
    peers = PeerWatch(settings, clock, node, looked)
    copy = RecordCopy(settings, node)
    watched = ApplicationWatch(settings, clock, lambda: node.is_active)
    disk = DiskWatch(settings, clock)

    capture = CaptureService(settings, clock, node)
    exports = ExportService(settings, clock, node, capture)
    meeting, divergence = MeetingService(clock, node, capture), DivergenceService(clock, node, capture)

    file_sets = FileSetService(settings, clock, node)

    journal = Journal(settings.node.state_dir, clock)
    fence, hooks = NodeFence(settings, clock, file_sets), Hooks(settings, clock)
    deadline_seconds = settings.fencing.deadline_seconds
    judgement = Judgement(settings, clock, node, peers, databases, fence, copy, looked)
    promotion = Promotion(node, fence, capture, hooks, peers, journal, clock)
    demoting = Demoting(node, fence, hooks, peers, journal, clock, deadline_seconds=deadline_seconds)
    performer = Performer(
        node,
        promotion,
        demoting,
        fence,
        hooks,
        journal,
        clock,
        look_seconds=settings.agent.heartbeat_seconds,
        deadline_seconds=deadline_seconds,
    )
    restart = DatabaseRestart(
        settings, clock, hooks, is_active=lambda: node.is_active, problem=lambda: databases.problem
    )
    roles = Roles(node, peers, demoting, journal, settings.node.epoch_class)

    def components() -> tuple[ComponentStatus, ...]:
        databases_of = (capture.status(component.name) for component in settings.components)
        return (*databases_of, *file_sets.statuses())

    def problems() -> tuple[WarmstandbyError, ...]:
        return tuple(one for one in (databases.problem, node.write_problem) if one is not None)

    texts = ProbeTexts(settings.probes.text, settings.probes.legacy_standby_after_takeover_seconds)

    def application(caller: Caller, *others: APIRouter, docs: bool) -> Application:
        app = new_application(TITLE, DESCRIPTION, tags=TAGS, docs=docs)
        for router in (
            heartbeat_router(settings, clock, node, databases, watched.health, disk, components, caller),
            node_router(node, components, caller),
            *others,
            probes_router(lambda _: _role_of(node), lambda _: problems(), lambda _: texts),
        ):
            app.include_router(router)
        return app

    peer, own = peer_caller(settings, node), own_caller(node)
    return Agent(
        node=node,
        journal=journal,
        loops=(
            Sibling("database watch", databases.run),
            Sibling("peer watch", peers.run),
            Sibling("judgement", judgement.run),
            Sibling("copy of the record", copy.run),
            Sibling("performer", performer.run),
            Sibling("hooks", performer.run_hooks),
            Sibling("capture", capture.run),
            Sibling("exports", exports.run),
            Sibling("application watch", watched.run),
            Sibling("database restart", restart.run),
            Sibling("disk watch", disk.run),
            Sibling("file sets", file_sets.run),
        ),
        network=application(
            peer,
            exports_router(exports, peer),
            uncaptured_router(exports, peer),
            holding_router(HoldingService(exports), peer),
            files_router(file_sets, peer),
            meeting_router(meeting, peer),
            peers_router(roles, peer),
            journal_router(journal, peer),
            docs=settings.agent.docs,
        ),
        socket=application(
            own,
            commands_router(roles, own, settings.node.id),
            journal_router(journal, own),
            divergence_router(divergence, own),
            docs=False,
        ),
    )


def _role_of(node: Node) -> RoleFacts:
    """Return what the probes depend on; the bit is all that the agent knows of the gate."""
    may_promote = node.record.eligible.get(node.record.node_id, False)
    return RoleFacts(node.state, may_promote=may_promote, promoted_seconds=node.promoted_seconds)


async def serve(settings: Settings) -> None:
    """Run the agent until it is told to stop; raise ConfigurationError for what cannot work."""
    agent = build(settings)
    await agent.node.open()
    await agent.journal.open()
    network = tcp_server(agent.network, settings.agent, "agent")
    try:
        own = unix_server(agent.socket, settings.agent_socket)
    except BaseException:
        network.close()
        raise
    await run_siblings([*agent.loops, Sibling("unix socket", own.run), Sibling("network", network.run)])


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the network's application."""
    dsn = SecretStr("postgresql://warmstandby@localhost/warmstandby")
    settings = Settings(
        node=NodeSettings(
            id="primary", mode=Mode.PRIMARY, pair_id="pair", key=SecretStr("0" * 24), state_dir=Path("state")
        ),
        postgres=PostgresSettings(dsn=dsn, apply_dsn=dsn),
        components=(ComponentSettings(name="component", database="component"),),
    )
    return build(settings).network.openapi()
