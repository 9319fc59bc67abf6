"""Starts verifications: on request, in the background part by part, and after each sync as the settings say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.pair_groups import RepairPolicy
from services.standby_controller.policy.verification import (
    SLICE_SECONDS,
    due_components,
    is_time_left,
    pause_seconds,
)
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import SyncRecord, Trigger
from services.standby_controller.store.verifications import VerificationRecord, Verifications
from services.standby_controller.sync import SyncRunner
from services.standby_controller.verify.book import VerificationBook
from services.standby_controller.verify.model import DifferenceKind, Order
from shared.clock import Clock
from shared.errors import ClockSkew, NotFound, NothingToRepair, PeerError, RoleError, SyncRunning
from shared.lifecycle import Sibling, run_every
from shared.log import fields_of
from shared.node.model import State
from shared.replication.verification import Level

LOOK_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 3600.0
_log = logging.getLogger(__name__)


class VerificationDesk:
    """Verifications of this standby; one is part of a sync, and only one sync runs at a time."""

    def __init__(
        self,
        *,
        runner: SyncRunner,
        verifications: Verifications,
        book: VerificationBook,
        config: PairConfig,
        monitor: Monitor,
        components: tuple[str, ...],
        begun_at: Callable[[], datetime | None],
        next_run_at: Callable[[], datetime | None],
        clock: Clock,
    ) -> None:
        """`begun_at` says when the history began: what was never compared is due so long after.

        `next_run_at` is when the schedule starts a sync.
        """
        self._next_run_at = next_run_at
        self._runner = runner
        self.history: Final = verifications
        self._book = book
        self._config = config
        self._monitor = monitor
        self._components = components
        self._begun_at = begun_at
        self._clock = clock
        self._after: dict[str, str] = {}
        self._pending: tuple[str, ...] = ()
        self._slice: SyncRecord | None = None
        self._not_before: float | None = None

    def sibling(self) -> Sibling:
        """Return the loop of the comparison in the background."""
        return Sibling("verification", self._run)

    async def start(
        self, level: Level, component: str | None, requested_by: str, idempotency_key: str | None
    ) -> tuple[SyncRecord, bool]:
        """Start a sync that compares, and say whether it is new; raises NotFound and what SyncRunner.start does."""
        if component is not None and component not in self._components:
            raise NotFound(f"there is no component {component}")
        only = None if component is None else frozenset({component})
        order = Order(level, self._is_repairing, only)
        return await self._runner.start(Trigger.REQUEST, requested_by, idempotency_key, order)

    async def repair(
        self, verification_id: str, requested_by: str, idempotency_key: str | None
    ) -> tuple[SyncRecord, bool]:
        """Start a sync that compares what differed in a verification once more, and brings the rows that still do.

        Raises NotFound, NothingToRepair, and what SyncRunner.start does.
        """
        record = await self.history.read(verification_id)
        tables = _repairable(record)
        if not tables:
            raise NothingToRepair(f"no difference that verification {verification_id} found stands")
        order = Order(Level.FULL, is_repairing=True, components=frozenset(tables), tables=tables)
        return await self._runner.start(Trigger.REQUEST, requested_by, idempotency_key, order)

    async def look(self) -> None:
        """Go on with the comparison in the background, where one is due and nothing else is at work."""
        if not self._runner.is_ready or not self._config.is_known or self._runner.running is not None:
            return
        await self._book.recall()
        await self._settle()
        now = self._clock.monotonic()
        may_work = self._monitor.own.state is State.STANDBY and not self._config.known.failover.maintenance
        if not may_work or (self._not_before is not None and now < self._not_before):
            return
        if not is_time_left(self._clock.now(), self._next_run_at(), self._config.known.sync.interval_seconds):
            return
        if not self._pending:
            self._pending, self._after = self._due(), {}
        if self._pending:
            await self._start_slice()

    async def _run(self) -> None:
        await run_every(LOOK_SECONDS, self.look, name="verification", clock=self._clock)

    def _due(self) -> tuple[str, ...]:
        every_days = self._config.known.verification.full_every_days
        known = {name: self._book.standing(name) for name in self._components}
        compared_at = {
            name: standing.compared_at or self._begun_at()
            for name, standing in known.items()
            if standing is not None and name in self._runner.memory.successes
        }
        return due_components(self._components, compared_at, self._clock.now(), every_days)

    async def _start_slice(self) -> None:
        order = Order(
            Level.FULL,
            self._is_repairing,
            frozenset(self._pending[:1]),
            after=dict(self._after),
            budget_seconds=SLICE_SECONDS,
        )
        try:
            self._slice, _ = await self._runner.start(Trigger.VERIFICATION, order=order)
        except (SyncRunning, ClockSkew, RoleError, PeerError) as error:
            _log.info("verification waits", extra=fields_of(error))

    async def _settle(self) -> None:
        """Take what the last part came to: the next one goes on from there, after a pause."""
        if self._slice is None:
            return
        record, component = await self.history.read(self._slice.id), self._pending[0]
        self._slice = None
        found = next((one for one in record.components if one.component == component), None)
        now, share = self._clock.monotonic(), self._config.known.verification.background_share
        if found is None or found.problem is not None:
            self._pending, self._after, self._not_before = (), {}, now + _AGAIN_SECONDS
            return
        self._not_before = now + pause_seconds(found.duration_seconds, share)
        if found.next_after is None:
            self._pending = self._pending[1:]
            self._after.pop(component, None)
        else:
            self._after[component] = found.next_after

    @property
    def _is_repairing(self) -> bool:
        return self._config.known.verification.repair is RepairPolicy.AUTOMATIC


def order_after_sync(config: PairConfig) -> Order | None:
    """Return what a sync compares that nobody has said it of."""
    wanted = config.known.verification
    return (
        None if wanted.after_sync is Level.NONE else Order(wanted.after_sync, wanted.repair is RepairPolicy.AUTOMATIC)
    )


def _repairable(record: VerificationRecord) -> dict[str, frozenset[str]]:
    """Return of each component the tables that a verification found, that still differ, and can be repaired."""
    found = {
        one.component: frozenset(
            difference.difference.name
            for difference in one.differences
            if difference.is_open and difference.difference.kind is DifferenceKind.ROWS
        )
        for one in record.components
    }
    return {component: tables for component, tables in found.items() if tables}
