"""The gate: each row in both columns, with and without its override."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.detector import Door
from services.standby_controller.policy.gate import (
    GATE,
    Check,
    Override,
    Verdict,
    judge_gate,
    refusals_automatic,
    refusals_by_hand,
    used_overrides,
)
from services.standby_controller.policy.gate_facts import (
    ApplyRole,
    CopyFacts,
    GateFacts,
    HookResult,
    Switches,
    Verification,
)
from shared.errors import GateRefused
from shared.node.model import State

COPY = CopyFacts("shop", synced_epoch=33, data_age_seconds=60.0, verification=Verification.PASSED)
READY = GateFacts(
    switches=Switches(is_known=True),
    own_state=State.STANDBY,
    own_reason="The node follows the owner of the highest term.",
    term_epoch=33,
    is_eligible=True,
    is_evidence_fresh=True,
    is_database_writable=True,
    disk_free_bytes=2**34,
    disk_floor_bytes=2**29,
    copies=(COPY,),
    is_protocol_compatible=True,
    references=Door.ANSWERED,
    offset_at_least_seconds=0.0,
    pre_promote=HookResult.WOULD_RUN,
    fence_peer=HookResult.WOULD_RUN,
)
P, W, R, SH = Verdict.PASSED, Verdict.WARNED, Verdict.REFUSED, Verdict.SHOWN


def with_switch(**changes: object) -> GateFacts:
    return replace(READY, switches=replace(READY.switches, **changes))  # type: ignore[arg-type]


def with_copy(**changes: object) -> GateFacts:
    return replace(READY, copies=(replace(COPY, **changes),))  # type: ignore[arg-type]


def failing(facts: GateFacts) -> list[Check]:
    """Return the checks that do not simply pass."""
    return [check for check in judge_gate(facts) if (check.automatic, check.by_hand) != (P, P)]


def test_a_standby_that_has_everything_passes_both_columns() -> None:
    """All rows are shown, in the table's order."""
    checks = judge_gate(READY)
    assert [check.code for check in checks] == [row.code for row in GATE]
    assert failing(READY) == []
    assert refusals_automatic(checks) == refusals_by_hand(checks) == ()
    assert all(check.text.endswith(".") for check in checks)


ROWS = [
    (replace(READY, is_eligible=False), "not_eligible", R, SH, None),
    (replace(READY, is_eligible=None), "not_eligible", R, SH, None),
    (with_switch(may_promote_itself=False), "not_eligible", R, SH, None),
    (with_switch(is_policy_promote=False), "keep_in_standby", R, SH, None),
    (with_switch(is_known=False), "keep_in_standby", R, SH, None),
    (with_switch(is_armed=False), "disarmed", R, SH, None),
    (with_switch(is_in_maintenance=True), "maintenance", R, SH, None),
    (replace(READY, automatic_failover_age_seconds=599.0), "cooldown", R, SH, None),
    (replace(READY, is_evidence_fresh=False), "stale_evidence", R, SH, None),
    (replace(READY, own_state=None), "own_agent_silent", R, R, None),
    (replace(READY, own_state=State.ACTIVE), "not_a_standby", R, R, None),
    (replace(READY, own_state=State.PROMOTING), "not_a_standby", R, R, None),
    (replace(READY, own_state=State.WAITING), "not_a_standby", R, R, None),
    (replace(READY, own_state=State.UNINITIALISED), "not_a_standby", R, R, None),
    (replace(READY, is_database_writable=False), "database_not_writable", R, R, None),
    (replace(READY, is_database_writable=None), "database_not_writable", R, R, None),
    (replace(READY, disk_free_bytes=2**29 - 1), "disk_full", R, R, None),
    (replace(READY, disk_free_bytes=None), "disk_full", R, R, None),
    (replace(READY, apply_role=ApplyRole.STUCK), "apply_not_stopped", R, R, None),
    (with_copy(synced_epoch=None, data_age_seconds=None), "unsynced", R, R, Override.UNSYNCED),
    (with_copy(is_there=False), "unsynced", R, R, Override.UNSYNCED),
    (with_copy(synced_epoch=17), "unsynced", R, R, Override.UNSYNCED),
    (replace(READY, term_epoch=None), "unsynced", R, R, Override.UNSYNCED),
    (replace(READY, copies=()), "unsynced", R, R, Override.UNSYNCED),
    (replace(READY, own_state=State.FENCED), "fenced", R, R, Override.FENCED),
    (with_copy(data_age_seconds=7200.1), "data_too_old", R, R, Override.DATA_AGE),
    (with_copy(data_age_seconds=None), "data_too_old", R, R, Override.DATA_AGE),
    (with_copy(verification=Verification.FAILED), "verification_failed", R, R, Override.VERIFICATION),
    (with_copy(verification=Verification.NEVER), "verification_failed", W, W, Override.VERIFICATION),
    (with_copy(is_schema_known=False), "schema_unknown", R, R, Override.SCHEMA),
    (replace(READY, is_protocol_compatible=False), "version_incompatible", R, R, Override.VERSION),
    (replace(READY, is_protocol_compatible=None), "version_incompatible", W, W, Override.VERSION),
    (replace(READY, references=Door.SILENT), "self_isolated", R, W, None),
    (replace(READY, offset_at_least_seconds=1.1), "clock_offset", W, W, None),
    (replace(READY, pre_promote=HookResult.FAILED), "pre_promote_failed", R, R, Override.HOOK),
    (replace(READY, fence_peer=HookResult.FAILED), "fence_peer_failed", R, R, Override.HOOK),
    (
        replace(with_switch(is_fence_peer_required=True), fence_peer=HookResult.NOT_CONFIGURED),
        "fence_peer_failed",
        R,
        R,
        Override.HOOK,
    ),
]


@pytest.mark.parametrize(("facts", "code", "automatic", "by_hand", "override"), ROWS)
def test_each_row_in_both_columns(
    facts: GateFacts, code: str, automatic: Verdict, by_hand: Verdict, override: Override | None
) -> None:
    """One fact, one check; a warning and what is only shown refuse nothing."""
    (check,) = failing(facts)
    assert (check.code, check.automatic, check.by_hand, check.override) == (code, automatic, by_hand, override)
    checks = judge_gate(facts)
    assert [refusal.code for refusal in refusals_automatic(checks)] == [code] * (automatic is R)
    assert [refusal.code for refusal in refusals_by_hand(checks)] == [code] * (by_hand is R)


@pytest.mark.parametrize(("facts", "code", "automatic", "by_hand", "override"), ROWS)
def test_an_override_passes_its_own_row_and_by_hand_only(
    facts: GateFacts, code: str, automatic: Verdict, by_hand: Verdict, override: Override | None
) -> None:
    """What has no override cannot be passed by all of them together."""
    checks = judge_gate(facts)
    others = [one for one in Override if one is not override]
    is_refused = by_hand is R
    assert [one.code for one in refusals_by_hand(checks, others)] == [code] * is_refused
    assert [one.code for one in refusals_by_hand(checks, list(Override))] == [code] * (is_refused and override is None)
    assert used_overrides(checks, list(Override)) == ((override,) if is_refused and override else ())
    assert bool(refusals_automatic(checks)) is (automatic is R)


def test_every_row_of_the_gate_is_tried_here() -> None:
    """A row without a test is a guess."""
    assert {code for _, code, *_ in ROWS} == {row.code for row in GATE}


@pytest.mark.parametrize(
    "facts",
    [
        with_copy(data_age_seconds=7200.0),
        replace(READY, automatic_failover_age_seconds=600.0),
        replace(READY, disk_free_bytes=2**29),
        replace(READY, offset_at_least_seconds=1.0),
        replace(READY, offset_at_least_seconds=None),
        replace(READY, references=Door.NOT_ASKED),
        replace(READY, apply_role=ApplyRole.STOPPED),
        replace(READY, pre_promote=HookResult.NOT_CONFIGURED, fence_peer=HookResult.PASSED),
        replace(READY, copies=(COPY, CopyFacts("cache", is_required=False))),
    ],
)
def test_at_a_limit_the_gate_is_still_open(facts: GateFacts) -> None:
    """And a component that is not required keeps nobody back."""
    assert failing(facts) == []


def test_a_refusal_leaves_as_an_error_with_all_its_reasons() -> None:
    """409 with code, text and the override that would pass each."""
    checks = judge_gate(replace(with_copy(data_age_seconds=1e6), own_state=State.FENCED))
    error = GateRefused(refusals_by_hand(checks))
    assert (error.code, error.status) == ("gate_refused", 409)
    assert [(one.code, one.override) for one in error.refusals] == [("fenced", "fenced"), ("data_too_old", "data_age")]
    assert "older than 2.0 h" in error.detail


seconds = st.none() | st.floats(0, 1e5)
hooks = st.sampled_from(HookResult)
copies = st.builds(
    CopyFacts,
    name=st.just("shop"),
    is_required=st.booleans(),
    synced_epoch=st.none() | st.sampled_from([17, 33]),
    data_age_seconds=seconds,
    is_schema_known=st.booleans(),
    verification=st.sampled_from(Verification),
)
switches = st.builds(
    Switches,
    is_known=st.booleans(),
    is_policy_promote=st.booleans(),
    may_promote_itself=st.booleans(),
    is_armed=st.booleans(),
    is_in_maintenance=st.booleans(),
    is_fence_peer_required=st.booleans(),
)
all_facts = st.builds(
    GateFacts,
    switches=switches,
    own_state=st.none() | st.sampled_from(State),
    own_reason=st.just("why"),
    term_epoch=st.none() | st.just(33),
    is_eligible=st.none() | st.booleans(),
    automatic_failover_age_seconds=seconds,
    is_evidence_fresh=st.booleans(),
    is_database_writable=st.none() | st.booleans(),
    disk_free_bytes=st.none() | st.sampled_from([0, 2**40]),
    disk_floor_bytes=st.just(2**29),
    apply_role=st.sampled_from(ApplyRole),
    copies=st.lists(copies, max_size=2).map(tuple),
    is_protocol_compatible=st.none() | st.booleans(),
    references=st.sampled_from(Door),
    offset_at_least_seconds=seconds,
    pre_promote=hooks,
    fence_peer=hooks,
)


def may_promote_itself(facts: GateFacts) -> bool:
    """Say the gate's automatic column once more, as one sentence."""
    own, required = facts.switches, [copy for copy in facts.copies if copy.is_required]
    allowed = own.is_known and own.is_policy_promote and own.may_promote_itself and own.is_armed
    rested = facts.automatic_failover_age_seconds is None or facts.automatic_failover_age_seconds >= 600
    return (
        allowed
        and not own.is_in_maintenance
        and facts.is_eligible is True
        and rested
        and facts.is_evidence_fresh
        and facts.own_state is State.STANDBY
        and facts.is_database_writable is True
        and facts.disk_free_bytes == 2**40
        and facts.apply_role is not ApplyRole.STUCK
        and required != []
        and all(copy.synced_epoch == facts.term_epoch is not None for copy in required)
        and all(copy.data_age_seconds is not None and copy.data_age_seconds <= 7200 for copy in required)
        and all(copy.verification is not Verification.FAILED and copy.is_schema_known for copy in required)
        and facts.is_protocol_compatible is not False
        and facts.references in (Door.ANSWERED, Door.NOT_ASKED)
        and HookResult.FAILED not in (facts.pre_promote, facts.fence_peer)
        and not (own.is_fence_peer_required and facts.fence_peer is HookResult.NOT_CONFIGURED)
    )


@given(all_facts)
def test_no_automatic_pass_while_anything_that_must_hold_fails(facts: GateFacts) -> None:
    """And nothing else keeps a standby back."""
    assert (refusals_automatic(judge_gate(facts)) == ()) is may_promote_itself(facts)


@given(all_facts, st.sets(st.sampled_from(Override)))
def test_by_hand_less_is_refused_than_by_itself_and_never_what_nothing_passes(
    facts: GateFacts, overrides: set[Override]
) -> None:
    """More overrides never refuse more."""
    checks = judge_gate(facts)
    refused = {one.code for one in refusals_by_hand(checks, overrides)}
    assert refused <= {one.code for one in refusals_by_hand(checks)} <= {one.code for one in refusals_automatic(checks)}
    without = {check.code for check in checks if check.by_hand is R and check.override is None}
    assert without <= refused
