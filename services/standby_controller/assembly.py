"""Puts the controller's parts together and gives each what it needs; starts nothing."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from services.standby_controller.api.parts import Parts
from services.standby_controller.facts import NodeFacts
from services.standby_controller.monitor import HeartbeatSource, Monitor
from services.standby_controller.recorder import FLUSH_SECONDS, TRIM_SECONDS, Recorder
from services.standby_controller.situation import Lookout
from services.standby_controller.store.database import open_database
from services.standby_controller.store.events import Events
from services.standby_controller.store.heartbeats import Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.tokens import Tokens
from services.standby_controller.sync import CopyComponent, SyncRunner
from services.standby_controller.sync_schedule import SyncSchedule
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every
from shared.node.client import NodeClient
from shared.node.protocol import Speaker
from shared.settings import PeerSettings, Settings

EXPORT_DEADLINE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Copying:
    """How data is copied: one component from its source, and what a killed copy leaves behind."""

    copy_component: Callable[[Mapping[str, NodeClient]], CopyComponent]
    clear_orphans: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Controller:
    """The controller's parts and the loops that keep it going."""

    parts: Parts
    loops: tuple[Sibling, ...]


@asynccontextmanager
async def assemble(settings: Settings, copying: Copying, clock: Clock) -> AsyncIterator[Controller]:
    """Put the controller together for the time of a block; nothing is asked of anybody yet."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings.postgres.dsn.get_secret_value()))
        node = settings.node.id
        events, heartbeats, history = Events(database, node), Heartbeats(database), History(database, node)
        config = PairConfig(database, events)
        recorder = Recorder(heartbeats, events, history, config, clock)
        speaker = _Speaker(settings)
        sources = [await stack.enter_async_context(client) for client in _heartbeat_clients(settings, speaker, clock)]
        monitor = Monitor(
            _nodes(settings, sources),
            heartbeat_seconds=settings.controller.heartbeat_seconds,
            config=lambda: config.known,
            recorder=recorder,
            clock=clock,
        )
        speaker.listen_to(monitor)
        exports = {
            peer.node_id: await stack.enter_async_context(
                NodeClient.of_peer(settings, peer, speaker, deadline_seconds=EXPORT_DEADLINE_SECONDS, clock=clock)
            )
            for peer in settings.peers
        }
        runner = SyncRunner(
            components=settings.components,
            copy_component=copying.copy_component(exports),
            clear_orphans=copying.clear_orphans,
            history=history,
            recorder=recorder,
            monitor=monitor,
            clock=clock,
        )
        parts = Parts(
            settings=settings,
            clock=clock,
            database=database,
            history=history,
            heartbeats=heartbeats,
            events=events,
            tokens=Tokens(database),
            config=config,
            monitor=monitor,
            runner=runner,
            schedule=SyncSchedule(runner, monitor, config, clock),
            lookout=Lookout(settings.components, monitor, runner, config, clock),
        )
        yield Controller(parts, _loops(parts, recorder))


def _loops(parts: Parts, recorder: Recorder) -> tuple[Sibling, ...]:
    async def keep_database() -> None:
        if not parts.database.is_prepared:
            await parts.database.prepare()
        await recorder.flush()

    async def trim() -> None:
        if parts.database.is_prepared:
            await recorder.trim()

    return (
        Sibling("control database", lambda: run_every(FLUSH_SECONDS, keep_database, name="control database")),
        Sibling("trim", lambda: run_every(TRIM_SECONDS, trim, name="trim")),
        *parts.monitor.siblings(),
        Sibling("syncs", parts.runner.run),
        Sibling("schedule", parts.schedule.run),
    )


class _Speaker:
    """Says who this node is, as its own agent last said it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._boot_id = uuid.uuid4().hex
        self._monitor: Monitor | None = None

    def listen_to(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def __call__(self) -> Speaker:
        heartbeat = None if self._monitor is None else self._monitor.own.heartbeat
        return Speaker(
            pair_id=self._settings.node.pair_id,
            node_id=self._settings.node.id,
            boot_id=heartbeat.boot_id if heartbeat else self._boot_id,
            epoch=heartbeat.term.epoch if heartbeat and heartbeat.term else None,
        )


def _heartbeat_clients(settings: Settings, speaker: Callable[[], Speaker], clock: Clock) -> list[NodeClient]:
    """Return clients for the own agent and for each peer, in the order of `_nodes`."""
    seconds = settings.controller.heartbeat_timeout_seconds
    own = NodeClient.of_own_agent(settings, speaker, deadline_seconds=seconds, clock=clock)
    peers = (
        NodeClient.of_peer(settings, peer, speaker, deadline_seconds=seconds, clock=clock) for peer in settings.peers
    )
    return [own, *peers]


def _nodes(settings: Settings, sources: list[NodeClient]) -> list[tuple[NodeFacts, HeartbeatSource]]:
    own = settings.node
    facts = [NodeFacts(own.id, own.mode, own.site, is_own=True), *map(_peer_facts, settings.peers)]
    return list(zip(facts, sources, strict=True))


def _peer_facts(peer: PeerSettings) -> NodeFacts:
    return NodeFacts(peer.node_id, peer.mode, peer.site, is_own=False)
