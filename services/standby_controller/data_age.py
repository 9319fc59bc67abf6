"""How much would be lost if the active node died now, seen from either node; tells when a copy grows too old.

Nothing needs to have failed for that: no sync may be due, or the controller that should run them may be blind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.pair_document import PairDocument
from services.standby_controller.peer_views import PeerViews
from services.standby_controller.policy.durations import duration
from services.standby_controller.policy.saving import age_limit_of
from services.standby_controller.policy.sights import CopySight
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import Database
from services.standby_controller.store.events import EventFilter, EventKind, Events, NewEvent
from shared.clock import Clock
from shared.node.model import State

LOOK_SECONDS: Final = 1.0
_RECALLED: Final = 20


@dataclass(frozen=True, slots=True)
class _Alarm:
    """A copy this node has to speak for; of one that is not known, the age is how long this process has waited."""

    node_id: str
    age_seconds: float
    is_known: bool


class DataAge:
    """The age of the copies that a standby holds."""

    def __init__(
        self,
        monitor: Monitor,
        views: PeerViews,
        own_age: Callable[[], float | None],
        document: Callable[[], PairDocument],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        """Keep the ways; `own_age` is the age of this node's oldest copy, None where one is missing."""
        self._monitor = monitor
        self._views = views
        self._own_age = own_age
        self._document = document
        self._recorder = recorder
        self._clock = clock
        self._began = clock.monotonic()
        self._has_recalled = False
        self._is_told = False

    def copies(self) -> tuple[CopySight, ...]:
        """Return each standby's copy as it is known here."""
        own = self._monitor.own
        if own.state is State.STANDBY:
            return (CopySight(own.node_id, self._own_age()),)
        return tuple(
            CopySight(peer.node_id, self._age_at(peer.node_id))
            for peer in self._monitor.peers
            if peer.state is State.STANDBY
        )

    async def recall(self, events: Events, database: Database) -> None:
        """Go on where the process of this node before this one stopped telling; raises PostgresError."""
        if self._has_recalled or not database.is_prepared:
            return
        found = [
            record.event
            for kind in (EventKind.DATA_OLD, EventKind.DATA_FRESH)
            for record in (await events.list_events(EventFilter(kind=kind), _RECALLED, None)).items
            if record.node == self._monitor.own.node_id
        ]
        last = max(found, key=lambda event: event.at, default=None)
        self._has_recalled = True
        self._is_told = self._is_told or (last is not None and last.kind is EventKind.DATA_OLD)

    async def look(self) -> None:
        """Tell when the copy that this node speaks for has passed its limit, or is young again.

        Also while the history cannot be read: then it may be told a second time, rather than not at all.
        """
        alarm, limit = self._alarm(), age_limit_of(self._document())
        if alarm is None or (is_old := alarm.age_seconds > limit) == self._is_told:
            return
        self._is_told = is_old
        kind, severity = (EventKind.DATA_OLD, Severity.CRITICAL) if is_old else (EventKind.DATA_FRESH, Severity.INFO)
        event = NewEvent(self._clock.now(), kind, severity, alarm.node_id, _words(alarm, limit, is_old=is_old))
        self._recorder.add_event(event)

    def _alarm(self) -> _Alarm | None:
        """Return the copy this node speaks for: its own, or that of a standby whose controller cannot."""
        own, waited = self._monitor.own, self._clock.monotonic() - self._began
        if own.state is State.STANDBY:
            age = self._own_age()
            return _Alarm(own.node_id, waited if age is None else age, is_known=age is not None)
        if own.state is not State.ACTIVE:
            return None
        peers = self._monitor.peers
        blind = next((peer for peer in peers if self._views.present(peer.node_id) is None), None)
        if blind is not None:
            age = self._age_at(blind.node_id)
            return _Alarm(blind.node_id, waited if age is None else age, is_known=age is not None)
        if not self._is_told:
            return None
        ages = [(age, peer.node_id) for peer in peers if (age := self._age_at(peer.node_id)) is not None]
        return _Alarm(ages[0][1], ages[0][0], is_known=True) if ages else None  # who told it tells its end

    def _age_at(self, node_id: str) -> float | None:
        heard = self._views.last(node_id)
        if heard is None or heard.view.data_age_seconds is None:
            return None
        return heard.view.data_age_seconds + self._clock.monotonic() - heard.heard_at_seconds


def _words(alarm: _Alarm, limit_seconds: float, *, is_old: bool) -> str:
    if not is_old:
        return f"The copy on {alarm.node_id} is young again: {duration(alarm.age_seconds)}"
    if not alarm.is_known:
        return f"Nothing is known of a copy on {alarm.node_id} since {duration(alarm.age_seconds)}"
    return (
        f"The copy on {alarm.node_id} is {duration(alarm.age_seconds)} old, which is more than "
        f"{duration(limit_seconds)}: so much would be lost if the active node died now"
    )
