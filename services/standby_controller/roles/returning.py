"""The returned node: follows the new active one again, at once where it has nothing of its own, else when told to.

What it alone had is saved before it is overwritten; that, and how few rows travel, is the matter of `apply`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.guards import Guard
from services.standby_controller.roles.agents import OwnAgent
from services.standby_controller.roles.changes import Change, ChangeKind, RoleChanges
from services.standby_controller.source import Source, find_source
from services.standby_controller.store.records import SyncResult
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.errors import NotStandby, TransitionFailed
from shared.node.model import State
from shared.node.reasons import Reason

log = logging.getLogger(__name__)

_ALWAYS_ASK: Final = (Reason.BOTH_ACTIVE, Reason.BY_ADMIN, Reason.STATE_LOST, Reason.STATE_ROLLED_BACK)


class Return:
    """Brings a fenced node back as a standby; `is_clean` says whether it has nothing that the source lacks."""

    def __init__(
        self,
        own: OwnAgent,
        monitor: Monitor,
        runner: SyncRunner,
        changes: RoleChanges,
        policy: Callable[[], str],
        is_clean: Callable[[Source], Awaitable[bool]],
        clock: Clock,
    ) -> None:
        self._own = own
        self._monitor = monitor
        self._runner = runner
        self._changes = changes
        self._policy = policy
        self._is_clean = is_clean
        self._clock = clock
        self._judged: str | None = None

    async def look(self) -> None:
        """Return by itself where the policy lets it; raises PeerError, PostgresError."""
        own = self._monitor.own
        if own.state is not State.FENCED or self._changes.running is not None or not self._runner.is_ready:
            self._judged = None if own.state is not State.FENCED else self._judged
            return
        policy, present = self._policy(), own.present
        reason = present.reason_code if present is not None else None
        if policy == "ask" or reason in _ALWAYS_ASK:
            return
        source = find_source(self._monitor.nodes)
        judged = f"{source.node_id} {source.term.epoch} {policy}"
        if self._judged == judged:
            return
        if policy == "when_clean" and not await self._is_clean(source):
            self._judged = judged
            return
        self._judged = judged
        self._begin("the controller", "it has nothing that the active node lacks", source)

    async def by_hand(self, requested_by: str, reason: str, accepted: Sequence[Guard] = ()) -> Change:
        """Return because an administrator says so, past the guards that are accepted.

        Raises NotStandby, NotActive, TransitionRunning, PostgresError.
        """
        await self._runner.wait_ready()
        if self._monitor.own.state is not State.FENCED:
            raise NotStandby(f"only a fenced node returns; this one is {self._monitor.own.state}")
        return self._begin(requested_by, reason, find_source(self._monitor.nodes), accepted)

    def _begin(self, requested_by: str, why: str, source: Source, accepted: Sequence[Guard] = ()) -> Change:
        return self._changes.begin(
            ChangeKind.RESYNC, requested_by, why, lambda change: self._run(change, source, accepted)
        )

    async def _run(self, change: Change, source: Source, accepted: Sequence[Guard]) -> None:
        change.enter("syncing", self._clock.monotonic())
        record = await self._runner.run_from(source, f"return {change.id}", accepted)
        if record.result is not SyncResult.SUCCEEDED:
            detail = record.failure.detail if record.failure else str(record.result)
            raise TransitionFailed(f"sync {record.id}: {detail}")
        await self._own.follow(source.term.epoch)
