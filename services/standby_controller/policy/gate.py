"""The gate: may this standby take over? Every check of it, in order, for a takeover by itself and for one by hand.

One function over one frozen value; nothing else in the controller may allow or stop a promotion. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.standby_controller.policy.detector import Door
from services.standby_controller.policy.durations import duration
from services.standby_controller.policy.gate_facts import ApplyRole, CopyFacts, GateFacts, HookResult, Verification
from shared.errors.base import Refusal
from shared.node.model import State


class Verdict(StrEnum):
    """What a check says; warnings and what is only shown stop nothing."""

    PASSED = "passed"
    WARNED = "warned"
    REFUSED = "refused"
    SHOWN = "shown"


class Override(StrEnum):
    """What an administrator may pass for one attempt by hand, with a reason."""

    UNSYNCED = "unsynced"
    FENCED = "fenced"
    DATA_AGE = "data_age"
    VERIFICATION = "verification"
    SCHEMA = "schema"
    VERSION = "version"
    HOOK = "hook"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `code` is what a refusal by it is called, `override` what passes it by hand."""

    code: str
    text: str
    automatic: Verdict
    by_hand: Verdict
    override: Override | None = None


def judge_gate(facts: GateFacts) -> tuple[Check, ...]:
    """Return all checks in their order; each is made, whatever the others say."""
    checks = []
    for row in GATE:
        found = row.look(facts)
        automatic = by_hand = Verdict.PASSED
        if found.is_minor:
            automatic = by_hand = Verdict.WARNED
        elif not found.is_well:
            automatic, by_hand = row.automatic, row.by_hand
        checks.append(Check(row.code, found.text, automatic, by_hand, row.override))
    return tuple(checks)


def refusals_automatic(checks: Collection[Check]) -> tuple[Refusal, ...]:
    """Return what keeps the node from promoting itself; no override counts here."""
    return tuple(_refusal(check) for check in checks if check.automatic is Verdict.REFUSED)


def refusals_by_hand(checks: Collection[Check], overrides: Collection[Override] = ()) -> tuple[Refusal, ...]:
    """Return what keeps an administrator from promoting the node, with these overrides."""
    return tuple(
        _refusal(check)
        for check in checks
        if check.by_hand is Verdict.REFUSED and (check.override is None or check.override not in overrides)
    )


def used_overrides(checks: Collection[Check], overrides: Collection[Override]) -> tuple[Override, ...]:
    """Return the overrides without which something would be refused: each is a line of the journal."""
    needed = {check.override for check in checks if check.by_hand is Verdict.REFUSED}
    return tuple(override for override in Override if override in overrides and override in needed)


def _refusal(check: Check) -> Refusal:
    return Refusal(check.code, check.text, None if check.override is None else check.override.value)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the facts found; what is minor is a warning in both columns."""

    text: str
    is_well: bool = False
    is_minor: bool = False


def _well(text: str) -> _Found:
    return _Found(text, is_well=True)


def _minor(text: str) -> _Found:
    return _Found(text, is_minor=True)


@dataclass(frozen=True, slots=True)
class GateRow:
    """A row of the gate: what a failure of the check means by itself and by hand, and what passes it."""

    code: str
    automatic: Verdict
    by_hand: Verdict
    override: Override | None
    look: Callable[[GateFacts], _Found]


def _eligible(facts: GateFacts) -> _Found:
    if not facts.switches.may_promote_itself:
        return _Found("node.toml says promotion = manual for this node.")
    if facts.is_eligible is None:
        return _Found("It is not known whether this node may promote itself: its agent does not answer.")
    if not facts.is_eligible:
        return _Found("The active node has not recorded that this node may promote itself.")
    return _well("This node may promote itself: both nodes have recorded it.")


def _policy(facts: GateFacts) -> _Found:
    if not facts.switches.is_known:
        return _Found("The pair's configuration was not read yet, so nothing may happen by itself.")
    if not facts.switches.is_policy_promote:
        return _Found("The policy is keep_in_standby: only an administrator promotes this node.")
    return _well("The policy is promote.")


def _armed(facts: GateFacts) -> _Found:
    if not facts.switches.is_armed:
        return _Found("Automatic failover is disarmed until an administrator arms it again.")
    return _well("Automatic failover is armed.")


def _maintenance(facts: GateFacts) -> _Found:
    if facts.switches.is_in_maintenance:
        return _Found("The pair is in maintenance: nothing happens by itself.")
    return _well("The pair is not in maintenance.")


def _cooldown(facts: GateFacts) -> _Found:
    age, pause = facts.automatic_failover_age_seconds, facts.switches.cooldown_seconds
    if age is not None and age < pause:
        return _Found(f"The last automatic failover was {duration(age)} ago; the next one waits for {duration(pause)}.")
    return _well("No automatic failover happened lately.")


def _evidence(facts: GateFacts) -> _Found:
    if not facts.is_evidence_fresh:
        return _Found("What was seen of the other node is too old, or was seen while nothing could happen by itself.")
    return _well("What is known of the other node is fresh.")


def _own_agent(facts: GateFacts) -> _Found:
    if facts.own_state is None:
        return _Found("This node's own agent does not answer.")
    return _well("This node's own agent answers.")


def _standby(facts: GateFacts) -> _Found:
    if facts.own_state in (State.STANDBY, State.FENCED, None):
        return _well("This node's state allows a promotion." if facts.own_state else "This node's state is not known.")
    reason = f": {facts.own_reason}" if facts.own_reason else "."
    return _Found(f"This node is {facts.own_state}{reason}")


def _database(facts: GateFacts) -> _Found:
    if facts.is_database_writable is None:
        return _Found("It is not known whether this node's PostgreSQL server can write.")
    if not facts.is_database_writable:
        return _Found("This node's PostgreSQL server does not take a durable write.")
    return _well("This node's PostgreSQL server takes durable writes.")


def _disk(facts: GateFacts) -> _Found:
    free, floor = facts.disk_free_bytes, facts.disk_floor_bytes
    if free is None:
        return _Found("It is not known how much disk space this node has.")
    if free < floor:
        return _Found(f"This node has {_mebibytes(free)} of disk space left, less than {_mebibytes(floor)}.")
    return _well(f"This node has {_mebibytes(free)} of disk space left.")


def _apply(facts: GateFacts) -> _Found:
    match facts.apply_role:
        case ApplyRole.STUCK:
            return _Found("The role that applies syncs could not be stopped.")
        case ApplyRole.STOPPED:
            return _well("The role that applies syncs is stopped.")
        case ApplyRole.NOT_TRIED:
            return _well("The role that applies syncs would be stopped first.")


def _synced(facts: GateFacts) -> _Found:
    if not facts.required_copies:
        return _Found("No component is required, so nothing is known to be worth a promotion.")
    never = [copy.name for copy in facts.required_copies if copy.synced_epoch is None]
    if never:
        return _Found(f"Never copied to this node: {_names(never)}.")
    gone = _copies(facts, lambda copy: copy.is_there is False)
    if gone:
        return _Found(f"The copy is not there, its database was dropped or made anew: {_names(gone)}.")
    if facts.term_epoch is None:
        return _Found("The present term is not known.")
    old = [copy.name for copy in facts.required_copies if copy.synced_epoch != facts.term_epoch]
    if old:
        return _Found(f"Not synced in the present term {facts.term_epoch}: {_names(old)}.")
    return _well(f"Every required component was synced in the present term {facts.term_epoch}.")


def _fenced(facts: GateFacts) -> _Found:
    if facts.own_state is State.FENCED:
        return _Found(f"This node is fenced: {facts.own_reason or 'no reason given'}")
    return _well("This node is not fenced.")


def _data_age(facts: GateFacts) -> _Found:
    limit = facts.switches.data_age_limit_seconds
    ages = {copy.name: copy.data_age_seconds for copy in facts.required_copies if copy.synced_epoch is not None}
    unknown = [name for name, age in ages.items() if age is None]
    old = [f"{name} ({duration(age)})" for name, age in ages.items() if age is not None and age > limit]
    if unknown:
        return _Found(f"The age of the copy is not known: {_names(unknown)}.")
    if old:
        return _Found(f"The copy is older than {duration(limit)}: {_names(old)}.")
    return _well(f"No copy is older than {duration(limit)}.")


def _verification(facts: GateFacts) -> _Found:
    failed = _copies(facts, lambda copy: copy.verification is Verification.FAILED)
    never = _copies(facts, lambda copy: copy.verification is Verification.NEVER)
    if failed:
        return _Found(f"The last verification found differences: {_names(failed)}.")
    if never:
        return _minor(f"Never verified: {_names(never)}.")
    return _well("The last verification found no difference.")


def _schema(facts: GateFacts) -> _Found:
    unknown = _copies(facts, lambda copy: not copy.is_schema_known)
    if unknown:
        return _Found(f"The definitions changed on the active node and the copy has the old ones: {_names(unknown)}.")
    return _well("The copy's definitions are those of the active node.")


def _version(facts: GateFacts) -> _Found:
    if facts.is_protocol_compatible is None:
        return _minor("The other node has not told its protocol since this controller started.")
    if not facts.is_protocol_compatible:
        return _Found("The other node's release speaks no common protocol.")
    return _well("Both nodes speak a common protocol.")


def _references(facts: GateFacts) -> _Found:
    match facts.references:
        case Door.ANSWERED:
            return _well("A reference target answers.")
        case Door.NOT_ASKED:
            return _well("No reference target is configured.")
        case _:
            return _Found("No reference target answers: this node itself may be cut off.")


def _clock(facts: GateFacts) -> _Found:
    offset = facts.offset_at_least_seconds
    if offset is not None and offset > facts.switches.offset_warning_seconds:
        return _minor(f"The clocks differ by at least {offset:.1f} s.")
    return _well("The clocks do not differ noticeably." if offset is not None else "The clock offset is not known.")


def _pre_promote(facts: GateFacts) -> _Found:
    return _hook("pre_promote", facts.pre_promote)


def _fence_peer(facts: GateFacts) -> _Found:
    if facts.fence_peer is HookResult.NOT_CONFIGURED and facts.switches.is_fence_peer_required:
        return _Found("failover.fence_peer_required is set, and this node has no hook fence_peer.")
    return _hook("fence_peer", facts.fence_peer)


def _hook(name: str, result: HookResult) -> _Found:
    match result:
        case HookResult.NOT_CONFIGURED:
            return _well(f"The hook {name} is not configured.")
        case HookResult.WOULD_RUN:
            return _well(f"The hook {name} would run.")
        case HookResult.PASSED:
            return _well(f"The hook {name} succeeded.")
        case HookResult.FAILED:
            return _Found(f"The hook {name} failed.")


def _copies(facts: GateFacts, is_so: Callable[[CopyFacts], bool]) -> list[str]:
    return [copy.name for copy in facts.required_copies if is_so(copy)]


def _names(names: Collection[str]) -> str:
    return ", ".join(names)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


_MUST, _SHOWN, _WARN = Verdict.REFUSED, Verdict.SHOWN, Verdict.WARNED

GATE: Final = (
    GateRow("not_eligible", _MUST, _SHOWN, None, _eligible),
    GateRow("keep_in_standby", _MUST, _SHOWN, None, _policy),
    GateRow("disarmed", _MUST, _SHOWN, None, _armed),
    GateRow("maintenance", _MUST, _SHOWN, None, _maintenance),
    GateRow("cooldown", _MUST, _SHOWN, None, _cooldown),
    GateRow("stale_evidence", _MUST, _SHOWN, None, _evidence),
    GateRow("own_agent_silent", _MUST, _MUST, None, _own_agent),
    GateRow("not_a_standby", _MUST, _MUST, None, _standby),
    GateRow("database_not_writable", _MUST, _MUST, None, _database),
    GateRow("disk_full", _MUST, _MUST, None, _disk),
    GateRow("apply_not_stopped", _MUST, _MUST, None, _apply),
    GateRow("unsynced", _MUST, _MUST, Override.UNSYNCED, _synced),
    GateRow("fenced", _MUST, _MUST, Override.FENCED, _fenced),
    GateRow("data_too_old", _MUST, _MUST, Override.DATA_AGE, _data_age),
    GateRow("verification_failed", _MUST, _MUST, Override.VERIFICATION, _verification),
    GateRow("schema_unknown", _MUST, _MUST, Override.SCHEMA, _schema),
    GateRow("version_incompatible", _MUST, _MUST, Override.VERSION, _version),
    GateRow("self_isolated", _MUST, _WARN, None, _references),
    GateRow("clock_offset", _WARN, _WARN, None, _clock),
    GateRow("pre_promote_failed", _MUST, _MUST, Override.HOOK, _pre_promote),
    GateRow("fence_peer_failed", _MUST, _MUST, Override.HOOK, _fence_peer),
)
"""The gate's rows, in order."""
