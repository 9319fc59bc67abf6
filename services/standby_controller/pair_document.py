"""The pair's configuration as a value: what an administrator changes while it runs, and what is allowed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from services.standby_controller.channel_checks import faults_of, unmask
from services.standby_controller.pair_channels import REVEALED, NotificationsGroup, carry_channels, usable_channels
from services.standby_controller.policy.intervals import EXAMPLES, Every, format_seconds, parse_every
from services.standby_controller.policy.schedule import BEGINNING, FirstRun, Schedule
from services.standby_controller.setting_group import WHOLE as WHOLE
from services.standby_controller.setting_group import Group as Group
from shared.errors import ConfigRefused

SHORTEST_INTERVAL_SECONDS: Final = 3600
LONGEST_INTERVAL_SECONDS: Final = 31 * 86400
_WITHOUT_SECRETS: Final = ("sync", "history", "failover", "monitor")
_SHOWN_LENGTH: Final = 60
OLD_FAILURES: Final = "misses_until_lost"
OLD_INTERVAL: Final = "interval_seconds"
_CHANNELS: Final = ("notifications", "channels")


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


class PairDocument(Group):
    """All of the pair's configuration."""

    sync: SyncGroup = SyncGroup()
    history: HistoryGroup = HistoryGroup()
    failover: FailoverGroup = FailoverGroup()
    monitor: MonitorGroup = MonitorGroup()
    notifications: NotificationsGroup = NotificationsGroup()

    @model_validator(mode="before")
    @classmethod
    def take_old_keys(cls, value: Any) -> Any:
        """Read what earlier releases wrote: `monitor.misses_until_lost` and `sync.interval_seconds`."""
        return _with_new_interval(_with_new_failures(value)) if isinstance(value, dict) else value


def parse_document(value: Any) -> PairDocument:
    """Return the document of a JSON value; raises ConfigRefused, which names key, value and what is allowed."""
    try:
        document = PairDocument.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems = "; ".join(_describe(item) for item in error.errors(include_url=False))
        raise ConfigRefused(problems) from error
    sync, limit = document.sync, document.failover.data_age_limit_seconds
    if faults := tuple(_faults_of_sync(sync)):
        raise ConfigRefused("; ".join(faults))
    if sync.interval_seconds < SHORTEST_INTERVAL_SECONDS and not sync.accept_short_interval:
        raise ConfigRefused(
            f"sync.run_every: {sync.run_every} is under {SHORTEST_INTERVAL_SECONDS} seconds, which loads both servers "
            "all the time; it needs sync.accept_short_interval = true"
        )
    if limit is not None and limit < sync.interval_seconds:
        raise ConfigRefused(
            f"failover.data_age_limit_seconds: {limit} is under the interval sync.run_every = {sync.run_every}, so "
            f"that no copy would be young enough most of the time; allowed is {sync.interval_seconds} or more"
        )
    monitor = document.monitor
    if monitor.offset_limit_seconds < monitor.offset_warning_seconds:
        raise ConfigRefused(
            f"monitor.offset_limit_seconds ({monitor.offset_limit_seconds:g}) is under "
            f"monitor.offset_warning_seconds ({monitor.offset_warning_seconds:g}): the limit must not come first"
        )
    if faults := tuple(faults_of(document.notifications)):
        raise ConfigRefused("; ".join(faults))
    return document


def _faults_of_sync(sync: SyncGroup) -> Iterator[str]:
    """Yield what no schema says of a schedule."""
    try:
        ZoneInfo(sync.time_zone)
    except (KeyError, ValueError, OSError):
        yield f"sync.time_zone: {sync.time_zone!r} is no time zone; allowed are names like UTC and Europe/Berlin"
    try:
        seconds = sync.interval_seconds
    except ValueError:
        yield f"sync.run_every: {sync.run_every!r} is no interval; allowed are {EXAMPLES}"
    else:
        if seconds > LONGEST_INTERVAL_SECONDS:
            yield f"sync.run_every: {sync.run_every} is too long; allowed are up to {LONGEST_INTERVAL_SECONDS} seconds"


def _describe(fault: ErrorDetails) -> str:
    """Return key, value and what is allowed; texts are shown only of groups that hold no secret."""
    name, message = ".".join(map(str, fault["loc"])) or "document", fault["msg"].removeprefix("Value error, ")
    given, group = fault.get("input"), fault["loc"][0] if fault["loc"] else None
    is_shown = isinstance(given, bool | int | float) or (isinstance(given, str) and group in _WITHOUT_SECRETS)
    return f"{name}: {json.dumps(given)[:_SHOWN_LENGTH]}: {message}" if is_shown else f"{name}: {message}"


def _with_new_failures(value: dict[str, Any]) -> dict[str, Any]:
    monitor, failover = value.get("monitor"), value.get("failover", {})
    if not isinstance(monitor, dict) or OLD_FAILURES not in monitor or not isinstance(failover, dict):
        return value
    kept = {key: item for key, item in monitor.items() if key != OLD_FAILURES}
    return {**value, "monitor": kept, "failover": {**failover, "failures": monitor[OLD_FAILURES]}}


def _with_new_interval(value: dict[str, Any]) -> dict[str, Any]:
    sync = value.get("sync")
    if not isinstance(sync, dict) or not isinstance(sync.get(OLD_INTERVAL), int) or "run_every" in sync:
        return value
    kept = {key: item for key, item in sync.items() if key != OLD_INTERVAL}
    return {**value, "sync": {**kept, "run_every": format_seconds(sync[OLD_INTERVAL])}}


def changed_document(value: dict[str, Any], base: PairDocument) -> PairDocument:
    """Return the document of a revealed value in which a masked secret stands for what `base` holds.

    Raises ConfigRefused, also for a mask that stands for nothing.
    """
    unmasked, faults = unmask(value, revealed(base))
    if faults:
        raise ConfigRefused("; ".join(faults))
    return parse_document(unmasked)


def revealed(document: PairDocument) -> dict[str, Any]:
    """Return all values with their secrets; never for people."""
    return document.model_dump(mode="json", context=REVEALED)


def stored_form(document: PairDocument) -> dict[str, Any]:
    """Return what is stored and told to the other nodes' controllers: secrets too, and defaults left out."""
    return document.model_dump(mode="json", exclude_defaults=True, context=REVEALED)


def usable_document(value: Any) -> PairDocument:
    """Return the document of a stored value as far as this release understands it; the rest has its defaults.

    What is stored was allowed by the node that stored it, which may run another release.
    """
    value = _with_offset_limit(value)
    try:
        return parse_document(value)
    except ConfigRefused:
        groups = _with_new_interval(_with_new_failures(value)) if isinstance(value, dict) else {}
        understood: dict[str, Any] = {}
        for name, field in PairDocument.model_fields.items():
            known = getattr(field.annotation, "model_fields", {})
            values = groups.get(name)
            for key, stored in values.items() if isinstance(values, dict) else ():
                item = usable_channels(stored) if (name, key) == _CHANNELS else stored
                if key in known and _is_allowed({**understood, name: {**understood.get(name, {}), key: item}}):
                    understood.setdefault(name, {})[key] = item
        return PairDocument.model_validate_json(json.dumps(understood))


def carry_unknown(before: Any, after: dict[str, Any]) -> dict[str, Any]:
    """Return a changed document with what it held before and this release does not know: another one may."""
    carried = {name: dict(group) if isinstance(group, dict) else group for name, group in after.items()}
    for name, group in before.items() if isinstance(before, dict) else ():
        field = PairDocument.model_fields.get(name)
        if field is None:
            carried[name] = group
        elif isinstance(group, dict):
            known = getattr(field.annotation, "model_fields", {})
            unknown = {key: value for key, value in group.items() if key not in known}
            if unknown:
                carried[name] = {**carried.get(name, {}), **unknown}
            if name == _CHANNELS[0]:
                kept = carry_channels(group.get(_CHANNELS[1]), carried.get(name, {}).get(_CHANNELS[1]))
                carried |= {name: {**carried.get(name, {}), _CHANNELS[1]: kept}} if kept else {}
    return carried


def _with_offset_limit(value: Any) -> Any:
    """Earlier releases knew no limit of the offset: it is never under the warning."""
    monitor = value.get("monitor") if isinstance(value, dict) else None
    if not isinstance(monitor, dict) or "offset_limit_seconds" in monitor:
        return value
    warning, limit = monitor.get("offset_warning_seconds"), MonitorGroup().offset_limit_seconds
    if not isinstance(warning, int | float) or warning <= limit:
        return value
    return {**value, "monitor": {**monitor, "offset_limit_seconds": float(warning)}}


def _is_allowed(value: Any) -> bool:
    try:
        document = PairDocument.model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    return not any(_faults_of_sync(document.sync))


def merge_patch(target: Any, patch: Any) -> Any:
    """Return target changed by a JSON merge patch (RFC 7396); null takes a key away, so that its default returns."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
