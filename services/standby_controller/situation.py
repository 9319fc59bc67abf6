"""Puts together what this controller knows into the frozen look at the pair that policy judges."""

from __future__ import annotations

from datetime import datetime

from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.advice import ComponentSight, PeerSight, Situation
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import ComponentRecord, SyncResult
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.settings import ComponentSettings


class Lookout:
    """Looks at the pair from here."""

    def __init__(
        self,
        components: tuple[ComponentSettings, ...],
        monitor: Monitor,
        runner: SyncRunner,
        config: PairConfig,
        clock: Clock,
    ) -> None:
        self._components = components
        self._monitor = monitor
        self._runner = runner
        self._config = config
        self._clock = clock

    def look(self) -> Situation:
        """Return the pair as it is known now; asks nobody."""
        config, last_run, last = self._config.known, self._runner.memory.last_run(), self._runner.memory.last
        failed = last is not None and last.result in (SyncResult.FAILED, SyncResult.INTERRUPTED)
        return Situation(
            own=self._sight(self._monitor.own),
            peers=tuple(self._sight(peer) for peer in self._monitor.peers),
            components=tuple(self._component(component.name) for component in self._components),
            interval_seconds=config.sync.interval_seconds,
            is_schedule_enabled=config.sync.enabled,
            offset_warning_seconds=config.monitor.offset_warning_seconds,
            sync_failures_in_a_row=0 if last_run is None else last_run.failures_in_a_row,
            last_sync_problem=last.failure.detail if failed and last and last.failure else None,
            last_sync_hint=last.failure.hint if failed and last and last.failure else None,
        )

    def data_age_seconds(self, success: ComponentRecord | None) -> float | None:
        """Return how old a copy is by this node's clock; the snapshot's time is by the source's."""
        if success is None or success.snapshot_at is None:
            return None
        offsets = [peer.offset for peer in self._monitor.peers if peer.offset is not None]
        correction = offsets[0].middle_seconds if offsets else 0.0
        return max(0.0, _seconds(success.snapshot_at, self._clock.now()) + correction)

    def _component(self, name: str) -> ComponentSight:
        success = self._runner.memory.successes.get(name)
        return ComponentSight(
            name=name,
            data_age_seconds=self.data_age_seconds(success),
            unkept_count=0 if success is None else len(success.unkept),
            drift_count=0 if success is None else len(success.drift),
        )

    def _sight(self, facts: NodeFacts) -> PeerSight:
        present = facts.present
        database_problem = None if present is None else present.database.problem
        return PeerSight(
            node_id=facts.node_id,
            is_own=facts.is_own,
            is_lost=facts.reach is Reach.LOST,
            is_refusing=facts.reach is Reach.REFUSED,
            state=facts.state,
            silent_seconds=facts.silent_seconds(self._clock.monotonic()),
            problem_code=facts.problem.code if facts.problem else None,
            problem_text=facts.problem.detail if facts.problem else None,
            is_database_healthy=None if present is None else present.database.is_healthy,
            database_problem_text=database_problem.text if database_problem else None,
            database_problem_hint=database_problem.hint if database_problem else None,
            broken_captures=tuple(sorted(facts.broken_captures())),
            offset=facts.offset,
        )


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()
