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


@dataclass(frozen=True, slots=True)
class _Alarm:
    """A copy this node has to speak for, and since when nothing was known of it where nothing is."""

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
        self._is_told: bool | None = None

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
        """Go on where the process before this one stopped telling; raises PostgresError."""
        if self._is_told is not None or not database.is_prepared:
            return
        found = [
            record.event
            for kind in (EventKind.DATA_OLD, EventKind.DATA_FRESH)
            for record in (await events.list_events(EventFilter(kind=kind), 1, None)).items
        ]
        last = max(found, key=lambda event: event.at, default=None)
        self._is_told = last is not None and last.kind is EventKind.DATA_OLD

    async def look(self) -> None:
        """Tell when the copy that this node speaks for has passed its limit, or is young again."""
        alarm, limit = self._alarm(), age_limit_of(self._document())
        if self._is_told is None or alarm is None:
            return
        is_old = alarm.age_seconds > limit
        if is_old == self._is_told:
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
        blind = [peer for peer in self._monitor.peers if self._views.present(peer.node_id) is None]
        for peer in blind:
            age = self._age_at(peer.node_id)
            return _Alarm(peer.node_id, waited if age is None else age, is_known=age is not None)
        young = self._monitor.peers[:1] if self._is_told else ()
        for peer in young:  # it speaks for itself again
            age = self._age_at(peer.node_id)
            return None if age is None else _Alarm(peer.node_id, age, is_known=True)
        return None

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
