"""The dry run: every check, every act in its order, and what it would cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.standby_controller.policy.detector import Way
from services.standby_controller.policy.gate import Check, Override, Verdict
from services.standby_controller.policy.plan import Plan, PlanFacts, PlanKind, make_plan
from services.standby_controller.policy.safety import Promise, longest_overlap_seconds, safety_text
from shared.surroundings import HookName

CHECKS = (
    Check("maintenance", "The pair is in maintenance.", Verdict.REFUSED, Verdict.SHOWN),
    Check("data_too_old", "The copy is old.", Verdict.REFUSED, Verdict.REFUSED, Override.DATA_AGE),
)
FACTS = PlanFacts("b", "a", is_active_answering=False, hook_limits=((HookName.PRE_PROMOTE, 20.0),), sync_seconds=2.5)


def plan_of(kind: PlanKind, facts: PlanFacts = FACTS, overrides: tuple[Override, ...] = ()) -> Plan:
    return make_plan(kind, Way.NONE, CHECKS, facts, overrides=overrides, data_age_seconds=60.0, detection_seconds=18.0)


def test_a_failover_from_a_silent_node() -> None:
    """Who does what, hooks with their limits, those that are not there marked."""
    plan = plan_of(PlanKind.FAILOVER)
    assert [(act.node_id, act.name) for act in plan.acts] == [
        ("b", "reserve"),
        ("b", "stop_apply"),
        ("b", "pre_promote"),
        ("b", "fence_peer"),
        ("b", "look_around"),
        ("b", "take_term"),
        ("b", "prepare_capture"),
        ("b", "open"),
        ("b", "serve"),
        ("a", "fence_former"),
    ]
    by_name = {act.name: act for act in plan.acts}
    assert (by_name["pre_promote"].limit_seconds, by_name["pre_promote"].is_skipped) == (20.0, False)
    assert (by_name["fence_peer"].limit_seconds, by_name["fence_peer"].is_skipped) == (None, True)
    assert [act.name for act in plan.acts if act.is_point_of_no_return] == ["take_term"]
    assert all(act.text for act in plan.acts)
    assert (plan.estimated_loss_seconds, plan.detection_seconds, plan.takeover_seconds) == (60.0, 18.0, 1.0)


def test_a_failover_from_a_node_that_answers_closes_it_first() -> None:
    """Before the point of no return, with proof."""
    names = [
        (act.node_id, act.name) for act in plan_of(PlanKind.FAILOVER, replace(FACTS, is_active_answering=True)).acts
    ]
    assert names.index(("a", "prove")) < names.index(("b", "await_handover")) < names.index(("b", "take_term"))


def test_a_node_without_an_agent_is_closed_by_its_controller() -> None:
    """Before anything begins here; its hooks wait for its agent."""
    acts = plan_of(PlanKind.FAILOVER, replace(FACTS, is_agent_down=True)).acts
    assert [(act.node_id, act.name) for act in acts[:5]] == [
        ("a", "close"),
        ("a", "end_sessions"),
        ("a", "prove"),
        ("b", "reserve"),
        ("b", "stop_apply"),
    ]


def test_a_switchover_loses_nothing_and_brings_the_last_changes_over() -> None:
    """After the other node is closed, before the term is taken."""
    plan = plan_of(PlanKind.SWITCHOVER)
    names = [act.name for act in plan.acts]
    order = [
        names.index(name) for name in ("sync", "reserve", "close", "prove", "last_sync", "take_term", "open", "return")
    ]
    assert order == sorted(order)
    assert (plan.estimated_loss_seconds, plan.detection_seconds, plan.takeover_seconds) == (0.0, 0.0, 3.5)


def test_both_columns_are_told_with_the_overrides() -> None:
    """What would pass by hand is no word for what happens by itself."""
    plan = plan_of(PlanKind.FAILOVER, overrides=(Override.DATA_AGE,))
    assert [one.code for one in plan.refusals_automatic] == ["maintenance", "data_too_old"]
    assert plan.refusals_by_hand == ()
    assert [one.code for one in plan_of(PlanKind.FAILOVER).refusals_by_hand] == ["data_too_old"]


PROMISE = Promise(
    is_policy_promote=True,
    overlap_seconds=longest_overlap_seconds(5.0, 3.0),
    has_references=False,
    has_fence_peer=False,
    is_fence_peer_required=False,
)


@pytest.mark.parametrize(
    ("promise", "words", "has_referee"),
    [
        (PROMISE, "both may serve from the takeover until the link is back", False),
        (PROMISE, "within 28 s", False),
        (PROMISE, "There is no referee.", False),
        (replace(PROMISE, has_references=True), "reaches no reference target does not take over", True),
        (replace(PROMISE, has_fence_peer=True), "fence_peer is run before", True),
        (replace(PROMISE, has_fence_peer=True, is_fence_peer_required=True), "exactly one node serves also when", True),
        (replace(PROMISE, is_policy_promote=False), "the machines never make two nodes serve", False),
    ],
)
def test_the_promise_is_that_of_the_settings(promise: Promise, words: str, has_referee: bool) -> None:
    """No more than can be kept, with the number of seconds."""
    assert words in safety_text(promise)
    assert promise.has_referee is has_referee
