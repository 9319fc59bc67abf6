"""The live progress of a sync: counted once, shown with the time left, never jumping past its total."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.standby_controller.progress import Progress
from shared.replication.model import SyncKind, SyncPhase


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_time_left_follows_the_rate(clock: HandClock) -> None:
    """10 of 100 bytes in one second leave nine seconds."""
    progress = Progress(clock)
    progress.start_component("shop")
    progress.begin(SyncKind.SEED, tables_total=2, bytes_total=100)
    progress.enter(SyncPhase.COPYING)
    assert progress.view(clock.seconds).eta_seconds is None
    clock.seconds += 1
    progress.add_bytes(10)
    assert progress.view(clock.seconds).eta_seconds == pytest.approx(9.0)


def test_a_burst_does_not_make_the_time_left_jump(clock: HandClock) -> None:
    """The rate is smoothed: one fast second counts for less than a third."""
    progress = Progress(clock)
    progress.begin(SyncKind.SEED, tables_total=1, bytes_total=10_000)
    progress.enter(SyncPhase.COPYING)
    for count in (10, 10, 10, 1000):
        clock.seconds += 1
        progress.add_bytes(count)
    rate = progress.view(clock.seconds).bytes_per_second
    assert rate is not None
    assert 10 < rate < 0.4 * 1000


def test_an_estimate_that_was_too_low_is_lifted(clock: HandClock) -> None:
    """Nobody is shown 120 of 100 bytes."""
    progress = Progress(clock)
    progress.begin(SyncKind.SEED, tables_total=1, bytes_total=100)
    progress.enter(SyncPhase.COPYING)
    clock.seconds += 2
    progress.add_bytes(120)
    progress.finish_table("a", 1)
    progress.finish_table("b", 1)
    view = progress.view(clock.seconds)
    assert (view.bytes_done, view.bytes_total, view.tables_done, view.tables_total) == (120, 120, 2, 2)
    assert view.eta_seconds == 0.0


def test_rows_are_never_counted_twice(clock: HandClock) -> None:
    """Rows come while a table is copied, and again when it is finished."""
    progress = Progress(clock)
    progress.begin(SyncKind.DELTA, tables_total=1, bytes_total=None)
    progress.start_table("a")
    progress.add_rows(7)
    assert (progress.rows_done, progress.view(clock.seconds).current_tables) == (7, ("a",))
    progress.finish_table("a", 7)
    progress.finish_table("a", 7)
    assert (progress.rows_done, progress.rows_per_table) == (7, {"a": 7})
    assert progress.view(clock.seconds).current_tables == ()


def test_an_export_that_starts_again_starts_from_zero(clock: HandClock) -> None:
    """Bytes of the first try are not shown as done; the time they took is not forgotten."""
    progress = Progress(clock)
    progress.start_component("shop")
    for _ in range(2):
        progress.begin(SyncKind.SEED, tables_total=1, bytes_total=100)
        progress.enter(SyncPhase.COPYING)
        clock.seconds += 5
        progress.add_bytes(50)
    assert progress.bytes_done == 50
    assert progress.seconds_per_phase()["copying"] == pytest.approx(10.0)


def test_phases_add_up_and_belong_to_one_component(clock: HandClock) -> None:
    """The times of the last component are not those of the next."""
    progress = Progress(clock)
    progress.start_component("shop")
    clock.seconds += 1
    progress.enter(SyncPhase.COPYING)
    clock.seconds += 2
    progress.enter(SyncPhase.APPLYING)
    clock.seconds += 4
    assert progress.seconds_per_phase() == {"opening": 1.0, "copying": 2.0, "applying": 4.0}
    progress.start_component("mail")
    assert progress.seconds_per_phase() == {"opening": 0.0}
    assert (progress.component, progress.kind, progress.rows_done) == ("mail", None, 0)


def test_what_arrives_is_a_life_sign_of_the_source(clock: HandClock) -> None:
    """The manifest and each chunk; a component that only begins here is none."""
    assert Progress(clock).heard_at is None
    progress = Progress(clock)
    progress.start_component("shop")
    progress.begin(SyncKind.DELTA, tables_total=1, bytes_total=None)
    assert progress.heard_at == 100.0
    clock.seconds = 107.0
    progress.add_rows(5)
    progress.start_component("mail")
    assert progress.heard_at == 100.0
    progress.add_bytes(1)
    assert progress.heard_at == 107.0
