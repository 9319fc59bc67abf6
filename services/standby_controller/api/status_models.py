"""The pair's status as the API shows it."""

from __future__ import annotations

from pydantic import Field, JsonValue

from services.standby_controller.api.gate_models import CheckAnswer, DiagnosisAnswer, SwitchesAnswer
from services.standby_controller.api.role_models import ChangeAnswer
from services.standby_controller.api.sync_models import SyncAnswer
from services.standby_controller.api.wire import Answer, FailureAnswer, Instant
from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.policy.clock_drift import ClockDrift
from services.standby_controller.policy.clock_offset import ClockOffset
from services.standby_controller.policy.protection import Reason
from services.standby_controller.policy.schedule import Why
from services.standby_controller.policy.sights import Advisory
from services.standby_controller.severity import Severity
from services.standby_controller.store.records import ComponentRecord
from shared.node.model import (
    Attempt,
    CaptureStatus,
    ComponentStatus,
    DatabaseHealth,
    FenceView,
    Problem,
    Resources,
    Term,
    UnkeptTable,
    Versions,
)
from shared.replication.model import SyncKind, SyncPoint
from shared.settings import AnyComponent, ComponentSettings, Mode

NOT_AVAILABLE = "not_available"


class ReasonAnswer(Answer):
    """Why the pair is not protected."""

    code: str
    text: str

    @classmethod
    def of(cls, reason: Reason) -> ReasonAnswer:
        """Return the answer for a reason."""
        return cls(code=reason.code, text=reason.text)


class AdvisoryAnswer(Answer):
    """One thing to know, with what to do about it."""

    code: str
    severity: Severity
    subject: str | None = Field(description="The node or component it is about.")
    text: str
    hint: str
    evidence: dict[str, JsonValue] = Field(description="The figures behind it.")

    @classmethod
    def of(cls, advisory: Advisory) -> AdvisoryAnswer:
        """Return the answer for an advisory."""
        return cls(
            code=advisory.code,
            severity=advisory.severity,
            subject=advisory.subject,
            text=advisory.text,
            hint=advisory.hint,
            evidence=dict(advisory.evidence),
        )


class OffsetAnswer(Answer):
    """How far the node's clock is ahead of this one's: the truth lies between low and high."""

    low_seconds: float
    high_seconds: float
    middle_seconds: float
    error_seconds: float = Field(description="How far the truth is from the middle at most.")

    @classmethod
    def of(cls, offset: ClockOffset | None) -> OffsetAnswer | None:
        """Return the answer for an offset."""
        if offset is None:
            return None
        return cls(
            low_seconds=offset.low_seconds,
            high_seconds=offset.high_seconds,
            middle_seconds=offset.middle_seconds,
            error_seconds=offset.error_seconds,
        )


class DriftAnswer(Answer):
    """How fast the node's clock gains on this one's, in microseconds each second: the truth lies in between."""

    low_ppm: float
    high_ppm: float

    @classmethod
    def of(cls, drift: ClockDrift | None) -> DriftAnswer | None:
        """Return the answer for a drift."""
        return None if drift is None else cls(low_ppm=round(drift.low_ppm, 3), high_ppm=round(drift.high_ppm, 3))


class NodeAnswer(Answer):
    """One node as this controller sees it."""

    node_id: str
    is_this_node: bool
    mode: Mode
    site: str
    state: str = Field(description=f"The node's state, or `{NOT_AVAILABLE}`.")
    reason: str | None = Field(description="Why the node is in this state.")
    reach: Reach
    heard_at: Instant | None
    silent_seconds: float | None
    misses: int = Field(description="Heartbeats missed in a row.")
    round_trip_seconds: float | None
    clock_offset: OffsetAnswer | None
    clock_drift: DriftAnswer | None = Field(description="Null until its clock was watched for a minute.")
    is_clock_synchronised: bool | None = Field(
        description="Whether something keeps its clock right, as its kernel says; null where it does not say."
    )
    clock_error_seconds: float | None = Field(
        description="How far its clock is from the true time at most, as its kernel believes; 16 where unknown."
    )
    term: Term | None
    attempt: Attempt | None
    database: DatabaseHealth | None
    fence: FenceView | None = Field(
        description="How its databases stand to applications: those of a standby are closed, so that nobody writes."
    )
    versions: Versions | None
    resources: Resources | None
    certificate_expires_at: Instant | None = Field(
        description="Of its agent's certificate, as this controller saw it last; null without TLS."
    )
    failure: FailureAnswer | None

    @classmethod
    def of(cls, facts: NodeFacts, now_monotonic: float) -> NodeAnswer:
        """Return the answer for what is known of a node."""
        present = facts.present
        silent = facts.silent_seconds(now_monotonic)
        return cls(
            node_id=facts.node_id,
            is_this_node=facts.is_own,
            mode=facts.mode,
            site=facts.site,
            state=NOT_AVAILABLE if facts.state is None else facts.state.value,
            reason=present.reason if present else None,
            reach=facts.reach,
            heard_at=facts.answered_at,
            silent_seconds=None if silent is None else round(silent, 3),
            misses=facts.misses,
            round_trip_seconds=facts.round_trip_seconds,
            clock_offset=OffsetAnswer.of(facts.offset),
            clock_drift=DriftAnswer.of(facts.drift),
            is_clock_synchronised=facts.is_clock_synchronised,
            clock_error_seconds=present.clock.error_seconds if present else None,
            term=facts.term,
            attempt=present.attempt if present else None,
            database=present.database if present else None,
            fence=present.fence if present else None,
            versions=present.versions if present else None,
            resources=present.resources if present else None,
            certificate_expires_at=facts.certificate_expires_at,
            failure=FailureAnswer.of(facts.problem),
        )


class ComponentAnswer(Answer):
    """One component on this node."""

    name: str
    database: str | None = Field(description="Null of a file set.")
    folder: str | None = Field(description="Of a file set; null of a database.")
    data_age_seconds: float | None = Field(description="How old this node's copy is; null where it has none.")
    last_success_at: Instant | None
    last_kind: SyncKind | None
    snapshot_at: Instant | None = Field(description="The moment of the active node that the copy shows, by its clock.")
    point: SyncPoint | None = Field(description="The sync point the copy stands at.")
    position: str | None = Field(description="The position that this node's agent sees.")
    capture: CaptureStatus | None
    unkept: tuple[UnkeptTable, ...] = Field(description="What a delta cannot keep current, with the reason.")
    problem: Problem | None

    @classmethod
    def of(
        cls,
        component: AnyComponent,
        success: ComponentRecord | None,
        data_age_seconds: float | None,
        seen: ComponentStatus | None,
    ) -> ComponentAnswer:
        """Return the answer for what controller and agent know of a component."""
        unkept = success.unkept if success else ()
        return cls(
            name=component.name,
            database=component.database if isinstance(component, ComponentSettings) else None,
            folder=None if isinstance(component, ComponentSettings) else str(component.path),
            data_age_seconds=None if data_age_seconds is None else round(data_age_seconds, 3),
            last_success_at=success.ended_at if success else None,
            last_kind=success.kind if success else None,
            snapshot_at=success.snapshot_at if success else None,
            point=success.point if success else None,
            position=seen.position if seen else None,
            capture=seen.capture if seen else None,
            unkept=unkept or (seen.unkept if seen else ()),
            problem=seen.problem if seen else None,
        )


class ConfigSight(Answer):
    """Where the pair's settings and tokens stand."""

    version: str
    not_yet_on: tuple[str, ...] = Field(description="Nodes that are not known to have them.")
    not_in_effect: tuple[str, ...] = Field(description="Settings that count here when the active node has them.")


class StatusAnswer(Answer):
    """The pair at a glance."""

    protected: bool = Field(description="Would a standby take over now?")
    reasons: tuple[ReasonAnswer, ...] = Field(description="Why not.")
    summary: str = Field(description="What a loss of the active node would cost now, in one sentence.")
    at: Instant
    node: NodeAnswer
    peers: tuple[NodeAnswer, ...]
    components: tuple[ComponentAnswer, ...]
    sync_in_progress: SyncAnswer | None
    last_sync: SyncAnswer | None
    next_sync_at: Instant | None = Field(description="When the next scheduled sync starts; null while none will.")
    next_sync_why: Why | None = Field(description="Why it is then.")
    role_change: ChangeAnswer | None = Field(description="The change of roles on its way here, else the last one.")
    configuration: ConfigSight
    data_loss_seconds: float | None = Field(
        description="How much would be lost if the active node died now; null where no copy is known."
    )
    takeover_seconds: float = Field(
        description="Until a standby would serve then, at most: the detection, and the takeover as it went last."
    )
    advisories: tuple[AdvisoryAnswer, ...]
    rescue_count: int = Field(description="Rescues kept on this node, until an administrator discards them.")
    failover: SwitchesAnswer
    diagnosis: DiagnosisAnswer
    gate: tuple[CheckAnswer, ...] = Field(description="Every check of a takeover by this node, judged now.")
    worst_case_detection_seconds: float = Field(
        description="Until a death of the other node is certain, at most, with the present settings."
    )
    safety: str = Field(description="What is promised with the present settings, in words.")
