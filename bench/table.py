"""The rows as a table for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Final

from bench.model import Row, Sizes

HEAD: Final = (
    f"{'what':<52} {'peer':<28} {'unit':>6} "
    f"{'ours':>9} {'peer':>9} {'value':>8} {'(from - to)':>15} {'wanted':>8}  reached"
)


def print_json(rows: Sequence[Row], sizes: Sizes) -> None:
    """Print one JSON object."""
    print(json.dumps({**_surroundings(sizes), "rows": [dataclasses.asdict(row) for row in rows]}))


def print_table(rows: Sequence[Row], sizes: Sizes) -> None:
    """Print a line for each row, and its remark below."""
    print(
        f"PostgreSQL {sizes.major}, {sizes.rows:,} rows, {os.cpu_count()} processors; medians; value is ours : peer, "
        "or ours where there is no peer"
    )
    if sizes.is_quick:
        print("Smoke run: sizes are tiny and the figures mean nothing.")
    print(HEAD)
    for row in rows:
        print(_line(row))
        if row.note:
            print(f"    {row.note}")


def _surroundings(sizes: Sizes) -> dict[str, object]:
    return {"processors": os.cpu_count(), "sizes": dataclasses.asdict(sizes)}


def _line(row: Row) -> str:
    start = f"{row.name:<52} {row.peer or '-':<28} {row.unit:>6}"
    if row.error is not None:
        return f"{start} FAILED: {row.error}"
    if row.not_measured is not None:
        return f"{start} not measured: {row.not_measured}"
    spread = "" if row.rounds < 2 else f"({_figure(row.lowest)} - {_figure(row.highest)})"
    sign = ">=" if row.is_at_least else "<="
    wanted = "" if row.wanted is None else f"{sign} {row.wanted:g}"
    reached = {True: "yes", False: "NO", None: ""}[row.reached]
    figures = f"{_figure(row.ours):>9} {_figure(row.peers):>9} {_figure(row.value):>8}"
    return f"{start} {figures} {spread:>15} {wanted:>8}  {reached}"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
