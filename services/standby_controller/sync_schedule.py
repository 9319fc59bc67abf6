"""The loop that starts scheduled syncs, and when the next one is due. When that should be is `policy/schedule.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.schedule import seconds_until_next
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import Trigger
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.errors import SyncRunning
from shared.lifecycle import run_every
from shared.node.model import State

LOOK_SECONDS: Final = 1.0
SHORTEST_SECONDS: Final = 0.05


class SyncSchedule:
    """Starts a sync whenever one is due and this node is a standby."""

    def __init__(self, runner: SyncRunner, monitor: Monitor, config: PairConfig, clock: Clock) -> None:
        self._runner = runner
        self._monitor = monitor
        self._config = config
        self._clock = clock
        self._has_cleared = False

    async def run(self) -> None:
        """Look whether a sync is due until cancelled."""
        await run_every(self._pause_seconds, self.look, name="schedule", clock=self._clock)

    def next_at(self) -> datetime | None:
        """Return when the next scheduled sync starts; None while none will."""
        if self._monitor.own.state is not State.STANDBY or not self._config.known.sync.enabled:
            return None
        return self._clock.now() + timedelta(seconds=self._seconds_left())

    async def look(self) -> None:
        """Start a sync if one is due; raises PostgresError and PeerError."""
        if not self._runner.is_ready:
            return
        config = (await self._config.read(self._clock.now())).document
        if self._monitor.own.state is not State.STANDBY or self._runner.running is not None:
            return
        if not self._has_cleared:
            await self._runner.clear_orphans()
            self._has_cleared = True
        if not config.sync.enabled or self._seconds_left() > SHORTEST_SECONDS:
            return
        try:
            await self._runner.start(Trigger.SCHEDULE)
        except SyncRunning:
            return  # somebody was faster by hand; the grid starts anew from there

    def _seconds_left(self) -> float:
        return seconds_until_next(self._runner.memory.last_run(), self._config.known.sync.interval_seconds)

    def _pause_seconds(self) -> float:
        if self._runner.running is not None:
            return LOOK_SECONDS / 4
        return min(LOOK_SECONDS, max(SHORTEST_SECONDS, self._seconds_left()))
