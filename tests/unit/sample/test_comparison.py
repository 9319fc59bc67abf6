"""Where sequences may stand, and what a comparison says about itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sample.comparison import judge_sequence
from sample.comparison_result import CompareMethod, Comparison, TableComparison, Verdict
from sample.snapshot_reader import Sequence

UP = Sequence("s", increment=1, cycle=False, lowest=1, highest=100, last_value=10, is_called=True)
DOWN = replace(UP, increment=-1)
ROUND = replace(UP, cycle=True)


@pytest.mark.parametrize(
    ("then", "target", "now", "verdict"),
    [
        (UP, 10, 50, Verdict.EQUAL),
        (UP, 11, 10, Verdict.AHEAD),
        (UP, 9, 50, Verdict.BEHIND),
        (DOWN, 9, 5, Verdict.AHEAD),
        (DOWN, 11, 5, Verdict.BEHIND),
        (ROUND, 30, 50, Verdict.AHEAD),
        (ROUND, 60, 50, Verdict.BEHIND),
        (ROUND, 3, 5, Verdict.AHEAD),  # the source has passed the end of the cycle
        (ROUND, 6, 5, Verdict.BEHIND),
    ],
)
def test_a_sequence_has_reached_what_the_source_gave_out(
    then: Sequence, target: int, now: int, verdict: Verdict
) -> None:
    """Farther is good in the direction of the sequence; a cycle has no farther, only a stretch that was allowed."""
    assert judge_sequence(then, replace(then, last_value=target), replace(then, last_value=now)) is verdict


def test_a_first_value_that_was_not_given_out_is_not_behind_itself() -> None:
    """`setval(1, false)` and a value of 0 that was given out both mean that 1 comes next."""
    fresh = replace(UP, last_value=1, is_called=False)
    assert judge_sequence(fresh, fresh, fresh) is Verdict.EQUAL
    assert judge_sequence(replace(fresh, is_called=True), fresh, fresh) is Verdict.BEHIND


@pytest.mark.parametrize(
    ("verdict", "equal", "first_word"),
    [
        (Verdict.EQUAL, True, "equal"),
        (Verdict.DIFFERENT, False, "different"),
        (Verdict.ONLY_ON_TARGET, False, "different"),
        (Verdict.NOT_COMPARABLE, False, "not"),
    ],
)
def test_equal_means_that_everything_was_compared(verdict: Verdict, equal: bool, first_word: str) -> None:
    """What could not be read is not called equal, nor different."""
    tables = (TableComparison("a.b", Verdict.EQUAL, 1, 1, "x", "x"), TableComparison("a.c", verdict))
    comparison = Comparison(tables=tables, sequences=(), method=CompareMethod.SORTED_ROWS, seconds=0.1)
    assert comparison.equal is equal
    assert comparison.describe().split(maxsplit=1)[0].rstrip(":") == first_word
    assert ("a.c" in comparison.describe()) is not equal
