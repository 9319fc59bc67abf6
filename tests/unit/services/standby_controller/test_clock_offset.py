"""The peer's clock against ours: the truth is always inside the interval, and newer exchanges win."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.clock_offset import (
    ClockLimits,
    ClockOffset,
    ClockSample,
    Skew,
    best_offset,
    holds_syncs,
    is_step,
    offset_of_exchange,
    skew_of,
    skew_to_tell,
)

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
    best = best_offset([ClockSample(0.0, ClockOffset(low, high)) for low, high in newest_first])
    assert best == (None if expected is None else ClockOffset(*expected))


@pytest.mark.parametrize(("low", "high", "expected"), [(-1, 1, 0.0), (2, 3, 2.0), (-3, -2, 2.0), (0, 0, 0.0)])
def test_skew_is_only_what_is_certain(low: float, high: float, expected: float) -> None:
    """A slow network must not raise a clock alarm."""
    assert ClockOffset(low, high).at_least_seconds == expected


def test_what_was_measured_before_counts_for_less() -> None:
    """Two clocks move against each other meanwhile; the truth stays inside the interval all the same."""
    before = ClockSample(100.0, ClockOffset(1.0, 1.001))
    wide = ClockSample(110.0, ClockOffset(0.9, 1.2))
    for found in (before.later(110.0), best_offset([wide, before])):
        assert found is not None
        assert (found.low_seconds, found.high_seconds) == pytest.approx((0.99, 1.011))


@pytest.mark.parametrize(
    ("seconds_later", "moved_seconds", "expected"),
    [(1.0, 0.0009, False), (1.0, 0.01, True), (100.0, 0.09, False), (100.0, -0.2, True), (0.0, 3.0, True)],
)
def test_a_clock_was_set_when_it_moved_farther_than_it_can(
    seconds_later: float, moved_seconds: float, expected: bool
) -> None:
    """A kernel that slews a clock stays below."""
    before = ClockSample(0.0, ClockOffset(5.0, 5.0))
    after = ClockSample(seconds_later, ClockOffset(5.0 + moved_seconds, 5.0 + moved_seconds))
    assert is_step(before, after) is expected


LIMITS = ClockLimits(warning_seconds=1.0, limit_seconds=10.0, is_holding=True)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.0, 1.1, Skew.NONE),
        (1.001, 1.1, Skew.NOTICEABLE),
        (-1.2, -1.1, Skew.NOTICEABLE),
        (-5.0, 20.0, Skew.NONE),  # a slow network tells nothing
        (9.0, 11.0, Skew.NOTICEABLE),
        (10.001, 11.0, Skew.EXCESSIVE),
        (-3601.0, -3600.0, Skew.EXCESSIVE),
    ],
)
def test_skew_has_two_limits(low: float, high: float, expected: Skew) -> None:
    """Reaching a limit is still fine, and only what is certain counts."""
    assert skew_of(ClockOffset(low, high), LIMITS) is expected


@pytest.mark.parametrize(
    ("told", "seconds", "expected"),
    [
        (Skew.NONE, 0.9, Skew.NONE),
        (Skew.NONE, 1.1, Skew.NOTICEABLE),
        (Skew.NONE, 11.0, Skew.EXCESSIVE),
        (Skew.NOTICEABLE, 0.9, Skew.NOTICEABLE),  # not yet far enough below
        (Skew.NOTICEABLE, 0.8, Skew.NONE),
        (Skew.NOTICEABLE, 10.1, Skew.EXCESSIVE),
        (Skew.EXCESSIVE, 9.0, Skew.EXCESSIVE),
        (Skew.EXCESSIVE, 7.0, Skew.NOTICEABLE),
        (Skew.EXCESSIVE, 0.9, Skew.NOTICEABLE),
        (Skew.EXCESSIVE, 0.0, Skew.NONE),
    ],
)
def test_a_skew_around_a_limit_is_told_once(told: Skew, seconds: float, expected: Skew) -> None:
    """It is over when it is well below."""
    for offset in (ClockOffset(seconds, seconds), ClockOffset(-seconds, -seconds)):
        assert skew_to_tell(told, offset, LIMITS) is expected
    assert skew_to_tell(told, None, LIMITS) is told


@pytest.mark.parametrize(
    ("is_holding", "seconds", "expected"), [(True, 11, True), (True, 10, False), (False, 11, False)]
)
def test_syncs_are_held_only_where_the_policy_says_so(is_holding: bool, seconds: float, expected: bool) -> None:
    """Over the limit, and never because the offset is not known."""
    limits = ClockLimits(is_holding=is_holding)
    assert holds_syncs(ClockOffset(seconds, seconds), limits) is expected
    assert not holds_syncs(None, limits)
