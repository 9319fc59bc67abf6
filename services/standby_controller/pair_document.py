"""The pair's configuration as a value: what an administrator changes while it runs, and what is allowed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigRefused

SHORTEST_INTERVAL_SECONDS: Final = 3600
OLD_FAILURES: Final = "misses_until_lost"


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_as_whole)
"""An integer as JSON Schema has it: 60.0 is one, "60" and true are not. Stands after the limits of the number."""


class FailoverPolicy(StrEnum):
    """What a standby does by itself when the active node fails."""

    PROMOTE = "promote"
    KEEP_IN_STANDBY = "keep_in_standby"


class ApplicationPolicy(StrEnum):
    """What an application that is down leads to."""

    ALARM = "alarm"
    TAKEOVER = "takeover"


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


class Group(BaseModel):
    """A group of settings: frozen, strict, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SyncGroup(Group):
    """When syncs run."""

    enabled: bool = Field(True, description="Run syncs on the schedule; a sync on demand is always possible.")
    interval_seconds: Annotated[int, Field(ge=1, le=31 * 86400), WHOLE] = Field(
        SHORTEST_INTERVAL_SECONDS, description="From the start of one sync to the start of the next."
    )
    accept_short_interval: bool = Field(
        False, description=f"Allow an interval under {SHORTEST_INTERVAL_SECONDS} seconds."
    )


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
    transition_days: Annotated[int, Field(ge=1, le=36500), WHOLE] = Field(
        3650, description="Failovers, switchovers and other changes of roles older than this are forgotten."
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


class PairDocument(Group):
    """All of the pair's configuration."""

    sync: SyncGroup = SyncGroup()
    history: HistoryGroup = HistoryGroup()
    failover: FailoverGroup = FailoverGroup()
    monitor: MonitorGroup = MonitorGroup()

    @model_validator(mode="before")
    @classmethod
    def take_old_keys(cls, value: Any) -> Any:
        """Read `monitor.misses_until_lost` of earlier releases as `failover.failures`."""
        monitor = value.get("monitor") if isinstance(value, dict) else None
        if not isinstance(monitor, dict) or OLD_FAILURES not in monitor:
            return value
        failover = value.get("failover", {})
        if not isinstance(failover, dict):
            return value
        kept = {key: item for key, item in monitor.items() if key != OLD_FAILURES}
        return {**value, "monitor": kept, "failover": {**failover, "failures": monitor[OLD_FAILURES]}}


def parse_document(value: Any) -> PairDocument:
    """Return the document of a JSON value; raises ConfigRefused, which names key, value and what is allowed."""
    try:
        document = PairDocument.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise ConfigRefused(problems) from error
    if document.sync.interval_seconds < SHORTEST_INTERVAL_SECONDS and not document.sync.accept_short_interval:
        raise ConfigRefused(
            f"sync.interval_seconds: under {SHORTEST_INTERVAL_SECONDS} it needs sync.accept_short_interval = true"
        )
    return document


def usable_document(value: Any) -> PairDocument:
    """Return the document of a stored value as far as this release understands it; the rest has its defaults.

    What is stored was allowed by the node that stored it, which may run another release.
    """
    try:
        return parse_document(value)
    except ConfigRefused:
        groups = value if isinstance(value, dict) else {}
        understood: dict[str, Any] = {}
        for name, field in PairDocument.model_fields.items():
            known = getattr(field.annotation, "model_fields", {})
            values = groups.get(name)
            for key, item in values.items() if isinstance(values, dict) else ():
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
    return carried


def _is_allowed(value: Any) -> bool:
    try:
        PairDocument.model_validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


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
