"""In what two nodes of a pair differ that should be alike, in words with figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.node.model import Resources, Versions

ENOUGH: Final = 0.8
"""Of what the active node has: with less a standby may not carry its load."""
_DISKS: Final = {"state_dir": "the disk of state_dir", "data_dir": "the disk of PostgreSQL's data"}


def describe_lack(standby: Resources, active: Resources) -> tuple[str, ...]:
    """Return what a standby has too little of; what either did not tell is not compared."""
    return tuple(_lacks(standby, active))


def describe_versions(node: Versions, own: Versions) -> tuple[tuple[str, ...], bool]:
    """Return which releases of a node are others than this node's, and whether that matters for a takeover."""
    differences = [
        (name, there, here)
        for name, there, here in (
            ("Warmstandby", node.warmstandby, own.warmstandby),
            ("PostgreSQL", node.postgres, own.postgres),
            ("Python", node.python, own.python),
        )
        if there is not None and here is not None and there != here
    ]
    matters = any(
        name == "Warmstandby" or (name == "PostgreSQL" and _major(there) != _major(here))
        for name, there, here in differences
    )
    return tuple(f"{name} {there} (here {here})" for name, there, here in differences), matters


def _lacks(standby: Resources, active: Resources) -> Iterator[str]:
    if _is_too_little(standby.cpu_count, active.cpu_count):
        yield f"{standby.cpu_count} CPUs instead of {active.cpu_count}"
    if _is_too_little(standby.memory_bytes, active.memory_bytes):
        yield f"{_gib(standby.memory_bytes)} of memory instead of {_gib(active.memory_bytes)}"
    there = {disk.folder: disk.total_bytes for disk in active.disks}
    for disk in standby.disks:
        if _is_too_little(disk.total_bytes, there.get(disk.folder)):
            name = _DISKS.get(disk.folder, disk.folder)
            yield f"{_gib(disk.total_bytes)} on {name} instead of {_gib(there[disk.folder])}"


def _is_too_little(has: int | None, wanted: int | None) -> bool:
    return has is not None and wanted is not None and has < ENOUGH * wanted


def _gib(size: int | None) -> str:
    return f"{(size or 0) / 2**30:.1f} GiB"


def _major(version: str) -> str:
    return version.partition(" ")[0].partition(".")[0]
