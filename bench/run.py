"""Runs the comparisons and prints a table of ratios; not a test, never judged by a clock in CI."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from pathlib import Path

from bench.cases import CASES, Case, Round
from bench.stage import open_stage


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (default %(default)s)")
    parser.add_argument("--major", type=int, default=18, help="PostgreSQL major version (default %(default)s)")
    parser.add_argument("--only", default="", help="only comparisons whose name contains this")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    results = asyncio.run(run(options.rows, options.rounds, options.major, options.only))
    if options.json:
        print(json.dumps([{"case": case.name, "rival": case.rival, **summarise(rounds)} for case, rounds in results]))
    else:
        print_table(results, options)


async def run(rows: int, rounds: int, major: int, only: str) -> list[tuple[Case, list[Round]]]:
    """Return the rounds of each comparison, run one after the other on one stage."""
    results: list[tuple[Case, list[Round]]] = []
    with tempfile.TemporaryDirectory(prefix="warmstandby-bench-") as folder:
        async with open_stage(Path(folder), major=major, rows=rows) as stage:
            await stage.sync()
            for case in (case for case in CASES if only in case.name):
                measured = [await case.run(stage) for _ in range(rounds)]
                results.append((case, measured))
    return results


def summarise(rounds: list[Round]) -> dict[str, float]:
    """Return medians of both sides, and of the ratio round by round."""
    return {
        "ours_seconds": round(statistics.median(one.ours_seconds for one in rounds), 3),
        "rival_seconds": round(statistics.median(one.rival_seconds for one in rounds), 3),
        "ratio": round(statistics.median(one.ours_seconds / one.rival_seconds for one in rounds), 3),
    }


def print_table(results: list[tuple[Case, list[Round]]], options: argparse.Namespace) -> None:
    """Print the table for people."""
    machine = f"{os.cpu_count()} processors"
    print(f"PostgreSQL {options.major}, {options.rows} rows, {options.rounds} rounds, {machine}; medians")
    print(f"{'ours':<50} {'against':<30} {'ours s':>8} {'other s':>8} {'ratio':>7} {'wanted':>7}")
    for case, rounds in results:
        figures = summarise(rounds)
        print(
            f"{case.name:<50} {case.rival:<30} {figures['ours_seconds']:>8.2f} {figures['rival_seconds']:>8.2f} "
            f"{figures['ratio']:>7.2f} {case.wanted:>7.2f}"
        )


if __name__ == "__main__":
    main()
