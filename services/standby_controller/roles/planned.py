"""Begins a switchover when it may be begun: this node is a standby, the other one serves, the gate does not refuse."""

from __future__ import annotations

from collections.abc import Callable

from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.gate import refusals_by_hand
from services.standby_controller.roles.agents import OwnAgent
from services.standby_controller.roles.changes import Change, ChangeKind, RoleChanges
from services.standby_controller.roles.decision import describe_decision
from services.standby_controller.roles.switchover import Switchover
from services.standby_controller.roles.takeover import Judge, Peers
from services.standby_controller.source import check_standby, find_source
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.errors import GateRefused
from shared.settings import Mode


class PlannedSwaps:
    """Switchovers by an administrator's word."""

    def __init__(
        self,
        judge: Judge,
        own: OwnAgent,
        peers: Peers,
        monitor: Monitor,
        runner: SyncRunner,
        changes: RoleChanges,
        max_write_gap_seconds: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._judge = judge
        self._own = own
        self._peers = peers
        self._monitor = monitor
        self._runner = runner
        self._changes = changes
        self._max_write_gap_seconds = max_write_gap_seconds
        self._clock = clock

    async def begin(self, requested_by: str, reason: str) -> Change:
        """Begin a switchover; raises NotStandby, NotActive, PeerUnreachable, GateRefused, TransitionRunning.

        Raises PostgresError when the history of syncs cannot be read.
        """
        await self._runner.wait_ready()
        check_standby(self._monitor.own)
        source = find_source(self._monitor.nodes)
        judgement = self._judge.judge()
        refusals = refusals_by_hand(judgement.checks)
        if refusals:
            raise GateRefused(refusals)
        swap = Switchover(
            own=self._own,
            peer=self._peers.peer(source.node_id),
            runner=self._runner,
            clock=self._clock,
            max_write_gap_seconds=self._max_write_gap_seconds(),
            is_failback=self._monitor.own.mode is Mode.PRIMARY,
        )
        return self._changes.begin(
            ChangeKind.SWITCHOVER,
            requested_by,
            reason,
            lambda change: swap.run(change, source),
            decision=describe_decision(judgement.diagnosis, judgement.checks, None, self._clock.monotonic()),
        )
