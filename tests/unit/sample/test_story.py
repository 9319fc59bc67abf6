"""What the demo says of itself: verdicts, progress and refreshing lines, from values alone."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sample.comparison_result import CompareMethod, Comparison, TableComparison, Verdict
from sample.story.live import done_share, progress_lines
from sample.story.report import Report, Round, age_seconds, describe_round
from sample.story.screen import PlainScreen, TerminalScreen

RUNNING: dict[str, Any] = {
    "phase": "copying",
    "rows_done": 12_345,
    "bytes_done": 25_000_000,
    "bytes_total": 100_000_000,
    "bytes_per_second": 15_000_000.0,
    "eta_seconds": 5.2,
    "tables_done": 3,
    "tables_total": 31,
}


def played(number: int, verdict: Verdict = Verdict.EQUAL, *, is_quiet: bool = False) -> Round:
    """Return a round whose one table came out like this."""
    table = TableComparison(name="fleet.devices", verdict=verdict, source_rows=7, target_rows=7)
    comparison = Comparison(tables=(table,), sequences=(), method=CompareMethod.SORTED_ROWS, seconds=0.5)
    kind = "delta" if number else "seed"
    return Round(number, kind, 1000, 2_000_000, 0.5, 0.4, 9.0 if number else None, 0.1, is_quiet, comparison)


@pytest.mark.parametrize(
    ("rounds", "error", "expected"),
    [
        ([played(0), played(1, is_quiet=True)], None, True),
        ([played(0), played(1, Verdict.DIFFERENT, is_quiet=True)], None, False),
        ([played(0, Verdict.NOT_COMPARABLE), played(1, is_quiet=True)], None, False),
        ([played(0)], None, False),
        ([], None, False),
        ([played(0), played(1)], None, False),
        ([played(0), played(1, is_quiet=True)], "the agent ended", False),
    ],
    ids=["all equal", "one differs", "one not comparable", "one missing", "nothing", "never at rest", "failed later"],
)
def test_equal_means_every_wanted_round_was_compared_and_equal(
    rounds: list[Round], error: str | None, expected: bool
) -> None:
    """The exit code hangs on it: less than everything is not equal."""
    report = Report(rounds=rounds, wanted_syncs=1, error=error)
    assert report.equal is expected
    assert report.as_json()["equal"] is expected
    assert ("\nEQUAL: " in f"\n{report.summary()}") is expected


def test_the_summary_names_what_differs() -> None:
    """Whoever sees NOT EQUAL wants to know what."""
    report = Report(rounds=[played(0), played(1, Verdict.DIFFERENT, is_quiet=True)], wanted_syncs=1)
    assert "Sync 1 left both sides unequal" in report.summary()
    assert "table fleet.devices is different" in report.summary()
    assert describe_round(played(1)) == "Sync 1: delta, 1,000 rows, 2.0 MB in 0.50 s (4.0 MB/s); equal, 7 rows compared"


def test_ages_are_never_negative() -> None:
    """Two clocks, or two roundings of one."""
    assert age_seconds("2026-01-01T00:00:00Z", "2026-01-01T00:00:02.5Z") == 2.5
    assert age_seconds("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z") == 0.0


def test_progress_shows_a_bar_and_all_counters() -> None:
    """Bytes tell most; where their sum is unknown, tables do; where neither is known, there is no bar."""
    assert list(progress_lines(RUNNING)) == [
        "  [########......................]  25%",
        "  12,345 rows, 25.0 MB, 15.0 MB/s, ETA 5 s, 3 of 31 tables",
    ]
    assert done_share({**RUNNING, "bytes_total": None}) == pytest.approx(3 / 31)
    assert done_share({**RUNNING, "bytes_done": 200_000_000}) == 1.0
    unknown = {**RUNNING, "bytes_total": None, "tables_total": None, "bytes_per_second": None, "eta_seconds": None}
    assert list(progress_lines(unknown)) == ["  12,345 rows, 25.0 MB"]


def test_a_terminal_block_replaces_itself_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wrapped would break the count of lines to go back."""
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    screen = TerminalScreen(stream)
    screen.show("copying", ["first", "x" * 50])
    screen.show("copying", ["second"])
    assert "x" * 19 + "\n" in stream.getvalue()
    assert "x" * 20 not in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2F\x1b[2Ksecond\n\x1b[J")
    screen.say("done")
    assert stream.getvalue().endswith("\x1b[1F\x1b[J\x1b[?25hdone\n")
    before = stream.getvalue()
    screen.clear()
    assert stream.getvalue() == before


def test_plain_output_tells_each_stage_once() -> None:
    """A log file is no place for a refreshing block."""
    stream = io.StringIO()
    screen = PlainScreen(stream)
    for share in ("10%", "20%"):
        screen.show("copying", ["Seed: copying", f"  {share}"])
    screen.show("indexes", ["Seed: indexes"])
    assert stream.getvalue() == "Seed: copying  10%\nSeed: indexes\n"
