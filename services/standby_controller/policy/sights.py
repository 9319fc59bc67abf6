"""What advice is judged from, and an advisory itself: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from services.standby_controller.policy.clock_offset import ClockLimits, ClockOffset
from services.standby_controller.policy.detector import FailureKind
from services.standby_controller.policy.sync_pace import SyncPace
from services.standby_controller.severity import Severity
from shared.node.model import Resources, State, Versions


@dataclass(frozen=True, slots=True)
class Advisory:
    """One thing to know, with what to do about it; `code` is stable, `evidence` are the figures behind it."""

    code: str
    severity: Severity
    subject: str | None
    text: str
    hint: str
    evidence: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerSight:
    """What is known of one node now."""

    node_id: str
    is_own: bool
    is_lost: bool
    state: State | None
    silent_seconds: float | None
    is_refusing: bool = False
    problem_code: str | None = None
    problem_text: str | None = None
    is_database_healthy: bool | None = None
    database_problem_text: str | None = None
    database_problem_hint: str | None = None
    broken_captures: tuple[str, ...] = ()
    offset: ClockOffset | None = None
    is_clock_synchronised: bool | None = None
    kind: FailureKind = FailureKind.WELL
    """What is certain to be wrong with a peer."""
    versions: Versions | None = None
    resources: Resources | None = None
    certificate_seconds_left: float | None = None
    """Of its agent's certificate, before it expires."""
    disk_free_bytes: int | None = None
    disk_floor_bytes: int | None = None
    is_closed: bool | None = None
    """Whether its databases are closed to applications; None where that is not known."""
    components: frozenset[str] | None = None
    """The names in its configuration; None where they are not known."""


@dataclass(frozen=True, slots=True)
class ComponentSight:
    """How old one component's copy is."""

    name: str
    data_age_seconds: float | None
    unkept_count: int = 0
    compared_ago_seconds: float | None = None
    """Since all of it was compared with its source; None where that was never done, or is not known."""
    difference_count: int = 0
    """Tables and sequences that are known to differ."""


@dataclass(frozen=True, slots=True)
class CopySight:
    """The copy on a standby as a whole; None where nothing was copied, or nothing is known."""

    node_id: str
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class ChannelSight:
    """How one channel of notifications does."""

    name: str
    is_failing: bool
    problem_text: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """The pair at one moment, as one controller sees it."""

    own: PeerSight
    peers: tuple[PeerSight, ...]
    components: tuple[ComponentSight, ...]
    interval_seconds: float
    is_schedule_enabled: bool
    offset_warning_seconds: float
    offset_limit_seconds: float = 10.0
    is_holding_for_skew: bool = False
    """Over that limit, syncs are held."""
    sync_failures_in_a_row: int = 0
    last_sync_problem: str | None = None
    last_sync_hint: str | None = None
    sync_refusal: str | None = None
    """Why a guard stopped the last sync; None where none did."""
    sync_refusal_code: str | None = None
    sync_refusal_hint: str | None = None
    is_policy_promote: bool = True
    is_armed: bool = True
    is_in_maintenance: bool = False
    has_referee: bool = True
    is_no_referee_acknowledged: bool = False
    worst_case_detection_seconds: float = 0.0
    takeover_seconds: float = 0.0
    """From the certainty that the active node is gone to serving, as far as that is known."""
    copies: tuple[CopySight, ...] = ()
    pace: SyncPace | None = None
    practised_ago_seconds: float | None = None
    is_power_kept: bool | None = None
    """Whether this server waits for a running sync before it shuts down; None where no sync has tried."""
    verification_days: int = 0
    """Every so many days a copy is compared as a whole; 0 for never."""
    channels: tuple[ChannelSight, ...] | None = None
    """The channels of notifications that are on; None where that is not known."""

    @property
    def is_standby(self) -> bool:
        """Say whether this node follows another."""
        return self.own.state is State.STANDBY

    @property
    def takes_over_by_itself(self) -> bool:
        """Say whether a standby is meant to take over without being told."""
        return self.is_policy_promote and self.is_armed and not self.is_in_maintenance

    @property
    def data_loss_seconds(self) -> float | None:
        """Return how much would be lost if the active node died now: the youngest copy counts; None where none is."""
        ages = [copy.age_seconds for copy in self.copies if copy.age_seconds is not None]
        return min(ages, default=None)

    @property
    def clock_limits(self) -> ClockLimits:
        """Return by which limits clocks are judged."""
        return ClockLimits(self.offset_warning_seconds, self.offset_limit_seconds, self.is_holding_for_skew)
