"""All that the gate judges by, in one frozen value; what is not known says so and never passes for well."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.standby_controller.policy.detector import Door
from shared.node.model import State


class ApplyRole(StrEnum):
    """Whether the role that applies syncs can still write."""

    NOT_TRIED = "not_tried"  # it is stopped when it comes to a promotion
    STOPPED = "stopped"
    STUCK = "stuck"


class HookResult(StrEnum):
    """What came of a hook that may veto."""

    NOT_CONFIGURED = "not_configured"
    WOULD_RUN = "would_run"
    PASSED = "passed"
    FAILED = "failed"


class Verification(StrEnum):
    """How the last verification of a component's copy ended."""

    NEVER = "never"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """The copy of one component on this node."""

    name: str
    is_required: bool = True
    is_there: bool | None = None
    """Whether the database is there and is what syncs made; None where it is not known."""
    synced_epoch: int | None = None
    data_age_seconds: float | None = None
    is_schema_known: bool = True
    verification: Verification = Verification.NEVER


@dataclass(frozen=True, slots=True)
class Switches:
    """What the pair's configuration and node.toml allow; `is_known` is false until they were read once."""

    is_known: bool = False
    is_policy_promote: bool = True
    may_promote_itself: bool = True
    is_armed: bool = True
    is_in_maintenance: bool = False
    is_fence_peer_required: bool = False
    cooldown_seconds: float = 600.0
    data_age_limit_seconds: float = 7200.0
    offset_warning_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What is known of this node, its copy and its surroundings; None is unknown."""

    switches: Switches = Switches()
    own_state: State | None = None
    own_reason: str | None = None
    term_epoch: int | None = None
    is_eligible: bool | None = None
    automatic_failover_age_seconds: float | None = None
    is_evidence_fresh: bool = False
    is_database_writable: bool | None = None
    disk_free_bytes: int | None = None
    disk_floor_bytes: int = 0
    apply_role: ApplyRole = ApplyRole.NOT_TRIED
    copies: tuple[CopyFacts, ...] = ()
    is_protocol_compatible: bool | None = None
    references: Door = Door.NOT_ASKED
    offset_at_least_seconds: float | None = None
    pre_promote: HookResult = HookResult.NOT_CONFIGURED
    fence_peer: HookResult = HookResult.NOT_CONFIGURED

    @property
    def required_copies(self) -> tuple[CopyFacts, ...]:
        """Return the copies without which there is no promotion."""
        return tuple(copy for copy in self.copies if copy.is_required)
