"""The loop that starts scheduled syncs, or records why one was left out. When one is due is `policy/schedule.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.pair_document import PairDocument
from services.standby_controller.policy.durations import duration
from services.standby_controller.policy.schedule import NextRun, next_run
from services.standby_controller.recorder import Recorder
from services.standby_controller.running_sync import RunningSync
from services.standby_controller.store.history import History
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import Failure, SyncResult, Trigger
from services.standby_controller.sync import SyncRunner
from services.standby_controller.sync_events import event_of_left_out
from shared.clock import Clock
from shared.errors import ClockSkew, SyncRunning
from shared.lifecycle import run_every
from shared.node.model import State

LOOK_SECONDS: Final = 1.0
SHORTEST_SECONDS: Final = 0.05

_IN_MAINTENANCE: Final = Failure(
    "maintenance", "the pair is in maintenance", "End it with PUT /v1/maintenance; POST /v1/syncs runs one in between."
)


class SyncSchedule:
    """Starts a sync whenever one is due and this node is a standby; never two, and none for a point that has passed."""

    def __init__(
        self,
        runner: SyncRunner,
        monitor: Monitor,
        config: PairConfig,
        history: History,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._runner = runner
        self._monitor = monitor
        self._config = config
        self._history = history
        self._recorder = recorder
        self._clock = clock
        self._has_cleared = False
        self._told: tuple[SyncResult, str] | None = None

    async def run(self) -> None:
        """Look whether a sync is due until cancelled."""
        await run_every(self._pause_seconds, self.look, name="schedule", clock=self._clock)

    def next(self) -> NextRun | None:
        """Return the next scheduled sync of this node; None while there is none."""
        document = self._config.known
        if self._monitor.own.state is not State.STANDBY or not document.sync.enabled or not self._runner.is_ready:
            return None
        return self._next(document, self._clock.now())

    async def look(self) -> None:
        """Start a sync if one is due, or record why it is left out; raises PostgresError and PeerError."""
        if not self._runner.is_ready:
            return
        now = self._clock.now()
        document = (await self._config.read(now)).document
        if self._monitor.own.state is not State.STANDBY:
            return
        if not self._has_cleared and self._runner.running is None:
            await self._runner.clear_orphans()
            self._has_cleared = True
        if not document.sync.enabled:
            return
        due = self._next(document, now)
        if due.at > now:  # never early: the point would still lie ahead, and have a second run
            return
        running = self._runner.running
        if running is not None:
            await self._leave_out(SyncResult.SKIPPED_OVERLAP, self._overlap(running), due.at, about=running.record.id)
        elif document.failover.maintenance:
            await self._leave_out(SyncResult.SKIPPED_MAINTENANCE, _IN_MAINTENANCE, due.at)
        else:
            await self._start(due.at)

    async def _start(self, due_at: datetime) -> None:
        try:
            await self._runner.start(Trigger.SCHEDULE)
        except SyncRunning:
            return  # somebody was faster by hand; the next look finds it running
        except ClockSkew as error:
            failure = Failure(error.code, error.detail, error.hint)
            await self._leave_out(SyncResult.HELD_CLOCK_SKEW, failure, due_at)
        else:
            self._told = None

    async def _leave_out(self, result: SyncResult, failure: Failure, due_at: datetime, about: str = "") -> None:
        """Record it; of several in a row for one reason only the first is told."""
        own, now = self._monitor.own, self._clock.now()
        epoch = None if own.term is None else own.term.epoch
        record = await self._history.add_left_out(result, failure, self._monitor.owner, epoch, now)
        self._runner.memory.note_handled(now)
        if self._told != (result, about):
            self._told = (result, about)
            self._recorder.add_event(event_of_left_out(record, due_at))

    def _overlap(self, running: RunningSync) -> Failure:
        seconds = self._clock.monotonic() - running.started_monotonic
        return Failure(
            "sync_running",
            f"sync {running.record.id} has been running for {duration(seconds)}",
            "The next run keeps its time. If this happens often, set a longer sync.run_every with PATCH /v1/config.",
        )

    def _next(self, document: PairDocument, now: datetime) -> NextRun:
        """Return the next run; while nothing may be begun, only points of the grid are due."""
        memory = self._runner.memory
        is_held = self._told is not None and self._told[0] is SyncResult.HELD_CLOCK_SKEW
        may_begin = self._runner.running is None and not document.failover.maintenance and not is_held
        last, term = memory.last_run() if may_begin else None, self._monitor.own.term
        is_other_term = term is not None and memory.begun_epoch not in (None, term.epoch)
        schedule, is_term_new = document.sync.schedule, may_begin and is_other_term
        return next_run(schedule, memory.handled_at, last, now, is_term_new=is_term_new)

    def _pause_seconds(self) -> float:
        due = self.next()
        if due is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(SHORTEST_SECONDS, (due.at - self._clock.now()).total_seconds()))
