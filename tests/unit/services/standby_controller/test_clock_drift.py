"""How fast a clock moves: the true drift is inside the interval, and a clock that is set begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.peer_clock import PeerClock
from services.standby_controller.policy.clock_drift import KEEP_COUNT, ClockDrift, estimate_drift, keep_sample
from services.standby_controller.policy.clock_offset import ClockOffset, ClockSample
from shared.node.client import Heard
from shared.node.model import ClockExchange, DatabaseHealth, Heartbeat, State, Versions
from shared.settings import Mode

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _sample(at: float, seconds: float, error: float = 0.001) -> ClockSample:
    return ClockSample(at, ClockOffset(seconds - error, seconds + error))


@given(
    st.floats(-500, 500),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(1e-6, 0.05)), min_size=2, max_size=30),
)
def test_the_true_drift_is_inside(ppm: float, noise: list[tuple[float, float]]) -> None:
    """Wherever in each interval the truth lies."""
    kept: tuple[ClockSample, ...] = ()
    for minute, (place, width) in enumerate(noise):
        at = minute * 60.0
        low = at * ppm * 1e-6 - place * width
        kept = keep_sample(kept, ClockSample(at, ClockOffset(low, low + width)))
    drift = estimate_drift(kept)
    assert drift is not None
    assert drift.low_ppm - 1e-6 <= ppm <= drift.high_ppm + 1e-6


def test_it_grows_narrower_with_time() -> None:
    """A millisecond in two hours is less than a millionth."""
    kept: tuple[ClockSample, ...] = ()
    widths = []
    for minute in range(KEEP_COUNT):
        kept = keep_sample(kept, _sample(minute * 60.0, minute * 60.0 * 20e-6))
        if minute in (1, 10, KEEP_COUNT - 1):
            drift = estimate_drift(kept)
            assert drift is not None
            assert drift.low_ppm <= 20 <= drift.high_ppm
            widths.append(drift.high_ppm - drift.low_ppm)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 1.0


def test_one_sample_a_minute_is_kept_the_narrowest() -> None:
    """For two hours."""
    kept: tuple[ClockSample, ...] = ()
    for second in range(0, 3 * 3600, 5):
        kept = keep_sample(kept, _sample(second, 0.0, 0.1 if second % 60 else 0.01))
    assert len(kept) == KEEP_COUNT
    assert {sample.offset.error_seconds for sample in kept} == {0.01}


def test_a_clock_that_is_set_begins_anew() -> None:
    """What it did before says nothing."""
    kept: tuple[ClockSample, ...] = ()
    for minute in range(5):
        kept = keep_sample(kept, _sample(minute * 60.0, 0.0))
    assert keep_sample(kept, _sample(300.0, 3.0)) == (_sample(300.0, 3.0),)
    assert estimate_drift(kept[:1]) is None


def test_a_drift_that_changes_counts_from_there() -> None:
    """As when time synchronisation slews the clock: the newest minutes say how it is now."""
    offsets = [minute * 60 * 200e-6 for minute in range(10)]
    offsets += [offsets[-1]] * 10  # it stands since then
    kept: tuple[ClockSample, ...] = ()
    for minute, seconds in enumerate(offsets):
        kept = keep_sample(kept, _sample(minute * 60.0, seconds, 0.0001))
    drift = estimate_drift(kept)
    assert drift is not None
    assert drift.low_ppm <= 0 <= drift.high_ppm
    assert drift.overlap(ClockDrift(199, 201)) is None


def _heard(at: float, ahead: float, round_trip: float = 0.002) -> Heard:
    sent = NOON + timedelta(seconds=at)
    theirs = sent + timedelta(seconds=ahead + round_trip / 2)
    heartbeat = Heartbeat(
        pair_id="pair",
        node_id="a",
        boot_id="boot",
        mode=Mode.PRIMARY,
        site="main",
        state=State.ACTIVE,
        clock=ClockExchange(sent_at=sent, received_at=theirs, answered_at=theirs),
        database=DatabaseHealth(is_healthy=True, checked_age_seconds=0.0),
        uptime_seconds=1.0,
        versions=Versions(warmstandby="0", python="3"),
    )
    return Heard(heartbeat, sent, sent + timedelta(seconds=round_trip), at, at + round_trip)


@pytest.mark.parametrize("step", [3.0, -3.0, 3600.0, 0.1])
def test_a_stepped_clock_is_seen_by_the_next_heartbeat(step: float) -> None:
    """With a bound that holds, and the drift unknown again."""
    clock = PeerClock()
    for beat in range(30):
        clock.add(_heard(beat * 5.0, 0.0))
    assert clock.drift is not None
    clock.add(_heard(150.0, step))
    assert clock.offset is not None
    assert clock.offset.low_seconds <= step <= clock.offset.high_seconds
    assert clock.offset.error_seconds < 0.01
    assert clock.drift is None


def test_a_good_exchange_narrows_the_slow_ones_after_it() -> None:
    """By no more than the clocks can have moved since."""
    clock = PeerClock()
    clock.add(_heard(0.0, 0.2, 0.002))
    for beat in range(1, 6):
        clock.add(_heard(beat * 5.0, 0.2, 1.0))
    assert clock.offset is not None
    assert clock.offset.low_seconds <= 0.2 <= clock.offset.high_seconds
    assert clock.offset.error_seconds < 0.05
