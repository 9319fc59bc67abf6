"""The peer's clock against ours: the truth is always inside the interval, and newer exchanges win."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.clock_offset import ClockOffset, best_offset, offset_of_exchange

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
seconds = st.floats(0, 5).map(lambda value: round(value, 6))


@given(st.floats(-1e5, 1e5).map(lambda value: round(value, 6)), seconds, seconds, seconds)
def test_the_true_offset_is_inside(offset: float, way_there: float, work: float, way_back: float) -> None:
    """However unequal the two ways are."""
    received = NOON + timedelta(seconds=way_there + offset)
    answered = received + timedelta(seconds=work)
    found = offset_of_exchange(NOON, received, answered, way_there + work + way_back)
    assert found is not None
    assert found.low_seconds - 1e-4 <= offset <= found.high_seconds + 1e-4
    assert found.high_seconds - found.low_seconds == pytest.approx(way_there + way_back, abs=1e-4)


@pytest.mark.parametrize(
    ("received", "answered", "round_trip"),
    [(1.0, 0.5, 2.0), (0.0, 9.0, 1.0)],
    ids=["the peer's clock was set back in between", "the peer's clock was set forward in between"],
)
def test_an_exchange_with_a_clock_set_in_between_is_thrown_away(
    received: float, answered: float, round_trip: float
) -> None:
    """It would say something that was never true."""
    at = [NOON + timedelta(seconds=value) for value in (received, answered)]
    assert offset_of_exchange(NOON, at[0], at[1], round_trip) is None


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([], None),
        ([(0, 10)], (0, 10)),
        ([(0, 10), (5, 20)], (5, 10)),
        ([(0, 10), (5, 20), (9, 30)], (9, 10)),
        ([(90, 100), (0, 10), (5, 20)], (90, 100)),  # the clock was set: what came before says nothing any more
        ([(0, 10), (10, 20)], (10, 10)),  # touching is agreeing
    ],
)
def test_the_best_offset_is_what_the_newest_agree_on(
    newest_first: list[tuple[float, float]], expected: tuple[float, float] | None
) -> None:
    """Narrower with each exchange, until one disagrees."""
    best = best_offset([ClockOffset(low, high) for low, high in newest_first])
    assert best == (None if expected is None else ClockOffset(*expected))


@pytest.mark.parametrize(("low", "high", "expected"), [(-1, 1, 0.0), (2, 3, 2.0), (-3, -2, 2.0), (0, 0, 0.0)])
def test_skew_is_only_what_is_certain(low: float, high: float, expected: float) -> None:
    """A slow network must not raise a clock alarm."""
    assert ClockOffset(low, high).at_least_seconds == expected
