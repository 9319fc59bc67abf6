"""Forgets history beyond the limits of the pair's configuration; looks at peers stay as sums by the hour."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from services.standby_controller.pair_groups import HistoryGroup
from services.standby_controller.store.audit import Audit
from services.standby_controller.store.events import Events
from services.standby_controller.store.heartbeats import Heartbeats
from services.standby_controller.store.history import History
from services.standby_controller.store.series import Series
from services.standby_controller.store.transitions import Transitions

log = logging.getLogger(__name__)

TRIM_SECONDS: Final = 600.0


class Trimming:
    """All that has a limit of age."""

    def __init__(
        self,
        history: History,
        events: Events,
        transitions: Transitions,
        audit: Audit,
        heartbeats: Heartbeats,
        series: Series,
    ) -> None:
        self._history = history
        self._events = events
        self._transitions = transitions
        self._audit = audit
        self._heartbeats = heartbeats
        self._series = series

    async def trim(self, limits: HistoryGroup, now: datetime) -> None:
        """Forget what is older than the limits; raises PostgresError."""
        await self._series.sum_up_hours(now)
        forgotten = {
            "syncs": await self._history.trim(now, limits.sync_days),
            "events": await self._events.trim(now, limits.sync_days),
            "transitions": await self._transitions.trim(now, limits.transition_days),
            "audit": await self._audit.trim(now, limits.audit_days),
            "heartbeats": await self._heartbeats.trim(now, limits.heartbeat_days, limits.heartbeat_count),
            "heartbeat_hours": await self._series.trim_hours(now, limits.heartbeat_hours_days),
        }
        if any(forgotten.values()):
            log.info("history trimmed", extra=forgotten)
