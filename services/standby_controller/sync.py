"""One sync run over all components: the lock, the work, how it ended. How data is copied is not here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from services.standby_controller.facts import NodeFacts
from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.clock_offset import ClockLimits, ClockOffset, holds_syncs
from services.standby_controller.policy.clock_words import describe_offset
from services.standby_controller.policy.guards import Guard
from services.standby_controller.progress import Progress
from services.standby_controller.recorder import Recorder
from services.standby_controller.running_sync import RunningSync
from services.standby_controller.source import Source, check_standby, find_source
from services.standby_controller.store.history import History
from services.standby_controller.store.records import (
    Failure,
    SyncRecord,
    SyncRequest,
    SyncResult,
    Trigger,
)
from services.standby_controller.sync_events import event_of_sync
from services.standby_controller.sync_memory import SyncMemory
from services.standby_controller.sync_work import (
    CANCELLED,
    CANCELLED_HINT,
    RECORD_AGAIN_SECONDS,
    SyncWork,
    write_until_done,
)
from services.standby_controller.verify.model import Order
from shared.clock import Clock
from shared.errors import (
    ClockSkew,
    PeerUnreachable,
    PostgresError,
    SyncNotRunning,
    SyncRunning,
    WarmstandbyError,
)
from shared.log import fields_of
from shared.node.model import Envelope, State

log = logging.getLogger(__name__)

STOPPING_SECONDS: Final = 3.0
READY_SECONDS: Final = 5.0
_STOPPED: Final = Failure("controller_stopped", "the controller was stopped", "The next sync goes on by itself.")


class SyncRunner:
    """Runs one sync at a time; `memory` is how the last ones ended."""

    def __init__(
        self,
        *,
        work: SyncWork,
        memory: SyncMemory,
        history: History,
        recorder: Recorder,
        monitor: Monitor,
        clock_limits: Callable[[], ClockLimits],
        clock: Clock,
        order_after_sync: Callable[[], Order | None] = lambda: None,
    ) -> None:
        """`order_after_sync` says what a sync compares that nobody has said it of."""
        self._order_after_sync = order_after_sync
        self._work = work
        self._history = history
        self._recorder = recorder
        self._monitor = monitor
        self._clock_limits = clock_limits
        self._clock = clock
        self._starting = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self._ready = asyncio.Event()
        self._running: RunningSync | None = None
        self.memory: Final = memory

    @property
    def is_ready(self) -> bool:
        """Say whether the history was read, so that syncs can start."""
        return self._ready.is_set()

    @property
    def is_power_kept(self) -> bool | None:
        """Say whether this server waited to shut down while the last sync ran; None where it cannot be asked."""
        return self._work.is_power_kept

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

    async def run_from(self, source: Source, requested_by: str, accepted: Sequence[Guard] = ()) -> SyncRecord:
        """Run a sync from a node that the caller knows to hold still or to be right, and return how it ended.

        Raises SyncRunning, PeerUnreachable (the own agent), PostgresError.
        """
        async with self._starting:
            await self._require_idle()
            await self._monitor.look(self._monitor.own.node_id)
            if self._monitor.own.present is None:
                raise PeerUnreachable("this node's own agent does not answer")
            offset = self._offset_of(source)
            request = SyncRequest(
                Trigger.REQUEST, requested_by, None, source.node_id, source.term.epoch, offset, tuple(accepted)
            )
            record, _ = await self._begin(request)
            running = self._set_off(record, _envelope(self._monitor.own), source, None)
        return await asyncio.shield(running.ended)

    async def start(
        self,
        trigger: Trigger,
        requested_by: str | None = None,
        idempotency_key: str | None = None,
        order: Order | None = None,
        accepted: Sequence[Guard] = (),
    ) -> tuple[SyncRecord, bool]:
        """Start a sync and say whether it is new; the same idempotency key gives the same sync again.

        `accepted` are the guards that do not stop it.

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
            if problem is not None and trigger is not Trigger.SCHEDULE:
                raise problem
            self._require_clocks(source)
            request = SyncRequest(
                trigger,
                requested_by,
                idempotency_key,
                None if source is None else source.node_id,
                None if source is None else source.term.epoch,
                self._offset_of(source),
                tuple(accepted),
            )
            record, is_new = await self._begin(request)
            if is_new:
                self._set_off(record, envelope, source, problem, order or self._order_after_sync())
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
            await self._work.clear_orphans()
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
        self,
        record: SyncRecord,
        envelope: Envelope,
        source: Source | None,
        problem: WarmstandbyError | None,
        order: Order | None = None,
    ) -> RunningSync:
        assert self._group is not None
        running = self._running = RunningSync(record, Progress(self._clock), self._clock.monotonic(), order=order)
        self.memory.note_begun(record)
        self._group.create_task(self._see_through(running, envelope, source, problem), name=f"sync {record.id}")
        return running

    async def _recall(self) -> None:
        """Read how the last syncs ended, as soon as the database answers."""
        while True:
            try:
                for orphan in await self._history.interrupt_orphans(self._clock.now()):
                    self._tell(orphan)
                await self.memory.recall(self._history, self._work.names)
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
            self._work.run(running, envelope, source, problem), name=f"work of sync {running.record.id}"
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
            await self._end(running, SyncResult.CANCELLED, Failure(CANCELLED, detail, CANCELLED_HINT))
        else:
            failure = work.result()
            result = SyncResult.SUCCEEDED if failure is None else await self._result_of_failure(running)
            await self._end(running, result, failure)

    async def _result_of_failure(self, running: RunningSync) -> SyncResult:
        """Say whether a sync failed, only guards stopped it, or its purpose is over: a promotion here, another term."""
        await self._monitor.look(self._monitor.own.node_id)
        own = self._monitor.own
        began_in = running.record.term_epoch
        is_later_term = own.term is not None and began_in is not None and own.term.epoch > began_in
        if own.state in (State.PROMOTING, State.ACTIVE) or is_later_term:
            return SyncResult.SUPERSEDED
        codes = {item.failure.code for item in running.done if item.failure is not None}
        return SyncResult.REFUSED_GUARD if codes and codes <= set(Guard) else SyncResult.FAILED

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

        await write_until_done(write)
        self.memory.note_end(record)
        self._running = None
        running.ended.set_result(record)
        self._tell(record)

    def _tell(self, record: SyncRecord) -> None:
        self._recorder.add_event(event_of_sync(record, self._clock.now()))


def _envelope(own: NodeFacts) -> Envelope:
    heartbeat = own.present
    assert heartbeat is not None, "its agent has just said that the node is standby"
    return Envelope(
        pair_id=heartbeat.pair_id, node_id=heartbeat.node_id, boot_id=heartbeat.boot_id, term=heartbeat.term
    )
