"""The groups of the pair's settings: schedule, history, failover, monitor, guards. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field

from services.standby_controller.policy.guards import ShrinkLimits
from services.standby_controller.policy.intervals import Every, parse_every
from services.standby_controller.policy.schedule import BEGINNING, FirstRun, Schedule
from services.standby_controller.setting_group import WHOLE, Group
from shared.replication.verification import Level

SHORTEST_INTERVAL_SECONDS: Final = 3600

StartTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")]
ZoneName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")]
RunEvery = Annotated[str, Field(pattern=r"^P[0-9A-Z]{2,40}$")]
Moment = Annotated[AwareDatetime, Field(strict=False)]


class FailoverPolicy(StrEnum):
    """What a standby does by itself when the active node fails."""

    PROMOTE = "promote"
    KEEP_IN_STANDBY = "keep_in_standby"


class ApplicationPolicy(StrEnum):
    """What an application that is down leads to."""

    ALARM = "alarm"
    TAKEOVER = "takeover"


class ClockSkewPolicy(StrEnum):
    """What follows when the clocks differ by more than the limit; a takeover is never kept from happening by it."""

    WARN = "warn"
    HOLD_SYNCS = "hold_syncs"


class ReturnPolicy(StrEnum):
    """What becomes of a node that comes back."""

    WHEN_CLEAN = "when_clean"
    ASK = "ask"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class Narrower:
    """Marks a setting that widens the right to promote: `order` has its values from the narrowest to the widest.

    Without an order the value is a number, of which the higher (`is_higher`) or the lower one is narrower. None stands
    for a default that follows from other settings and is `least` at least.
    """

    order: Sequence[Any] = ()
    is_higher: bool = True
    least: float = 0

    def of(self, one: Any, other: Any) -> Any:
        """Return the narrower of two values."""
        if self.order:
            return min(one, other, key=self.order.index)
        if one == other:
            return one
        values = [self.least if value is None else value for value in (one, other)]
        return max(values) if self.is_higher else min(values)


HIGHER_IS_NARROWER: Final = Narrower()
LOWER_IS_NARROWER: Final = Narrower(is_higher=False, least=7200)
FALSE_IS_NARROWER: Final = Narrower((False, True))
TRUE_IS_NARROWER: Final = Narrower((True, False))
PROMOTE_IS_WIDER: Final = Narrower((FailoverPolicy.KEEP_IN_STANDBY, FailoverPolicy.PROMOTE))
TAKEOVER_IS_WIDER: Final = Narrower((ApplicationPolicy.ALARM, ApplicationPolicy.TAKEOVER))


class SyncGroup(Group):
    """When syncs run."""

    enabled: bool = Field(True, description="Run syncs on the schedule; a sync on demand is always possible.")
    start_time: StartTime = Field("00:00", description="Time of day, in time_zone, of the first run.")
    time_zone: ZoneName = Field("UTC", description="Zone of start_time, as in Europe/Berlin.")
    run_every: RunEvery = Field(
        "PT1H",
        description="From one run to the next (ISO 8601), counted from the first; days are days of the calendar in "
        "time_zone, everything else elapses.",
    )
    first_run: Annotated[FirstRun, Field(strict=False)] = Field(
        FirstRun.START_TIME,
        description="Where a schedule begins that is saved with another start time, zone or interval: at the next "
        "start_time, at the next point of the grid from the last start_time, or at once and then on that grid.",
    )
    accept_short_interval: bool = Field(
        False, description=f"Allow an interval under {SHORTEST_INTERVAL_SECONDS} seconds."
    )
    accept_gap: bool = Field(
        False, description="For this change alone: the data may become older than its limit before the first run."
    )
    rebase: bool = Field(False, description="For this change alone: begin anew also where the schedule is the same.")
    anchor_at: Moment = Field(BEGINNING, description="Where the interval counts from; set by the service.")
    first_at: Moment = Field(BEGINNING, description="First run of the schedule; set by the service.")

    @property
    def every(self) -> Every:
        """Return the interval as a value."""
        return parse_every(self.run_every)

    @property
    def interval_seconds(self) -> int:
        """Return the length of the interval, with days of 24 hours."""
        return self.every.nominal_seconds

    @property
    def schedule(self) -> Schedule:
        """Return the schedule as a value."""
        start = time.fromisoformat(self.start_time)
        return Schedule(start, self.time_zone, self.every, self.anchor_at, self.first_at)

    def begun_as(self, schedule: Schedule) -> SyncGroup:
        """Return the group with where a schedule begins; what held for one change alone is over."""
        begun = {"anchor_at": schedule.anchor_at, "first_at": schedule.first_at, "accept_gap": False, "rebase": False}
        return self.model_copy(update=begun)


class HistoryGroup(Group):
    """How much history is kept."""

    sync_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = Field(
        90, description="Syncs and events older than this are forgotten."
    )
    heartbeat_days: Annotated[int, Field(ge=1, le=365), WHOLE] = Field(
        7, description="Heartbeats older than this are forgotten."
    )
    heartbeat_count: Annotated[int, Field(ge=1000, le=10_000_000), WHOLE] = Field(
        500_000, description="Heartbeats kept at most."
    )
    heartbeat_hours_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = Field(
        400, description="Sums of heartbeats by the hour, which outlive them, are forgotten when older than this."
    )
    transition_days: Annotated[int, Field(ge=1, le=36500), WHOLE] = Field(
        3650, description="Failovers, switchovers and other changes of roles older than this are forgotten."
    )
    audit_days: Annotated[int, Field(ge=1, le=36500), WHOLE] = Field(
        3650, description="Entries of the audit trail older than this are forgotten."
    )


class FailoverGroup(Group):
    """What happens when the active node fails."""

    policy: Annotated[FailoverPolicy, Field(strict=False), PROMOTE_IS_WIDER] = Field(
        FailoverPolicy.PROMOTE, description="Whether a standby takes over by itself; an administrator always can."
    )
    armed: Annotated[bool, FALSE_IS_NARROWER] = Field(
        True, description="Automatic failover is armed; PUT /v1/arming changes it."
    )
    maintenance: Annotated[bool, TRUE_IS_NARROWER] = Field(
        False, description="Nothing happens by itself; PUT /v1/maintenance changes it."
    )
    failures: Annotated[int, Field(ge=1, le=100), WHOLE, HIGHER_IS_NARROWER] = Field(
        3, description="Looks that fail in a row until a peer counts as lost."
    )
    recheck_seconds: Annotated[float, HIGHER_IS_NARROWER] = Field(
        2.0, gt=0, le=300, description="Pause after a failed look; never longer than [controller] heartbeat_seconds."
    )
    agent_down_seconds: Annotated[float, HIGHER_IS_NARROWER] = Field(
        60.0,
        ge=0,
        le=86400,
        description="Where only the agent is down, its own controller closes that node for a takeover after this.",
    )
    application_down: Annotated[ApplicationPolicy, Field(strict=False), TAKEOVER_IS_WIDER] = Field(
        ApplicationPolicy.ALARM, description="What follows when the application is down while its node answers."
    )
    cooldown_seconds: Annotated[float, HIGHER_IS_NARROWER] = Field(
        600.0, ge=0, le=31 * 86400, description="Time between two automatic failovers at least."
    )
    data_age_limit_seconds: Annotated[Annotated[int, Field(ge=1, le=366 * 86400), WHOLE] | None, LOWER_IS_NARROWER] = (
        Field(None, description="A copy older than this is not promoted; by default two intervals, at least 7200.")
    )
    max_write_gap_seconds: float = Field(
        30.0, gt=0, le=3600, description="A switchover begins its pause of writing only if it is estimated to fit here."
    )
    sequence_headroom: Annotated[int, Field(ge=0, le=10**9), WHOLE] = Field(
        10_000, description="An unplanned promotion moves sequences on by this, for rows that are rescued later."
    )
    resync_returned_node: Annotated[ReturnPolicy, Field(strict=False)] = Field(
        ReturnPolicy.WHEN_CLEAN,
        description="Whether a node that comes back is synced without asking; clean is one with nothing of its own.",
    )
    fence_peer_required: Annotated[bool, TRUE_IS_NARROWER] = Field(
        False, description="No takeover without a successful hook fence_peer, which switches the other server off."
    )
    no_referee_acknowledged: bool = Field(
        False, description="It is known and accepted that without a referee both nodes may serve for a while."
    )


class RepairPolicy(StrEnum):
    """What follows when a copy differs from its source."""

    ASK = "ask"
    AUTOMATIC = "automatic"


class VerificationGroup(Group):
    """When copies are compared with their source, row by row."""

    after_sync: Annotated[Level, Field(strict=False)] = Field(
        Level.NONE,
        description="What each sync compares of the tables that it brought something of: counts of rows, or all rows "
        "(changed); full compares every table. By default nothing: each of them reads those tables whole on the active "
        "node, which syncs are there to spare it.",
    )
    repair: Annotated[RepairPolicy, Field(strict=False)] = Field(
        RepairPolicy.ASK,
        description="Whether rows that differ are brought again at once; else POST /v1/verifications/{id}/repair does.",
    )
    full_every_days: Annotated[int, Field(ge=0, le=366), WHOLE] = Field(
        7, description="Every table is compared in the background once in so many days; 0 for never."
    )
    background_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Share of the time that the comparison in the background takes: at 0.25 it works for a minute, "
        "then pauses for three, in which it holds nothing on the active node.",
    )


class MonitorGroup(Group):
    """What is watched besides."""

    offset_warning_seconds: float = Field(
        1.0, gt=0, le=3600, description="Clock offset above which a warning is shown."
    )
    offset_limit_seconds: float = Field(
        10.0, gt=0, le=86400, description="Clock offset above which it is critical; not under offset_warning_seconds."
    )
    clock_skew_policy: Annotated[ClockSkewPolicy, Field(strict=False)] = Field(
        ClockSkewPolicy.WARN, description="Whether syncs are held while the offset is over offset_limit_seconds."
    )


class GuardsGroup(Group):
    """What of a source is not believed: a sync stops, and nothing is applied, until it is accepted for one sync."""

    max_rows_lost_share: float = Field(
        0.5, gt=0, le=1, description="Share of the copy's rows that one sync may take; 1 lets it take all but the last."
    )
    max_table_rows_lost_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The same for each table; 1, the default, asks no table alone: a queue is emptied every day.",
    )
    max_tables_lost_share: float = Field(
        0.5, gt=0, le=1, description="Share of the copy's tables that one sync may take."
    )
    least_rows: Annotated[int, Field(ge=1, le=10**12), WHOLE] = Field(
        1000, description="A database or table with fewer rows is asked for none of these shares of rows."
    )
    max_files_lost_share: float = Field(
        0.5, gt=0, le=1, description="Share of a file set's files that one sync may take; never the last of them."
    )
    least_files: Annotated[int, Field(ge=1, le=10**12), WHOLE] = Field(
        20, description="A file set with fewer files is not asked for that share."
    )

    @property
    def limits(self) -> ShrinkLimits:
        """Return the limits as a value."""
        return ShrinkLimits(
            max_rows_lost_share=self.max_rows_lost_share,
            max_table_rows_lost_share=self.max_table_rows_lost_share,
            max_tables_lost_share=self.max_tables_lost_share,
            least_rows=self.least_rows,
            max_files_lost_share=self.max_files_lost_share,
            least_files=self.least_files,
        )
