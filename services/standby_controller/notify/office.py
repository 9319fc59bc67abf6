"""All parts of notifications, put together for a controller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.history_exchange import HistoryExchange, JournalSource
from services.standby_controller.monitor import Monitor
from services.standby_controller.notify.addresses import outward_context
from services.standby_controller.notify.alarm_watch import AlarmWatch
from services.standby_controller.notify.courier import Courier
from services.standby_controller.notify.dead_man import DeadManSwitch
from services.standby_controller.notify.digest import Digest
from services.standby_controller.notify.journal_watch import JournalWatch
from services.standby_controller.notify.letters import Standing
from services.standby_controller.notify.post_office import PostOffice
from services.standby_controller.notify.spool import FOLDER, Spool
from services.standby_controller.pair_channels import NotificationsGroup
from services.standby_controller.recorder import Recorder
from services.standby_controller.situation import Lookout
from services.standby_controller.store.database import Database
from services.standby_controller.store.digest import DigestFacts
from services.standby_controller.store.events import Events
from services.standby_controller.store.outbox import Outbox
from shared.clock import Clock
from shared.lifecycle import Sibling
from shared.node.model import State
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Notifications:
    """What tells people, and the outbox that the API shows."""

    office: PostOffice
    outbox: Outbox
    watch: JournalWatch
    digest: Digest
    dead_man: DeadManSwitch
    alarms: AlarmWatch

    def siblings(self) -> list[Sibling]:
        """Return the loops."""
        others = (self.watch, self.digest, self.dead_man, self.alarms)
        return [*self.office.siblings(), *(other.sibling() for other in others)]


def open_notifications(
    settings: Settings,
    clock: Clock,
    group: Callable[[], NotificationsGroup | None],
    *,
    database: Database,
    events: Events,
    recorder: Recorder,
    monitor: Monitor,
    lookout: Lookout,
    gatekeeper: Gatekeeper,
    journal: JournalSource,
    history: HistoryExchange,
) -> Notifications:
    """Put the parts together; nothing is sent yet. `group` gives the settings, None while they are not known."""
    node, pair_id = settings.node.id, settings.node.pair_id

    def standing() -> Standing:
        judgement = gatekeeper.judge()
        return Standing(pair_id, judgement.is_protected, tuple(reason.text for reason in judgement.reasons))

    def is_well() -> bool:
        return monitor.own.state is State.STANDBY and gatekeeper.judge().is_protected

    courier = Courier(standing, lambda: outward_context(settings.tls.ca_file), clock)
    outbox = Outbox(database, events, node, pair_id)
    office = PostOffice(
        group=group,
        courier=courier,
        outbox=outbox,
        spool=Spool(settings.node.state_dir / FOLDER, node, pair_id),
        events=events,
        recorder=recorder,
        database=database,
        clock=clock,
    )
    watch = JournalWatch(
        journal,
        node=node,
        state_dir=settings.node.state_dir,
        copied=lambda: history.copied,
        is_database_away=lambda: office.is_database_away,
        tell=office.tell,
        clock=clock,
    )
    facts = DigestFacts(database, node)
    digest = Digest(group, lookout, gatekeeper, facts=facts, events=events, database=database, clock=clock)
    dead_man, alarms = DeadManSwitch(courier, group, is_well, clock), AlarmWatch(gatekeeper, recorder, clock)
    return Notifications(office, outbox, watch, digest, dead_man, alarms)
