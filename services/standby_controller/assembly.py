"""Puts the controller's parts together and gives each what it needs; starts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from services.standby_controller.api.parts import Parts
from services.standby_controller.arming import Arming
from services.standby_controller.data_age import LOOK_SECONDS as AGE_SECONDS
from services.standby_controller.data_age import DataAge
from services.standby_controller.doors import ControllerSource, Doors
from services.standby_controller.eligible import Eligibility, EligibleRecord
from services.standby_controller.event_feed import EventFeed
from services.standby_controller.facts import NodeFacts
from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.history_exchange import HistoryExchange, HistoryLink, JournalSource
from services.standby_controller.known_pair import FILE_NAME, KnownPair
from services.standby_controller.looking_back import LOOK_SECONDS as LOOK_BACK_SECONDS
from services.standby_controller.looking_back import LookBack
from services.standby_controller.monitor import HeartbeatSource, Monitor
from services.standby_controller.notify.office import open_notifications
from services.standby_controller.pace import clock_limits_of, fact_limit_seconds, pace_of
from services.standby_controller.pair_exchange import PairExchange, PairLink
from services.standby_controller.peer_views import PeerViews
from services.standby_controller.planner import Planner, Sight
from services.standby_controller.policy.guards import ShrinkLimits
from services.standby_controller.policy.sights import ChannelSight
from services.standby_controller.recorder import FLUSH_SECONDS, Recorder
from services.standby_controller.rescue.events import tell_rescues
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.roles.closing import Closing
from services.standby_controller.roles.desk import Agents, RoleDesk
from services.standby_controller.running_sync import CopyComponent
from services.standby_controller.situation import Lookout
from services.standby_controller.store.audit import Audit
from services.standby_controller.store.database import open_database
from services.standby_controller.store.events import Events
from services.standby_controller.store.heartbeats import Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.history_log import HistoryLog
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.series import Series
from services.standby_controller.store.tokens import Tokens
from services.standby_controller.store.transitions import Transitions
from services.standby_controller.store.verifications import Verifications
from services.standby_controller.sync import SyncRunner
from services.standby_controller.sync_memory import SyncMemory
from services.standby_controller.sync_schedule import SyncSchedule
from services.standby_controller.sync_work import SyncWork
from services.standby_controller.trimming import TRIM_SECONDS, Trimming
from services.standby_controller.verify.book import VerificationBook
from services.standby_controller.verify.desk import VerificationDesk, order_after_sync
from shared.clock import Clock
from shared.fencing.fence import Fence
from shared.http.caller import Doorkeeper
from shared.http.credentials import NodeKeys
from shared.lifecycle import Sibling, run_every
from shared.node.protocol import Speaker
from shared.settings import Mode, Settings


class ControllerLink(ControllerSource, PairLink, HistoryLink, Protocol):
    """A peer's controller."""


@dataclass(frozen=True, slots=True)
class Controller:
    """The controller's parts and the loops that keep it going."""

    parts: Parts
    loops: tuple[Sibling, ...]


@asynccontextmanager
async def assemble(
    settings: Settings,
    clock: Clock,
    *,
    sources: Sequence[HeartbeatSource],
    controllers: Mapping[str, ControllerLink],
    copy_component: CopyComponent,
    clear_orphans: Callable[[], Awaitable[None]],
    speaker: Callable[[], Speaker],
    records: Mapping[str, EligibleRecord],
    agents: Agents,
    journal: JournalSource,
) -> AsyncIterator[Controller]:
    """Put the controller together for the time of a block; nothing is asked of anybody yet.

    `sources` are the heartbeats of this node and then of each peer, in the order of the settings, `controllers` those
    of the peers; `speaker` says who answers them. `records` and `agents` are those
    of all nodes, `journal` is that of the own agent.
    """
    async with open_database(settings.postgres.dsn.get_secret_value()) as database:
        node, names = settings.node.id, tuple(peer.node_id for peer in settings.peers)

        def epoch() -> int:
            return 0 if monitor.own.term is None else monitor.own.term.epoch

        events, heartbeats, history = Events(database, node, epoch), Heartbeats(database), History(database, node)
        known = KnownPair(node, names, pair_id=settings.node.pair_id, file=settings.node.state_dir / FILE_NAME)
        audit = Audit(database, node)
        config = PairConfig(database, events, known, node, owner=lambda: monitor.owner)
        transitions = Transitions(database, events, node, _primary(settings))
        feed, history_log, series = EventFeed(events, database), HistoryLog(database, transitions), Series(database)
        recorder = Recorder(heartbeats, events, transitions, audit, feed, clock)
        trimming = Trimming(history, events, transitions, audit, heartbeats, series)
        limit_seconds = fact_limit_seconds(settings)
        doors = Doors(settings, controllers, clock)
        monitor = Monitor(
            _nodes(settings, sources),
            pace=lambda: pace_of(settings, config.known),
            clock_limits=lambda: clock_limits_of(config.known),
            fact_limit_seconds=limit_seconds,
            second_opinion=doors.ask,
            recorder=recorder,
            clock=clock,
        )
        memory = SyncMemory(clock)
        names_of_components = tuple(component.name for component in settings.all_components)
        verifications = Verifications(database, node)
        book = VerificationBook(verifications, recorder, names_of_components, clock)

        def shrink_limits() -> ShrinkLimits:
            return config.known.guards.limits

        runner = SyncRunner(
            work=SyncWork(
                settings.all_components, copy_component, clear_orphans, history, memory, book, shrink_limits, clock
            ),
            memory=memory,
            history=history,
            recorder=recorder,
            monitor=monitor,
            clock_limits=lambda: clock_limits_of(config.known),
            clock=clock,
            order_after_sync=lambda: order_after_sync(config),
        )
        monitor.listen_to(runner.heard_from)
        looking_back = LookBack(database, history, transitions, clock)

        def channel_sights() -> tuple[ChannelSight, ...] | None:
            return notifications.office.sights() if config.is_known else None

        lookout = Lookout(settings, monitor, runner, config, looking_back, clock, channel_sights, book.standing)
        arming = Arming(config, monitor, recorder, clock)
        views = PeerViews(
            controllers,
            interval_seconds=settings.controller.heartbeat_seconds,
            limit_seconds=limit_seconds,
            clock=clock,
        )
        data_age = DataAge(
            monitor, views, lookout.own_copy_age_seconds, lambda: config.known, recorder=recorder, clock=clock
        )
        lookout.learn_copies(data_age.copies)
        gatekeeper = Gatekeeper(
            settings,
            monitor=monitor,
            lookout=lookout,
            memory=runner.memory,
            config=config,
            views=views,
            doors=doors,
            arming=arming,
            recorder=recorder,
            fact_limit_seconds=limit_seconds,
            clock=clock,
            verdict=book.verdict,
        )
        schedule = SyncSchedule(runner, monitor, config, history, recorder, clock)
        desk = VerificationDesk(
            runner=runner,
            verifications=verifications,
            book=book,
            config=config,
            monitor=monitor,
            components=names_of_components,
            begun_at=lambda: looking_back.begun_at,
            next_run_at=lambda: None if (due := schedule.next()) is None else due.at,
            clock=clock,
        )
        eligibility = Eligibility(gatekeeper, monitor, records, clock)
        history_exchange = HistoryExchange(
            controllers,
            journal,
            history=history_log,
            transitions=transitions,
            known=known,
            database=database,
            feed=feed,
            clock=clock,
        )
        notifications = open_notifications(
            settings,
            clock,
            lambda: config.known.notifications if config.is_known else None,
            database=database,
            events=events,
            recorder=recorder,
            monitor=monitor,
            lookout=lookout,
            gatekeeper=gatekeeper,
            journal=journal,
            history=history_exchange,
        )
        parts = Parts(
            settings=settings,
            clock=clock,
            database=database,
            history=history,
            heartbeats=heartbeats,
            series=series,
            events=events,
            audit=audit,
            recorder=recorder,
            tokens=Tokens(database, known, node),
            config=config,
            known=known,
            exchange=PairExchange(controllers, config, known, database, clock),
            history_log=history_log,
            history_exchange=history_exchange,
            transitions=transitions,
            feed=feed,
            monitor=monitor,
            runner=runner,
            schedule=schedule,
            lookout=lookout,
            gatekeeper=gatekeeper,
            arming=arming,
            roles=RoleDesk.build(agents, gatekeeper, monitor, runner, recorder, config, clock),
            closing=Closing(settings, agents.own, agents.peer, lambda: Fence(settings, clock), clock),
            rescues=Shelf(settings),
            verifications=desk,
            notifications=notifications,
            planner=Planner(settings, Sight(gatekeeper.judge, lookout.worst_case_detection_seconds, runner.memory)),
            doorkeeper=Doorkeeper(NodeKeys(settings.peers), speaker),
        )
        judging = (doors.sibling(), *views.siblings(), gatekeeper.sibling(), eligibility.sibling())
        judging += (*parts.roles.siblings(), desk.sibling())
        judging += tuple(notifications.siblings())

        async def look_at_age() -> None:
            await data_age.recall(events, database)
            await data_age.look()

        judging += (
            Sibling("looking back", lambda: run_every(LOOK_BACK_SECONDS, looking_back.look, name="looking back")),
            Sibling("data age", lambda: run_every(AGE_SECONDS, look_at_age, name="data age", clock=clock)),
        )
        yield Controller(parts, (*_loops(parts, recorder, trimming), *judging))


def _loops(parts: Parts, recorder: Recorder, trimming: Trimming) -> tuple[Sibling, ...]:
    has_recalled = False

    async def keep_database() -> None:
        nonlocal has_recalled
        if not parts.database.is_prepared:
            await parts.database.prepare()
        if not has_recalled:
            parts.gatekeeper.recall_failover(await parts.transitions.last_automatic_failover())
            has_recalled = True
        await recorder.flush()

    async def tell_of_rescues() -> None:
        if parts.database.is_prepared and await tell_rescues(parts.rescues, parts.events):
            parts.feed.look_now()

    async def keep_on() -> None:
        try:
            await run_every(FLUSH_SECONDS, keep_database, name="control database", wake=recorder.wake)
        finally:
            await recorder.flush_at_end()
            await parts.notifications.office.spool_overdue(0.0)

    async def trim() -> None:
        if parts.database.is_prepared:
            await trimming.trim(parts.config.known.history, parts.monitor.earliest_clock())

    return (
        Sibling("control database", keep_on),
        Sibling("rescues", lambda: run_every(FLUSH_SECONDS, tell_of_rescues, name="rescues")),
        Sibling("trim", lambda: run_every(TRIM_SECONDS, trim, name="trim")),
        *parts.exchange.siblings(),
        *parts.history_exchange.siblings(),
        *parts.monitor.siblings(),
        Sibling("syncs", parts.runner.run),
        Sibling("schedule", parts.schedule.run),
    )


def _nodes(settings: Settings, sources: Sequence[HeartbeatSource]) -> list[tuple[NodeFacts, HeartbeatSource]]:
    own = settings.node
    facts = [
        NodeFacts(own.id, own.mode, own.site, is_own=True),
        *(NodeFacts(peer.node_id, peer.mode, peer.site, is_own=False) for peer in settings.peers),
    ]
    return list(zip(facts, sources, strict=True))


def _primary(settings: Settings) -> str | None:
    modes = {settings.node.id: settings.node.mode, **{peer.node_id: peer.mode for peer in settings.peers}}
    return next((node for node, mode in modes.items() if mode is Mode.PRIMARY), None)
