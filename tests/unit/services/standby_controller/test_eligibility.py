"""Eligible or not: when a standby shall be, and in which order two records learn of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.eligibility import EligibleStep, next_step, shall_be_eligible
from services.standby_controller.policy.gate_facts import CopyFacts, GateFacts, Switches
from shared.node.model import State

COPY = CopyFacts("shop", synced_epoch=33)
READY = GateFacts(switches=Switches(is_known=True), own_state=State.STANDBY, term_epoch=33, copies=(COPY,))


def with_switch(**changes: bool) -> GateFacts:
    return replace(READY, switches=replace(READY.switches, **changes))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (READY, True),
        (replace(READY, copies=(COPY, CopyFacts("cache", is_required=False))), True),
        (with_switch(is_policy_promote=False), False),
        (with_switch(may_promote_itself=False), False),
        (with_switch(is_armed=False), False),
        (with_switch(is_in_maintenance=True), False),
        (replace(READY, copies=(COPY, replace(COPY, synced_epoch=17))), False),
        (replace(READY, copies=(replace(COPY, synced_epoch=None),)), False),
        (replace(READY, copies=()), False),
        (with_switch(is_known=False), None),
        (replace(READY, own_state=State.ACTIVE), None),
        (replace(READY, own_state=State.FENCED), None),
        (replace(READY, own_state=None), None),
        (replace(READY, term_epoch=None), None),
    ],
)
def test_a_standby_is_eligible_once_all_is_synced_in_this_term_and_allowed(
    facts: GateFacts, expected: bool | None
) -> None:
    """What is not known, or not this node's to say, leaves the records as they are."""
    assert shall_be_eligible(facts) is expected


@pytest.mark.parametrize(
    ("wanted", "on_active", "here", "step"),
    [
        (True, False, False, EligibleStep.SET_ON_ACTIVE),
        (True, None, False, EligibleStep.SET_ON_ACTIVE),
        (True, None, True, EligibleStep.SET_ON_ACTIVE),
        (True, True, False, EligibleStep.SET_HERE),
        (True, True, None, EligibleStep.SET_HERE),
        (True, True, True, EligibleStep.NONE),
        (False, True, True, EligibleStep.CLEAR_HERE),
        (False, True, None, EligibleStep.CLEAR_HERE),
        (False, True, False, EligibleStep.CLEAR_ON_ACTIVE),
        (False, None, False, EligibleStep.CLEAR_ON_ACTIVE),
        (False, False, False, EligibleStep.NONE),
        (None, False, True, EligibleStep.NONE),
    ],
)
def test_each_step_in_its_order(
    wanted: bool | None, on_active: bool | None, here: bool | None, step: EligibleStep
) -> None:
    """On the active node first when it is set, here first when it is cleared."""
    assert next_step(wanted, on_active=on_active, here=here) is step


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=8))
def test_the_standby_never_believes_more_than_the_active_node(changes: list[tuple[bool, int]]) -> None:
    """Whatever is wanted, and wherever the steps are broken off."""
    here = on_active = False
    for wanted, steps in changes:
        for _ in range(steps):
            match next_step(wanted, on_active=on_active, here=here):
                case EligibleStep.SET_ON_ACTIVE:
                    on_active = True
                case EligibleStep.SET_HERE:
                    here = True
                case EligibleStep.CLEAR_HERE:
                    here = False
                case EligibleStep.CLEAR_ON_ACTIVE:
                    on_active = False
            assert on_active or not here
        if steps >= 2:
            assert (on_active, here) == (wanted, wanted)
