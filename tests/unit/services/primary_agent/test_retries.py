"""How often and when a hook is tried again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.primary_agent.node.retries import ONCE, RETRIES, NextTry, RetryRule, Tries, next_try
from shared.surroundings import HookName

THREE_IN_TWENTY = RetryRule(tries=3, within_seconds=20.0, apart_seconds=6.0)


@pytest.mark.parametrize(
    ("made", "now", "expected"),
    [
        (None, 100.0, NextTry(0.0, 20.0)),
        (Tries(1, 100.0, 100.0), 100.5, NextTry(5.5, 14.0)),
        (Tries(1, 100.0, 100.0), 110.0, NextTry(0.0, 10.0)),
        (Tries(2, 100.0, 106.0), 107.0, NextTry(5.0, 8.0)),
        (Tries(2, 100.0, 106.0), 119.5, None),
        (Tries(1, 100.0, 100.0), 120.0, None),
        (Tries(3, 100.0, 112.0), 112.1, None),
    ],
)
def test_three_tries_fit_into_twenty_seconds(made: Tries | None, now: float, expected: NextTry | None) -> None:
    """Whatever one of them takes, all have ended when the time is over."""
    assert next_try(THREE_IN_TWENTY, made, limit_seconds=60.0, now=now) == expected


def test_one_try_takes_its_own_limit_at_most() -> None:
    assert next_try(THREE_IN_TWENTY, None, limit_seconds=5.0, now=0.0) == NextTry(0.0, 5.0)
    assert next_try(THREE_IN_TWENTY, Tries(1, 0.0, 0.0), limit_seconds=5.0, now=6.0) == NextTry(0.0, 5.0)


def test_a_hook_without_a_rule_is_tried_once_for_as_long_as_it_may_take() -> None:
    assert next_try(ONCE, None, limit_seconds=3600.0, now=7.0) == NextTry(0.0, 3600.0)
    assert next_try(ONCE, Tries(1, 7.0, 7.0), limit_seconds=3600.0, now=8.0) is None


@pytest.mark.parametrize("seconds_each", [0.0, 1.0, 5.0, 19.0, 60.0])
@pytest.mark.parametrize("name", RETRIES)
def test_no_rule_is_left_by_any_sequence_of_tries(name: HookName, seconds_each: float) -> None:
    rule, made, now, begun = RETRIES[name], None, 1000.0, list[float]()
    while coming := next_try(rule, made, limit_seconds=60.0, now=now):
        begins = now + coming.after_seconds
        begun.append(begins)
        made = Tries(len(begun), begun[0], begins)
        now = begins + min(seconds_each, coming.limit_seconds)
        assert now <= 1000.0 + rule.within_seconds
    assert 1 <= len(begun) <= rule.tries
    assert len(begun) == rule.tries or seconds_each > 1.0
    assert all(later - earlier >= rule.apart_seconds for earlier, later in pairwise(begun))


def test_the_database_is_restarted_three_times_in_twenty_seconds() -> None:
    rule = RETRIES[HookName.RESTART_DATABASE]
    assert (rule.tries, rule.within_seconds) == (3, 20.0)
