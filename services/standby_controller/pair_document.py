"""The pair's configuration as a value: what an administrator changes while it runs, and what is allowed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails

from services.standby_controller.channel_checks import faults_of, unmask
from services.standby_controller.pair_channels import REVEALED, NotificationsGroup, carry_channels, usable_channels
from services.standby_controller.pair_groups import (
    SHORTEST_INTERVAL_SECONDS,
    FailoverGroup,
    GuardsGroup,
    HistoryGroup,
    MonitorGroup,
    SyncGroup,
    VerificationGroup,
)
from services.standby_controller.policy.intervals import EXAMPLES, format_seconds
from services.standby_controller.setting_group import Group
from shared.errors import ConfigRefused

LONGEST_INTERVAL_SECONDS: Final = 31 * 86400
_WITHOUT_SECRETS: Final = ("sync", "history", "failover", "monitor", "verification", "guards")
_SHOWN_LENGTH: Final = 60
OLD_FAILURES: Final = "misses_until_lost"
OLD_INTERVAL: Final = "interval_seconds"
_CHANNELS: Final = ("notifications", "channels")


class PairDocument(Group):
    """All of the pair's configuration."""

    sync: SyncGroup = SyncGroup()
    history: HistoryGroup = HistoryGroup()
    failover: FailoverGroup = FailoverGroup()
    monitor: MonitorGroup = MonitorGroup()
    verification: VerificationGroup = VerificationGroup()
    guards: GuardsGroup = GuardsGroup()
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
