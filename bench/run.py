"""Measures all that Warmstandby must reach, beside its peers, and prints a table; not a test, never judged in CI.

A comparison that fails is a row with its error, and the next one has a new stage. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.cases import groups_of
from bench.model import DEFAULT, QUICK, Case, Group, NotMeasured, Round, Row, Sizes, leave_out, summarise
from bench.table import print_json, print_table


def main() -> int:
    """Run from the command line; the exit code says whether everything ran, not whether it was fast."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--rows", type=int, help=f"rows of the tables (default {DEFAULT.rows})")
    parser.add_argument("--rounds", type=int, help=f"rounds of each comparison (default {DEFAULT.rounds})")
    parser.add_argument("--major", type=int, help=f"PostgreSQL major version (default {DEFAULT.major})")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only what has this in its name; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes and one round: does everything run?")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--list", action="store_true", help="print the names and measure nothing")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in ("rows", "rounds", "major") if getattr(options, name) is not None}
    sizes = dataclasses.replace(QUICK if options.quick else DEFAULT, **given)
    groups = [chosen for group in groups_of(sizes) if (chosen := choose(group, options.only)).cases]
    if options.list:
        for case in (case for group in groups for case in group.cases):
            print(case.name, f"({case.peer})" if case.peer else "")
        return 0
    rows: list[Row] = []
    try:
        asyncio.run(run(groups, sizes, rows))
    except KeyboardInterrupt:
        say("interrupted: what is there so far")
    (print_json if options.json else print_table)(rows, sizes)
    return 1 if any(row.error is not None for row in rows) else 0


def choose(group: Group[Any], only: Collection[str]) -> Group[Any]:
    """Return a group with those comparisons alone whose name contains one of the words, where there are words."""
    cases = tuple(case for case in group.cases if not only or any(word in case.name for word in only))
    return dataclasses.replace(group, cases=cases)


async def run(groups: Collection[Group[Any]], sizes: Sizes, rows: list[Row]) -> None:
    """Run the comparisons one after the other and add a row for each."""
    for group in groups:
        waiting = list(group.cases)
        while waiting:
            waiting = await run_on_one_stage(group, waiting, sizes, rows)


async def run_on_one_stage(group: Group[Any], cases: list[Case[Any]], sizes: Sizes, rows: list[Row]) -> list[Case[Any]]:
    """Run a group's comparisons until one of them fails; return those that wait for a new stage."""
    begun = time.monotonic()
    waiting = list(cases)
    is_open = False
    try:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(making_folder())
            stage = await stack.enter_async_context(group.open(folder))
            is_open = True
            say(f"a stage was made in {time.monotonic() - begun:.0f} s")
            while waiting:
                measured = await measure(waiting[0], stage, sizes)
                rows.append(summarise(waiting.pop(0), measured))
    except NotMeasured as reason:
        say(f"not measured: {reason}")
        rows += [leave_out(case, not_measured=str(reason)) for case in waiting]
        return []
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        say(f"FAILED: {said}")
        failed = waiting[:1] if is_open else waiting
        rows += [leave_out(case, error=" ".join(said.split())[:300]) for case in failed]
        return waiting[len(failed) :]
    return waiting


async def measure(case: Case[Any], stage: Any, sizes: Sizes) -> list[Round]:
    """Return the rounds of one comparison."""
    measured: list[Round] = []
    wanted = min(case.rounds or sizes.rounds, sizes.rounds)
    for number in range(1, wanted + 1):
        begun = time.monotonic()
        measured.append(await case.run(stage))
        against = f" against {case.peer}" if case.peer else ""
        took = time.monotonic() - begun
        say(f"{case.name}{against}, round {number} of {wanted}: {measured[-1].value:.3g} (took {took:.0f} s)")
    return measured


@contextmanager
def making_folder() -> Iterator[Path]:
    """Give a folder for the time of a block; the servers in it may run as somebody else."""
    with tempfile.TemporaryDirectory(prefix="warmstandby-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"... {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
