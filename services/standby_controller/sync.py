"""One sync run over all components: the lock, the work, how it ended. How data is copied is not here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from services.standby_controller.facts import NodeFacts
from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.clock_offset import ClockLimits, ClockOffset, holds_syncs
from services.standby_controller.policy.clock_words import describe_offset
from services.standby_controller.power import PowerGuard
from services.standby_controller.progress import Progress
from services.standby_controller.recorder import Recorder
from services.standby_controller.running_sync import CopyComponent, RunningSync
from services.standby_controller.source import Source, check_standby, find_source
from services.standby_controller.store.history import History
from services.standby_controller.store.records import (
    ComponentRecord,
    Failure,
    SyncRecord,
    SyncRequest,
    SyncResult,
    Trigger,
    record_of_outcome,
)
from services.standby_controller.sync_events import event_of_sync
from services.standby_controller.sync_memory import SyncMemory
from shared.clock import Clock
from shared.errors import (
    ClockSkew,
    PeerError,
    PeerUnreachable,
    PostgresError,
    RoleError,
    SyncNotRunning,
    SyncRunning,
    WarmstandbyError,
)
from shared.log import fields_of
from shared.node.model import Envelope, State
from shared.settings import ComponentSettings

log = logging.getLogger(__name__)

RECORD_AGAIN_SECONDS: Final = 1.0
STOPPING_SECONDS: Final = 3.0
READY_SECONDS: Final = 5.0
_STOPPED: Final = Failure("controller_stopped", "the controller was stopped", "The next sync goes on by itself.")
_CANCELLED: Final = "cancelled"
_CANCELLED_HINT: Final = "Nothing is half done on the standby. Start it again with POST /v1/syncs."


class SyncRunner:
    """Runs one sync at a time; `memory` is how the last ones ended."""

    def __init__(
        self,
        *,
        components: Sequence[ComponentSettings],
        copy_component: CopyComponent,
        clear_orphans: Callable[[], Awaitable[None]],
        history: History,
        recorder: Recorder,
        monitor: Monitor,
        clock_limits: Callable[[], ClockLimits],
        clock: Clock,
    ) -> None:
        self._components = tuple(components)
        self._copy_component = copy_component
        self._clear_orphans = clear_orphans
        self._history = history
        self._recorder = recorder
        self._monitor = monitor
        self._clock_limits = clock_limits
        self._clock = clock
        self._starting = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()
        self._running: RunningSync | None = None
        self._power = PowerGuard()
        self.memory: Final = SyncMemory(clock)

    @property
    def is_ready(self) -> bool:
        """Say whether the history was read, so that syncs can start."""
        return self._ready.is_set()

    @property
    def is_power_kept(self) -> bool | None:
        """Say whether this server waited to shut down while the last sync ran; None where it cannot be asked."""
        return self._power.is_kept

    @property
    def running(self) -> RunningSync | None:
        """Return the sync at work."""
        return self._running

    def heard_from(self, node_id: str) -> float | None:
        """Return when a node last sent anything of a running sync (monotonic)."""
        running = self._running
        return running.progress.heard_at if running is not None and running.record.source == node_id else None

    async def run(self) -> None:
        """Own the running sync until cancelled; what a dead controller left running is recorded as interrupted."""
        async with asyncio.TaskGroup() as group:
            await self._recall()
            self._group = group
            self._ready.set()
            await asyncio.Event().wait()

    async def run_from(self, source: Source, requested_by: str) -> SyncRecord:
        """Run a sync from a node that the caller knows to hold still or to be right, and return how it ended.

        Raises SyncRunning, PeerUnreachable (the own agent), PostgresError.
        """
        async with self._starting:
            await self._require_idle()
            await self._monitor.look(self._monitor.own.node_id)
            if self._monitor.own.present is None:
                raise PeerUnreachable("this node's own agent does not answer")
            offset = self._offset_of(source)
            request = SyncRequest(Trigger.REQUEST, requested_by, None, source.node_id, source.term.epoch, offset)
            record, _ = await self._begin(request)
            running = self._set_off(record, _envelope(self._monitor.own), source, None)
        return await asyncio.shield(running.ended)

    async def start(
        self, trigger: Trigger, requested_by: str | None = None, idempotency_key: str | None = None
    ) -> tuple[SyncRecord, bool]:
        """Start a sync and say whether it is new; the same idempotency key gives the same sync again.

        Raises SyncRunning, NotStandby, PostgresError; and, on request, NotActive or PeerError where there is nobody to
        copy from. On schedule that is recorded as a failed sync. ClockSkew: syncs are held, whatever starts them.
        """
        async with self._starting:
            if idempotency_key is not None:
                known = await self._history.find_idempotent(idempotency_key)
                if known is not None:
                    return known, False
            await self._require_idle()
            await self._monitor.look(self._monitor.own.node_id)
            check_standby(self._monitor.own)
            envelope = _envelope(self._monitor.own)
            source, problem = await self._find_source()
            if problem is not None and trigger is Trigger.REQUEST:
                raise problem
            self._require_clocks(source)
            request = SyncRequest(
                trigger,
                requested_by,
                idempotency_key,
                None if source is None else source.node_id,
                None if source is None else source.term.epoch,
                self._offset_of(source),
            )
            record, is_new = await self._begin(request)
            if is_new:
                self._set_off(record, envelope, source, problem)
            return record, is_new

    async def cancel(self, sync_id: str, cancelled_by: str) -> RunningSync:
        """Cancel a running sync; again changes nothing. Raises NotFound, SyncNotRunning."""
        running = self._running
        if running is None or running.record.id != sync_id:
            record = await self._history.read(sync_id)
            raise SyncNotRunning(f"sync {sync_id} is {record.result}")
        if running.cancelled_by is None:
            running.cancelled_by = cancelled_by
            if running.work is not None:
                running.work.cancel()
        return running

    async def clear_orphans(self) -> None:
        """Remove what a killed seed left behind, if that can be done now; each sync does so too."""
        if self._running is not None:
            return
        try:
            await self._clear_orphans()
        except PostgresError as error:
            log.warning("orphans of a killed seed not removed", extra=fields_of(error))

    async def wait_ready(self) -> None:
        """Wait until the history was read, which a start begins with; raises PostgresError when that takes long."""
        try:
            await asyncio.wait_for(self._ready.wait(), READY_SECONDS)
        except TimeoutError:
            raise PostgresError("the history of syncs was not read yet", retry_after_seconds=1.0) from None

    async def _require_idle(self) -> None:
        if self._running is not None:
            raise SyncRunning(f"sync {self._running.record.id} is running")
        await self.wait_ready()

    def _require_clocks(self, source: Source | None) -> None:
        offset, limits = self._offset_of(source), self._clock_limits()
        if source is not None and offset is not None and holds_syncs(offset, limits):
            raise ClockSkew(f"{describe_offset(source.node_id, offset)}; allowed are {limits.limit_seconds:g} s")

    def _offset_of(self, source: Source | None) -> ClockOffset | None:
        return next((peer.offset for peer in self._monitor.peers if source and peer.node_id == source.node_id), None)

    def _set_off(
        self, record: SyncRecord, envelope: Envelope, source: Source | None, problem: WarmstandbyError | None
    ) -> RunningSync:
        assert self._group is not None
        running = self._running = RunningSync(record, Progress(self._clock), self._clock.monotonic())
        self.memory.note_handled(record.started_at)
        self._group.create_task(self._see_through(running, envelope, source, problem), name=f"sync {record.id}")
        return running

    async def _recall(self) -> None:
        """Read how the last syncs ended, as soon as the database answers."""
        while True:
            try:
                for orphan in await self._history.interrupt_orphans(self._clock.now()):
                    self._tell(orphan)
                await self.memory.recall(self._history, [item.name for item in self._components])
            except PostgresError:
                await asyncio.sleep(RECORD_AGAIN_SECONDS)  # the keeper of the database has logged it
            else:
                return

    async def _find_source(self) -> tuple[Source | None, WarmstandbyError | None]:
        try:
            return find_source(self._monitor.nodes), None
        except WarmstandbyError:
            await asyncio.gather(*(self._monitor.look(peer.node_id) for peer in self._monitor.peers))
        try:
            return find_source(self._monitor.nodes), None
        except WarmstandbyError as error:
            return None, error

    async def _begin(self, request: SyncRequest) -> tuple[SyncRecord, bool]:
        try:
            return await self._history.begin(request, self._clock.now())
        except SyncRunning:
            # None runs in this process, and no other controller of this node can listen: the row has no run.
            for orphan in await self._history.interrupt_orphans(self._clock.now()):
                self._tell(orphan)
            return await self._history.begin(request, self._clock.now())

    async def _see_through(
        self, running: RunningSync, envelope: Envelope, source: Source | None, problem: WarmstandbyError | None
    ) -> None:
        """Do the work and record how it ended, whatever happens."""
        assert self._group is not None
        work = self._group.create_task(
            self._work(running, envelope, source, problem), name=f"work of sync {running.record.id}"
        )
        running.work = work
        if running.cancelled_by is not None:
            work.cancel()
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            if not work.cancelling():  # a second time would break off its cleaning up
                work.cancel()
            await asyncio.wait([work])
            try:
                async with asyncio.timeout(STOPPING_SECONDS):
                    await self._end(running, SyncResult.INTERRUPTED, _STOPPED)
            except TimeoutError:
                log.warning("end of sync not recorded, the next start will", extra={"sync": running.record.id})
            raise
        if work.cancelled():
            detail = f"{running.cancelled_by or 'the controller'} cancelled the sync"
            await self._end(running, SyncResult.CANCELLED, Failure(_CANCELLED, detail, _CANCELLED_HINT))
        else:
            failure = work.result()
            result = SyncResult.SUCCEEDED if failure is None else await self._result_of_failure(running)
            await self._end(running, result, failure)

    async def _result_of_failure(self, running: RunningSync) -> SyncResult:
        """Say whether a sync failed, or what it was for is over: this node was promoted, or follows another term."""
        await self._monitor.look(self._monitor.own.node_id)
        own = self._monitor.own
        is_other_term = own.term is not None and own.term.epoch != running.record.term_epoch
        is_over = own.state in (State.PROMOTING, State.ACTIVE) or (is_other_term and running.record.source is not None)
        return SyncResult.SUPERSEDED if is_over else SyncResult.FAILED

    async def _work(
        self, running: RunningSync, envelope: Envelope, source: Source | None, problem: WarmstandbyError | None
    ) -> Failure | None:
        """Copy one component after the other; return the first failure."""
        if source is None:
            assert problem is not None
            return _failure(problem)
        first: Failure | None = None
        async with self._power.hold(f"sync {running.record.id} runs"):
            try:
                await self._clear_orphans()
            except WarmstandbyError as error:
                return _failure(error)
            for component in self._components:
                failure, may_go_on = await self._work_on(running, component, source, envelope)
                first = first or failure
                if not may_go_on:
                    break
        return first

    async def _work_on(
        self, running: RunningSync, component: ComponentSettings, source: Source, envelope: Envelope
    ) -> tuple[Failure | None, bool]:
        """Copy one component; return its failure and whether the next one is worth trying."""
        started_at, began = self._clock.now(), self._clock.monotonic()
        running.progress.start_component(component.name)
        try:
            outcome = await self._copy_component(component, source, envelope, running.progress)
        except asyncio.CancelledError:
            cancelled = Failure(_CANCELLED, "the sync was cancelled", _CANCELLED_HINT)
            running.done.append(self._broken_off(running, component, started_at, began, cancelled))
            raise
        except WarmstandbyError as error:
            failure, may_go_on = _failure(error), not isinstance(error, PeerError | RoleError)
        except Exception as error:
            log.exception("sync hit a bug", extra={"sync": running.record.id, "component": component.name})
            failure, may_go_on = _failure(WarmstandbyError(f"{type(error).__name__}: {error}")), True
        else:
            record = record_of_outcome(
                outcome,
                started_at,
                self._clock.now(),
                source=source.node_id,
                term_epoch=source.term.epoch,
                duration_seconds=self._clock.monotonic() - began,
            )
            running.done.append(record)
            self.memory.note_success(record)
            await self._record(lambda: self._history.add_component(running.record, record))
            return None, True
        record = self._broken_off(running, component, started_at, began, failure)
        running.done.append(record)
        await self._record(lambda: self._history.add_component(running.record, record))
        return failure, may_go_on

    def _broken_off(
        self, running: RunningSync, component: ComponentSettings, started_at: datetime, began: float, failure: Failure
    ) -> ComponentRecord:
        return ComponentRecord(
            component=component.name,
            result=SyncResult.CANCELLED if failure.code == _CANCELLED else SyncResult.FAILED,
            duration_seconds=self._clock.monotonic() - began,
            started_at=started_at,
            ended_at=max(started_at, self._clock.now()),
            kind=running.progress.kind,
            rows=running.progress.rows_done,
            bytes=running.progress.bytes_done,
            rows_per_table=dict(running.progress.rows_per_table),
            seconds_per_phase=running.progress.seconds_per_phase(),
            failure=failure,
        )

    async def _end(self, running: RunningSync, result: SyncResult, failure: Failure | None) -> None:
        ended_at = max(self._clock.now(), running.record.started_at)
        seconds = self._clock.monotonic() - running.started_monotonic
        record = replace(
            running.record,
            result=result,
            failure=failure,
            ended_at=ended_at,
            duration_seconds=seconds,
            components=tuple(running.done),
        )

        async def write() -> None:
            for item in running.done:  # those recorded already stay as they are
                await self._history.add_component(record, item)
            await self._history.end(record, result, failure, ended_at, seconds)

        await self._record(write)
        self.memory.note_end(record)
        self._running = None
        running.ended.set_result(record)
        self._tell(record)

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write to the history, again and again while the database is away: what happened must be known."""
        has_failed = False
        while True:
            try:
                await write()
            except PostgresError as error:
                if not has_failed:
                    log.warning("history cannot be written", extra=fields_of(error))
                has_failed = True
                await asyncio.sleep(RECORD_AGAIN_SECONDS)
            else:
                return

    def _tell(self, record: SyncRecord) -> None:
        self._recorder.add_event(event_of_sync(record, self._clock.now()))


def _envelope(own: NodeFacts) -> Envelope:
    heartbeat = own.present
    assert heartbeat is not None, "its agent has just said that the node is standby"
    return Envelope(
        pair_id=heartbeat.pair_id, node_id=heartbeat.node_id, boot_id=heartbeat.boot_id, term=heartbeat.term
    )


def _failure(error: WarmstandbyError) -> Failure:
    return Failure(error.code, error.detail, error.hint)
