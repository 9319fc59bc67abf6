"""A node that is fenced for one promotion is closed for that one only."""

from __future__ import annotations

from shared.node.commands import advance_demotion, begin_fence, follow
from shared.node.model import ClosedFor, State, Term
from shared.node.reasons import Reason
from shared.node.record import Record
from shared.node.steps import DEMOTION

TWO, THREE = "two", "three"
ACTIVE = Record(pair_id="pair", node_id="one", state=State.ACTIVE, term=Term(epoch=1, owner="one"), highest_epoch=1)


def close(record: Record) -> Record:
    """Do each act of the demotion."""
    for act in DEMOTION[:-1]:
        record = advance_demotion(record, "attempt-1", act)
    assert record.state is State.FENCED
    return record


def test_it_is_closed_for_who_asked_first() -> None:
    closing = begin_fence(ACTIVE, "attempt-1", Reason.HANDED_OVER, TWO)
    for record in (closing, close(closing)):
        assert record.closed_for == ClosedFor(attempt_id="attempt-1", peer=TWO)
        assert begin_fence(record, "attempt-9", Reason.HANDED_OVER, THREE) == record


def test_the_same_node_may_try_again() -> None:
    fenced = close(begin_fence(ACTIVE, "attempt-1", Reason.HANDED_OVER, TWO))
    again = begin_fence(fenced, "attempt-2", Reason.HANDED_OVER, TWO)
    assert again.closed_for == ClosedFor(attempt_id="attempt-2", peer=TWO)


def test_a_node_that_an_administrator_closed_is_free_for_the_first_that_asks() -> None:
    fenced = close(begin_fence(ACTIVE, "attempt-1", Reason.BY_ADMIN))
    assert fenced.closed_for is None
    asked = begin_fence(fenced, "attempt-9", Reason.HANDED_OVER, THREE)
    assert (asked.closed_for, asked.reason) == (ClosedFor(attempt_id="attempt-9", peer=THREE), Reason.BY_ADMIN)


def test_a_node_that_follows_is_closed_for_nobody() -> None:
    fenced = close(begin_fence(ACTIVE, "attempt-1", Reason.HANDED_OVER, TWO))
    superseded = fenced.model_copy(update={"term": Term(epoch=2, owner=TWO)})
    assert follow(superseded, 2).closed_for is None
