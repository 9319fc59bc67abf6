"""Positions of sequences: which of two is farther, and how far one may be moved on."""

from __future__ import annotations

import pytest

from shared.postgres.sequences import SequenceRange, farther, moved_on
from shared.replication.model import SequenceValue

UP = SequenceRange(increment=1, bound=2**63 - 1, is_cyclic=False)
DOWN = SequenceRange(increment=-5, bound=-(2**63), is_cyclic=False)
SHORT = SequenceRange(increment=1, bound=32767, is_cyclic=False)
RING = SequenceRange(increment=1, bound=10, is_cyclic=True)


def value(last: int, *, is_called: bool = True) -> SequenceValue:
    """Return a position."""
    return SequenceValue(schema_name="public", name="s", last_value=last, is_called=is_called)


@pytest.mark.parametrize(
    ("there", "here", "moves", "expected"),
    [
        (value(5), value(9), UP, value(9)),
        (value(9), value(5), UP, value(9)),
        (value(5), value(9), DOWN, value(5)),
        (value(1), value(1, is_called=False), UP, value(1)),
        (value(1, is_called=False), value(1), UP, value(1)),
        (value(3), value(9), RING, value(3)),
    ],
)
def test_the_farther_position_is_kept(
    there: SequenceValue, here: SequenceValue, moves: SequenceRange, expected: SequenceValue
) -> None:
    """In the direction in which it moves; of a cyclic one the active node's, as none of its positions comes later."""
    assert farther(there, here, moves) == expected


@pytest.mark.parametrize(
    ("before", "moves", "expected"),
    [
        (value(7), UP, 1007),
        (value(7), DOWN, -4993),
        (value(1, is_called=False), UP, 1001),
        (value(32000), SHORT, 32383),
        (value(32766), SHORT, 32766),
        (value(32767), SHORT, 32767),
        (value(5), RING, 5),
    ],
)
def test_a_headroom_leaves_the_application_room(before: SequenceValue, moves: SequenceRange, expected: int) -> None:
    """It takes half of what is left at most: an exhausted sequence would stop the application."""
    after = moved_on(before, moves, 1000)
    assert (after.last_value, after.is_called) == (expected, before.is_called)
