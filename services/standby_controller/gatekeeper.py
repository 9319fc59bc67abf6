"""Judges all the time: what is wrong with the active node, may this one take over, is the pair protected.

It gathers what is known into the frozen values that `policy/` judges; it asks nobody and does nothing but tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from services.standby_controller.arming import Arming
from services.standby_controller.doors import Doors
from services.standby_controller.facts import NodeFacts, Reach, highest_term
from services.standby_controller.monitor import Monitor
from services.standby_controller.pair_groups import ApplicationPolicy, FailoverGroup, FailoverPolicy
from services.standby_controller.peer_views import PeerViews
from services.standby_controller.policy.advice import data_age_limit_seconds
from services.standby_controller.policy.detector import Diagnosis, FailureKind, Look, Way, way_of
from services.standby_controller.policy.gate import Check, judge_gate, refusals_automatic
from services.standby_controller.policy.gate_facts import (
    ApplyRole,
    CopyFacts,
    GateFacts,
    HookResult,
    Switches,
    Verification,
)
from services.standby_controller.policy.protection import PeerWord, Reason, reasons_not_protected
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.situation import Lookout
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.pair_config import PairConfig
from services.standby_controller.sync_memory import SyncMemory
from shared.clock import Clock
from shared.errors import ProtocolMismatch, SchemaChanged
from shared.errors.base import Refusal
from shared.lifecycle import Sibling, run_every
from shared.node.model import State
from shared.settings import AnyComponent, Promotion, Settings

LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is found at one moment; times are monotonic seconds of this process."""

    at_seconds: float
    facts: GateFacts
    checks: tuple[Check, ...]
    reasons: tuple[Reason, ...]
    """Why no standby would take over now."""
    peer_id: str | None = None
    """The node that owns the term, if that is another one."""
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis(FailureKind.UNKNOWN))
    way: Way = Way.NONE
    """How it would be taken over from now; NONE while that is not due."""

    @property
    def is_protected(self) -> bool:
        """Say whether a standby would take over now."""
        return not self.reasons

    @property
    def kind(self) -> FailureKind:
        """Return what is wrong with the node that owns the term."""
        return self.diagnosis.kind

    @property
    def evidence(self) -> tuple[Look, ...]:
        """Return the looks that say so."""
        return self.diagnosis.evidence

    @property
    def refusals_automatic(self) -> tuple[Refusal, ...]:
        """Return what keeps this node from promoting itself."""
        return refusals_automatic(self.checks)

    @property
    def expected_epoch(self) -> int | None:
        """Return the epoch of the term that this judgement is about."""
        return self.facts.term_epoch

    @property
    def data_age_seconds(self) -> float | None:
        """Return the age of the oldest copy that counts."""
        ages = [copy.data_age_seconds for copy in self.facts.required_copies if copy.data_age_seconds is not None]
        return max(ages, default=None)


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What only an attempt, or a verification, brings to light; the defaults are what is known before."""

    apply_role: ApplyRole = ApplyRole.NOT_TRIED
    pre_promote: HookResult = HookResult.NOT_CONFIGURED
    fence_peer: HookResult = HookResult.NOT_CONFIGURED
    verifications: tuple[tuple[str, Verification], ...] = ()

    @classmethod
    def before_any(cls, settings: Settings) -> AttemptFacts:
        """Return what is known before an attempt: which hooks would run."""
        hooks = settings.hooks
        return cls(pre_promote=_would_run(hooks.pre_promote), fence_peer=_would_run(hooks.fence_peer))


class Gatekeeper:
    """Judges on demand, every second and after each look; `judged` is set after each of its own judgements."""

    def __init__(
        self,
        settings: Settings,
        *,
        monitor: Monitor,
        lookout: Lookout,
        memory: SyncMemory,
        config: PairConfig,
        views: PeerViews,
        doors: Doors,
        arming: Arming,
        recorder: Recorder,
        fact_limit_seconds: float,
        clock: Clock,
        verdict: Callable[[str], Verification] = lambda _: Verification.NEVER,
    ) -> None:
        """`verdict` says of a component how its copy was verified."""
        self._verdict = verdict
        self._settings = settings
        self._monitor = monitor
        self._lookout = lookout
        self._memory = memory
        self._config = config
        self._views = views
        self._doors = doors
        self._arming = arming
        self._recorder = recorder
        self._fact_limit_seconds = fact_limit_seconds
        self._clock = clock
        self._switches: FailoverGroup | None = None
        self._took_over_at: float | None = None
        self._disarmed_because: str | None = None
        self._told: bool | None = None
        self._changed_at: float | None = None
        self.attempt = AttemptFacts.before_any(settings)
        self.judged: Final = asyncio.Event()

    def sibling(self) -> Sibling:
        """Return the loop that judges and tells of changes."""

        async def run() -> None:
            await run_every(LOOK_SECONDS, self.look, name="gate", clock=self._clock, wake=self._monitor.looked)

        return Sibling("gate", run)

    def note_automatic_failover(self, ago_seconds: float = 0.0) -> None:
        """Begin the cooldown: a node of the pair took over by itself; an earlier one changes nothing."""
        at = self._clock.monotonic() - ago_seconds
        self._took_over_at = at if self._took_over_at is None else max(at, self._took_over_at)

    def recall_failover(self, at: datetime | None) -> None:
        """Go on with the cooldown of an automatic failover that the history tells of."""
        if at is not None:
            self.note_automatic_failover(max(0.0, (self._clock.now() - at).total_seconds()))

    def disarm(self, why: str) -> None:
        """Stop automatic failover until an administrator arms it again: here at once, in the document soon."""
        self._disarmed_because = why

    def automatic_failover_age_seconds(self) -> float | None:
        """Return how long ago a node took over by itself, as this process saw or the history says."""
        return None if self._took_over_at is None else self._clock.monotonic() - self._took_over_at

    async def look(self) -> None:
        """Judge, and tell when the pair has become protected or unprotected for longer than one look.

        Raises PostgresError while it cannot be written that this controller disarmed automatic failover.
        """
        judgement = self.judge()
        now, is_protected = judgement.at_seconds, judgement.is_protected
        if is_protected == self._told:
            self._changed_at = None
        else:
            self._changed_at = now if self._changed_at is None else self._changed_at
            if now - self._changed_at >= self._settings.controller.heartbeat_seconds:
                self._tell(judgement)
        self.judged.set()
        if self._disarmed_because is not None:
            await self._arming.set_armed(False, "the controller", self._disarmed_because)
            self._disarmed_because = None

    def judge(self) -> Judgement:
        """Return what is found now; asks nobody."""
        now = self._clock.monotonic()
        self._note_switches(now)
        term = highest_term(self._monitor.nodes)
        peer = next((one for one in self._monitor.peers if term is not None and one.node_id == term.owner), None)
        diagnosis = Diagnosis(FailureKind.UNKNOWN) if peer is None else self._monitor.diagnosis(peer.node_id)
        facts = self._facts(peer, diagnosis, None if term is None else term.epoch, now)
        checks = judge_gate(facts)
        failover = self._config.known.failover
        return Judgement(
            at_seconds=now,
            facts=facts,
            checks=checks,
            reasons=reasons_not_protected(facts.own_state, refusals_automatic(checks), self._words()),
            peer_id=None if peer is None else peer.node_id,
            diagnosis=diagnosis,
            way=way_of(
                diagnosis,
                now,
                agent_down_seconds=failover.agent_down_seconds,
                takes_over_for_application=failover.application_down is ApplicationPolicy.TAKEOVER,
            ),
        )

    def _note_switches(self, now: float) -> None:
        """Let no evidence count from before the last change of what may happen by itself."""
        switches = self._config.known.failover if self._config.is_known else None
        if switches != self._switches:
            self._switches = switches
            self._monitor.begin_anew(now)

    def _facts(self, peer: NodeFacts | None, diagnosis: Diagnosis, term_epoch: int | None, now: float) -> GateFacts:
        own, attempt = self._monitor.own, self.attempt
        silent = own.silent_seconds(now)
        is_fresh = silent is not None and silent <= self._fact_limit_seconds
        present = own.present if is_fresh else None
        database = None if present is None else present.database
        disk = None if present is None else present.disk
        is_database_fresh = database is not None and database.checked_age_seconds <= self._fact_limit_seconds
        is_disk_fresh = disk is not None and disk.checked_age_seconds <= self._fact_limit_seconds
        facts = GateFacts(
            switches=self._switches_now(),
            own_state=None if present is None else present.state,
            own_reason=None if present is None else present.reason,
            term_epoch=term_epoch,
            is_eligible=None if present is None else present.eligible.get(own.node_id, False),
            automatic_failover_age_seconds=self._cooldown_age_seconds(),
            is_evidence_fresh=self._is_evidence_fresh(peer, diagnosis, now),
            is_database_writable=None if database is None or not is_database_fresh else database.is_healthy,
            copies=tuple(self._copy(component, attempt) for component in self._settings.all_components),
            is_protocol_compatible=_is_compatible(peer),
            references=self._doors.references(self._fact_limit_seconds),
            offset_at_least_seconds=None if peer is None or peer.offset is None else peer.offset.at_least_seconds,
            apply_role=attempt.apply_role,
            pre_promote=attempt.pre_promote,
            fence_peer=attempt.fence_peer,
        )
        if disk is None or not is_disk_fresh:
            return facts
        return replace(facts, disk_free_bytes=disk.free_bytes, disk_floor_bytes=disk.floor_bytes)

    def _switches_now(self) -> Switches:
        document = self._config.known
        failover, interval = document.failover, document.sync.interval_seconds
        return Switches(
            is_known=self._config.is_known,
            is_policy_promote=failover.policy is FailoverPolicy.PROMOTE,
            may_promote_itself=self._settings.node.promotion is Promotion.AUTOMATIC,
            is_armed=failover.armed and self._disarmed_because is None,
            is_in_maintenance=failover.maintenance,
            is_fence_peer_required=failover.fence_peer_required,
            cooldown_seconds=failover.cooldown_seconds,
            data_age_limit_seconds=failover.data_age_limit_seconds or data_age_limit_seconds(interval),
            offset_warning_seconds=document.monitor.offset_warning_seconds,
        )

    def _copy(self, component: AnyComponent, attempt: AttemptFacts) -> CopyFacts:
        success, last = self._memory.successes.get(component.name), self._memory.last
        failures = [] if last is None else [one.failure for one in last.components if one.component == component.name]
        return CopyFacts(
            name=component.name,
            is_required=component.required,
            is_there=self._is_there(component),
            synced_epoch=None if success is None else success.term_epoch,
            data_age_seconds=self._lookout.data_age_seconds(success),
            is_schema_known=not any(failure is not None and failure.code == SchemaChanged.code for failure in failures),
            verification=dict(attempt.verifications).get(component.name) or self._verdict(component.name),
        )

    def _is_there(self, component: AnyComponent) -> bool | None:
        """Say whether a standby's own agent has seen the copy."""
        present = self._monitor.own.present
        if present is None or present.state is not State.STANDBY:
            return None
        return next((one.is_copy for one in present.components if one.name == component.name), None)

    def _is_evidence_fresh(self, peer: NodeFacts | None, diagnosis: Diagnosis, now: float) -> bool:
        """Say whether what is known of the peer was seen lately: its last answer, or the looks that found none."""
        if peer is None:
            return False
        seen_at = [look.ended_seconds for look in diagnosis.evidence]
        if peer.reach is Reach.ANSWERING and peer.answered_at_monotonic is not None:
            seen_at.append(peer.answered_at_monotonic)
        return bool(seen_at) and now - max(seen_at) <= self._fact_limit_seconds

    def _cooldown_age_seconds(self) -> float | None:
        ages = [self.automatic_failover_age_seconds(), self._views.automatic_failover_age_seconds()]
        return min((age for age in ages if age is not None), default=None)

    def _words(self) -> tuple[PeerWord, ...]:
        words = []
        for peer in self._monitor.peers:
            view = self._views.present(peer.node_id)
            gaps = None if view is None else tuple(Reason(gap.code, gap.text) for gap in view.reasons)
            words.append(PeerWord(peer.node_id, peer.reach is Reach.LOST, peer.state, gaps))
        return tuple(words)

    def _tell(self, judgement: Judgement) -> None:
        is_first, self._told, self._changed_at = self._told is None, judgement.is_protected, None
        if is_first:
            return
        kind = EventKind.PROTECTED if judgement.is_protected else EventKind.UNPROTECTED
        severity = Severity.INFO if judgement.is_protected else Severity.CRITICAL
        why = " ".join(reason.text for reason in judgement.reasons)
        text = "a standby would take over now" if judgement.is_protected else f"no standby would take over now: {why}"
        data = {"reasons": [reason.code for reason in judgement.reasons]}
        self._recorder.add_event(NewEvent(self._clock.now(), kind, severity, None, text, data))


def _would_run(command: tuple[str, ...] | None) -> HookResult:
    return HookResult.NOT_CONFIGURED if command is None else HookResult.WOULD_RUN


def _is_compatible(peer: NodeFacts | None) -> bool | None:
    if peer is None:
        return None
    if peer.problem is not None and peer.problem.code == ProtocolMismatch.code:
        return False
    return None if peer.heartbeat is None else True
