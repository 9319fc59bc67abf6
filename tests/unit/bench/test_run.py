"""The bench's own rules: every target has a row, and a comparison that fails loses no other one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.cases import groups_of
from bench.model import QUICK, Case, Group, NotMeasured, Round, Row, Sizes, summarise
from bench.run import choose, run
from bench.table import print_json, print_table

TARGETS = {
    ("stream", "psql COPY | psql COPY"): 0.8,
    ("seed with indexes", "subscription's initial copy"): 0.7,
    ("seed with indexes", "pg_dump -j2, pg_restore -j2"): 1.0,
    ("seed of 8 tables with indexes", "subscription's initial copy"): 0.7,
    ("seed of 8 tables with indexes", "pg_dump -j2, pg_restore -j2"): 1.0,
    ("delta after one UPDATE, drained", "subscription"): 0.65,
    ("delta after one UPDATE, from the commit", "subscription"): 1.1,
    ("delta after hot rows, drained", "subscription"): 0.1,
    ("delta after hot rows, from the commit", "subscription"): 0.35,
    ("throughput with capture", "without capture"): 0.95,
    ("idle sync, 1,000 tables", ""): 100,
    ("idle sync, 10,000 tables", ""): 1000,
    ("idle sync's scans of tables, 1,000 tables", ""): 0,
    ("idle sync's scans of tables, 10,000 tables", ""): 0,
    ("memory, 1,000 MB", ""): 154,
    ("memory, rows of 32 MB", ""): 278,
    ("decision to promote until /active answers 200", ""): 1.0,
}


async def answer(stage: int) -> Round:
    """Give the number of the stage."""
    return Round(float(stage))


async def fail(stage: int) -> Round:
    """Fail as a server does, in several lines."""
    raise OSError(f"stage {stage}\nis broken")


async def refuse(stage: int) -> Round:
    """Say that it cannot be measured."""
    raise NotMeasured("not here")


def stages(number: int, problem: Exception | None = None) -> Callable[[Path], Any]:
    """Return what opens stages with numbers from this one on, or fails to."""
    numbers = iter(range(number, 100))

    @asynccontextmanager
    async def open_stage(folder: Path) -> AsyncIterator[int]:
        assert folder.name.startswith("warmstandby-bench-")
        if problem is not None:
            raise problem
        yield next(numbers)

    return open_stage


def test_every_target_has_a_row() -> None:
    """With the ratio or the limit that the design asks for."""
    cases = [case for group in groups_of(Sizes()) for case in group.cases]
    assert {(case.name, case.peer): case.wanted for case in cases if case.wanted is not None} == TARGETS


def test_only_what_is_asked_for_is_chosen() -> None:
    """By words that its name contains."""
    chosen = [choose(group, ["idle sync, 1,000", "stream"]) for group in groups_of(Sizes())]
    assert [case.name for group in chosen for case in group.cases] == ["stream", "idle sync, 1,000 tables"]


async def test_a_comparison_that_fails_is_a_row_and_the_next_one_has_a_new_stage() -> None:
    """The error stands in one line."""
    rows: list[Row] = []
    group = Group(stages(1), (Case("first", answer), Case("second", fail), Case("third", answer)))
    await run([group], QUICK, rows)
    assert [(row.name, row.ours, row.error) for row in rows] == [
        ("first", 1.0, None),
        ("second", None, "OSError: stage 1 is broken"),
        ("third", 2.0, None),
    ]


async def test_a_stage_that_cannot_be_made_costs_its_own_comparisons_alone() -> None:
    """They all say why; so do those that cannot be measured here."""
    rows: list[Row] = []
    broken = Group(stages(1, OSError("no room")), (Case("first", answer), Case("second", answer)))
    absent = Group(stages(1, NotMeasured("not installed")), (Case("third", answer),))
    refusing = Group(stages(5), (Case("fourth", answer), Case("fifth", refuse)))
    await run([broken, absent, refusing], QUICK, rows)
    assert [(row.name, row.ours, row.error, row.not_measured) for row in rows] == [
        ("first", None, "OSError: no room", None),
        ("second", None, "OSError: no room", None),
        ("third", None, None, "not installed"),
        ("fourth", 5.0, None, None),
        ("fifth", None, None, "not here"),
    ]


@pytest.mark.parametrize(
    ("rounds", "wanted", "is_at_least", "value", "reached"),
    [
        ([Round(6, 10), Round(7, 10), Round(8, 10)], 0.7, False, 0.7, True),
        ([Round(7.1, 10)], 0.7, False, 0.71, False),
        ([Round(95, 100)], 0.95, True, 0.95, True),
        ([Round(94, 100)], 0.95, True, 0.94, False),
        ([Round(99), Round(101), Round(120)], 100.0, False, 101, False),
        ([Round(1)], None, False, 1, None),
    ],
)
def test_a_target_is_reached_by_the_median_round(
    rounds: list[Round], wanted: float | None, is_at_least: bool, value: float, reached: bool | None
) -> None:
    """Of the ratios where there is a peer, else of our figures; a limit that is met is kept."""
    row = summarise(Case("case", answer, wanted=wanted, is_at_least=is_at_least), rounds)
    assert (row.value, row.reached) == (value, reached)


def test_people_and_programs_read_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """What failed and what was not measured is told in both."""
    rows = [
        summarise(Case("reached", answer, wanted=0.5, peer="other"), [Round(1, 4, "a remark")]),
        summarise(Case("missed", answer, "ms", wanted=100.0), [Round(250)]),
        Row("absent", "pglogical", "s", None, False, not_measured="not installed"),
        Row("broken", "", "s", None, False, error="OSError: no room"),
    ]
    print_table(rows, QUICK)
    lines = capsys.readouterr().out.splitlines()[3:]
    assert lines[0].split() == ["reached", "other", "s", "1.00", "4.00", "0.25", "<=", "0.5", "yes"]
    assert lines[1].strip() == "a remark"
    assert lines[2].split() == ["missed", "-", "ms", "250.0", "250.0", "<=", "100", "NO"]
    assert "not measured: not installed" in lines[3]
    assert "FAILED: OSError: no room" in lines[4]
    print_json(rows, QUICK)
    told = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["reached"]) for row in told["rows"]] == [
        ("reached", True),
        ("missed", False),
        ("absent", None),
        ("broken", None),
    ]
