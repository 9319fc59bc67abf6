"""The work of one sync: component after component, each recorded as it ends. Who may run it is not asked here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from services.standby_controller.policy.guards import Guards, ShrinkLimits
from services.standby_controller.power import PowerGuard
from services.standby_controller.running_sync import CopyComponent, RunningSync
from services.standby_controller.source import Source
from services.standby_controller.store.history import History
from services.standby_controller.store.records import ComponentRecord, Failure, SyncResult, record_of_outcome
from services.standby_controller.sync_memory import SyncMemory
from services.standby_controller.verify.book import VerificationBook
from shared.clock import Clock
from shared.errors import PeerError, PostgresError, RoleError, WarmstandbyError
from shared.log import fields_of
from shared.node.model import Envelope
from shared.settings import AnyComponent

log = logging.getLogger(__name__)

RECORD_AGAIN_SECONDS: Final = 1.0
CANCELLED: Final = "cancelled"
CANCELLED_HINT: Final = "Nothing is half done on the standby. Start it again with POST /v1/syncs."


class SyncWork:
    """Copies the components of this node."""

    def __init__(
        self,
        components: Sequence[AnyComponent],
        copy_component: CopyComponent,
        clear_orphans: Callable[[], Awaitable[None]],
        history: History,
        memory: SyncMemory,
        verified: VerificationBook,
        shrink_limits: Callable[[], ShrinkLimits],
        clock: Clock,
    ) -> None:
        self._verified = verified
        self._components = tuple(components)
        self._copy_component = copy_component
        self.clear_orphans: Final = clear_orphans
        self._history = history
        self._memory = memory
        self._shrink_limits = shrink_limits
        self._clock = clock
        self._power = PowerGuard()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the components."""
        return tuple(component.name for component in self._components)

    @property
    def is_power_kept(self) -> bool | None:
        """Say whether this server waited to shut down while the last sync ran; None where it cannot be asked."""
        return self._power.is_kept

    async def run(
        self, running: RunningSync, envelope: Envelope, source: Source | None, problem: WarmstandbyError | None
    ) -> Failure | None:
        """Copy one component after the other; return the first failure."""
        if source is None:
            assert problem is not None
            return _failure(problem)
        first: Failure | None = None
        async with self._power.hold(f"sync {running.record.id} runs"):
            try:
                await self.clear_orphans()
            except WarmstandbyError as error:
                return _failure(error)
            order = running.order
            if order is not None:
                await write_until_done(lambda: self._verified.begin(running.record, order))
            for component in self._components:
                failure, may_go_on = await self._copy(running, component, source, envelope)
                first = first or failure
                if not may_go_on:
                    break
        return first

    async def _copy(
        self, running: RunningSync, component: AnyComponent, source: Source, envelope: Envelope
    ) -> tuple[Failure | None, bool]:
        """Copy one component; return its failure and whether the next one is worth trying."""
        started_at, began = self._clock.now(), self._clock.monotonic()
        running.progress.start_component(component.name)
        wish = None if running.order is None else running.order.wish_for(component.name)
        try:
            guards = Guards(self._shrink_limits(), frozenset(running.record.accepted))
            outcome = await self._copy_component(component, source, envelope, running.progress, guards, wish)
        except asyncio.CancelledError:
            cancelled = Failure(CANCELLED, "the sync was cancelled", CANCELLED_HINT)
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
            self._memory.note_success(record)
            await write_until_done(lambda: self._history.add_component(running.record, record))
            comparison = outcome.comparison
            if comparison is not None:
                await write_until_done(lambda: self._verified.note(running.record, comparison))
            return None, True
        record = self._broken_off(running, component, started_at, began, failure)
        running.done.append(record)
        await write_until_done(lambda: self._history.add_component(running.record, record))
        return failure, may_go_on

    def _broken_off(
        self, running: RunningSync, component: AnyComponent, started_at: datetime, began: float, failure: Failure
    ) -> ComponentRecord:
        return ComponentRecord(
            component=component.name,
            result=SyncResult.CANCELLED if failure.code == CANCELLED else SyncResult.FAILED,
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


async def write_until_done(write: Callable[[], Awaitable[None]]) -> None:
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


def _failure(error: WarmstandbyError) -> Failure:
    return Failure(error.code, error.detail, error.hint)
