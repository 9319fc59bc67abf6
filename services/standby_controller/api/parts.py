"""What the routes work with, and how they get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request

from services.standby_controller.arming import Arming
from services.standby_controller.event_feed import EventFeed
from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.history_exchange import HistoryExchange
from services.standby_controller.known_pair import KnownPair
from services.standby_controller.monitor import Monitor
from services.standby_controller.notify.office import Notifications
from services.standby_controller.pair_exchange import PairExchange
from services.standby_controller.planner import Planner
from services.standby_controller.recorder import Recorder
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.roles.closing import Closing
from services.standby_controller.roles.desk import RoleDesk
from services.standby_controller.situation import Lookout
from services.standby_controller.store.audit import Audit
from services.standby_controller.store.database import Database
from services.standby_controller.store.events import Events
from services.standby_controller.store.heartbeats import Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.history_log import HistoryLog
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.series import Series
from services.standby_controller.store.tokens import Tokens
from services.standby_controller.store.transitions import Transitions
from services.standby_controller.sync import SyncRunner
from services.standby_controller.sync_schedule import SyncSchedule
from services.standby_controller.verify.desk import VerificationDesk
from shared.clock import Clock
from shared.http.caller import Doorkeeper
from shared.settings import Settings

_KEY: Final = "parts"


@dataclass(frozen=True, slots=True)
class Parts:
    """The controller's parts, made by the composition root."""

    settings: Settings
    clock: Clock
    database: Database
    history: History
    heartbeats: Heartbeats
    series: Series
    events: Events
    audit: Audit
    recorder: Recorder
    tokens: Tokens
    config: PairConfig
    known: KnownPair
    exchange: PairExchange
    history_log: HistoryLog
    history_exchange: HistoryExchange
    transitions: Transitions
    feed: EventFeed
    monitor: Monitor
    runner: SyncRunner
    schedule: SyncSchedule
    lookout: Lookout
    doorkeeper: Doorkeeper
    gatekeeper: Gatekeeper
    arming: Arming
    planner: Planner
    roles: RoleDesk
    closing: Closing
    rescues: Shelf
    verifications: VerificationDesk
    notifications: Notifications


def give_parts(app: FastAPI, parts: Parts) -> None:
    """Give the application what its routes work with."""
    setattr(app.state, _KEY, parts)


def parts_of(request: Request) -> Parts:
    """Return what the routes work with."""
    parts = getattr(request.app.state, _KEY)
    assert isinstance(parts, Parts), "the composition root gives the parts"
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]
