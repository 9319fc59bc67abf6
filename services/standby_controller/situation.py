"""Puts together what this controller knows into the frozen look at the pair that policy judges."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.looking_back import LookBack
from services.standby_controller.monitor import Monitor
from services.standby_controller.pace import pace_of
from services.standby_controller.pair_groups import ClockSkewPolicy, FailoverPolicy
from services.standby_controller.policy.detector import FailureKind, worst_case_detection_seconds
from services.standby_controller.policy.safety import Promise, longest_overlap_seconds
from services.standby_controller.policy.sights import ChannelSight, ComponentSight, CopySight, PeerSight, Situation
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.store.records import ComponentRecord, SyncResult
from services.standby_controller.store.verifications import Standing
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.settings import Settings


class Lookout:
    """Looks at the pair from here."""

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        runner: SyncRunner,
        config: PairConfig,
        looking_back: LookBack,
        clock: Clock,
        channels: Callable[[], tuple[ChannelSight, ...] | None] = lambda: None,
        standing: Callable[[str], Standing | None] = lambda _: None,
    ) -> None:
        """`channels` says how those that tell people do, `standing` how a component's copy was verified."""
        self._standing = standing
        self._channels = channels
        self._settings = settings
        self._monitor = monitor
        self._runner = runner
        self._config = config
        self._looking_back = looking_back
        self._copies: Callable[[], tuple[CopySight, ...]] = tuple
        self._clock = clock

    def learn_copies(self, copies: Callable[[], tuple[CopySight, ...]]) -> None:
        """Take what is known of the standbys' copies from there."""
        self._copies = copies

    def look(self) -> Situation:
        """Return the pair as it is known now; asks nobody."""
        config, last_run, last = self._config.known, self._runner.memory.last_run(), self._runner.memory.last
        failover, promise = config.failover, self.promise()
        failed = last is not None and last.result in (SyncResult.FAILED, SyncResult.INTERRUPTED)
        refused = last is not None and last.result is SyncResult.REFUSED_GUARD
        return Situation(
            own=self._sight(self._monitor.own),
            peers=tuple(self._sight(peer) for peer in self._monitor.peers),
            components=tuple(self._component(component.name) for component in self._settings.all_components),
            interval_seconds=config.sync.interval_seconds,
            is_schedule_enabled=config.sync.enabled,
            offset_warning_seconds=config.monitor.offset_warning_seconds,
            offset_limit_seconds=config.monitor.offset_limit_seconds,
            is_holding_for_skew=config.monitor.clock_skew_policy is ClockSkewPolicy.HOLD_SYNCS,
            sync_failures_in_a_row=0 if last_run is None else last_run.failures_in_a_row,
            last_sync_problem=last.failure.detail if failed and last and last.failure else None,
            last_sync_hint=last.failure.hint if failed and last and last.failure else None,
            sync_refusal=last.failure.detail if refused and last and last.failure else None,
            sync_refusal_code=last.failure.code if refused and last and last.failure else None,
            sync_refusal_hint=last.failure.hint if refused and last and last.failure else None,
            is_policy_promote=promise.is_policy_promote,
            is_armed=failover.armed,
            is_in_maintenance=failover.maintenance,
            has_referee=promise.has_referee,
            is_no_referee_acknowledged=failover.no_referee_acknowledged,
            worst_case_detection_seconds=self.worst_case_detection_seconds(),
            takeover_seconds=self._looking_back.takeover_seconds,
            copies=self._copies(),
            pace=self._looking_back.pace,
            practised_ago_seconds=self._practised_ago_seconds(),
            is_power_kept=self._runner.is_power_kept,
            verification_days=config.verification.full_every_days,
            channels=self._channels(),
        )

    def own_copy_age_seconds(self) -> float | None:
        """Return the age of this node's oldest required copy; None where one is missing."""
        successes = self._runner.memory.successes
        required = [component.name for component in self._settings.all_components if component.required]
        ages = [self.data_age_seconds(successes.get(name)) for name in required]
        known = [age for age in ages if age is not None]
        return max(known, default=0.0) if len(known) == len(ages) else None

    def _compared_ago_seconds(self, component: str) -> float | None:
        """Return how long ago a copy was compared as a whole, or else the history began; None where it is not known."""
        standing = self._standing(component)
        at = None if standing is None else standing.compared_at or self._looking_back.begun_at
        return None if at is None else max(0.0, _seconds(at, self._clock.now()))

    def _practised_ago_seconds(self) -> float | None:
        at = self._looking_back.practised_at
        return None if at is None else max(0.0, _seconds(at, self._clock.now()))

    def worst_case_detection_seconds(self) -> float:
        """Return how long it takes at most to be certain that a peer is silent, with the present settings."""
        return worst_case_detection_seconds(pace_of(self._settings, self._config.known))

    def promise(self) -> Promise:
        """Return what the pair's promise depends on."""
        settings, failover = self._settings, self._config.known.failover
        return Promise(
            is_policy_promote=failover.policy is FailoverPolicy.PROMOTE,
            overlap_seconds=longest_overlap_seconds(
                settings.agent.heartbeat_seconds, settings.controller.heartbeat_timeout_seconds
            ),
            has_references=bool(settings.controller.reference_targets),
            has_fence_peer=settings.hooks.fence_peer is not None,
            is_fence_peer_required=failover.fence_peer_required,
        )

    def data_age_seconds(self, success: ComponentRecord | None) -> float | None:
        """Return how old a copy is.

        By the monotonic clock where this process copied it. Else by the source's clock, which gave the snapshot its
        time, as it goes on since its last answer; and by this node's wall clock only where the source never answered.
        """
        if success is None or success.snapshot_at is None:
            return None
        now = self._clock.monotonic()
        if success.snapshot_monotonic is not None:
            return max(0.0, now - success.snapshot_monotonic)
        peers = sorted(self._monitor.peers, key=lambda peer: peer.node_id != success.source)
        clocks = (peer.clock_at(now) for peer in peers)
        by_source = next((clock for clock in clocks if clock is not None), self._clock.now())
        return max(0.0, _seconds(success.snapshot_at, by_source))

    def _component(self, name: str) -> ComponentSight:
        success, standing = self._runner.memory.successes.get(name), self._standing(name)
        return ComponentSight(
            name=name,
            data_age_seconds=self.data_age_seconds(success),
            unkept_count=0 if success is None else len(success.unkept),
            compared_ago_seconds=self._compared_ago_seconds(name),
            difference_count=0 if standing is None else standing.open_count,
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
            disk_free_bytes=None if present is None or present.disk is None else present.disk.free_bytes,
            disk_floor_bytes=None if present is None or present.disk is None else present.disk.floor_bytes,
            is_closed=None if present is None or present.fence is None else present.fence.is_closed,
            is_clock_synchronised=facts.is_clock_synchronised,
            kind=self._kind(facts),
            versions=None if present is None else present.versions,
            resources=None if present is None else present.resources,
            certificate_seconds_left=self._certificate_seconds_left(facts),
            components=None if present is None else frozenset(one.name for one in present.components),
        )

    def _certificate_seconds_left(self, facts: NodeFacts) -> float | None:
        ends = facts.certificate_expires_at
        return None if ends is None else _seconds(self._clock.now(), ends)

    def _kind(self, facts: NodeFacts) -> FailureKind:
        diagnosis = self._monitor.diagnosis(facts.node_id)
        return diagnosis.kind if diagnosis.is_certain else FailureKind.WELL


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()
