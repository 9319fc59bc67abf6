"""Whether the source may be believed, and a full copy has room: what stops a sync before anything is overwritten. Pure.

A standby that follows a source emptied by accident is no standby any more, so an administrator is asked first.
Each judgement returns in words, with the figures, why it refuses; None where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.replication.model import SourceIdentity

_SHOWN: Final = 3
_NOT_COUNTED: Final = 2
"""How far the number of rows may be from what the server noted when it last counted them."""


class Guard(StrEnum):
    """What may stop a sync; its name is the code of the refusal, and what an administrator accepts."""

    SOURCE_SHRANK = "source_shrank"
    SOURCE_CHANGED = "source_changed"
    DISK_SHORT = "disk_short"


@dataclass(frozen=True, slots=True)
class ShrinkLimits:
    """From which loss on a source is not believed; a share of 1 is never passed. An empty source never is believed."""

    max_rows_lost_share: float = 0.5
    """Of the rows of all tables together."""
    max_table_rows_lost_share: float = 1.0
    """Of the rows of each table."""
    max_tables_lost_share: float = 0.5
    least_rows: int = 1000
    """A table, or a database, with fewer rows has nothing that its share of rows would say."""
    max_files_lost_share: float = 0.5
    least_files: int = 20
    """A file set with fewer files is asked for no share."""


@dataclass(frozen=True, slots=True)
class Guards:
    """How one sync is guarded: the limits, and what an administrator has accepted for it."""

    limits: ShrinkLimits = ShrinkLimits()
    accepted: frozenset[Guard] = frozenset()


UNGUARDED: Final = Guards(accepted=frozenset(Guard))
"""Everything is accepted."""


def may_have_shrunk(lost: Mapping[str, int], known: Mapping[str, int], limits: ShrinkLimits) -> bool:
    """Say whether a loss calls for counting: `lost` is the most that each table may lose, `known` what it holds.

    `known` are the server's own estimates of every table of the copy; none (0) says nothing.
    """
    all_lost = sum(lost.values())
    if not all_lost:
        return False
    if _NOT_COUNTED * all_lost > limits.max_rows_lost_share * sum(known.values()):
        return True
    share = limits.max_table_rows_lost_share
    return share < 1 and any(_NOT_COUNTED * rows > share * known.get(name, 0) for name, rows in lost.items())


def find_lost_tables(before: Mapping[str, int], after: Mapping[str, int], limits: ShrinkLimits) -> str | None:
    """Judge how many tables there are; a table that was renamed is not lost."""
    lost = len(before) - len(after)
    if lost <= limits.max_tables_lost_share * len(before):
        return None
    gone = sorted(before.keys() - after.keys(), key=lambda name: (-before[name], name))
    more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
    return (
        f"of the copy's {len(before)} tables {len(after)} would be left, {_percent(limits.max_tables_lost_share)} may "
        f"be lost at most: {', '.join(gone[:_SHOWN])}{more} would go"
    )


def find_shrinkage(before: Mapping[str, int], after: Mapping[str, int], limits: ShrinkLimits) -> str | None:
    """Judge the rows of each table, by name, as the copy holds them and as it would after the sync."""
    rows, left = sum(before.values()), sum(after.values())
    if rows and not left:
        return f"the source is empty, the copy holds {rows:,} rows: {_describe(before, after)}"
    if rows >= limits.least_rows and rows - left > limits.max_rows_lost_share * rows:
        return (
            f"of the copy's {rows:,} rows {left:,} would be left, {_percent(limits.max_rows_lost_share)} may be lost "
            f"at most: {_describe(before, after)}"
        )
    share = limits.max_table_rows_lost_share
    shrunk = {
        name: count
        for name, count in before.items()
        if count >= limits.least_rows and count - after.get(name, 0) > share * count
    }
    if not shrunk:
        return None
    return f"of a table's rows {_percent(share)} may be lost at most: {_describe(shrunk, after)}"


def find_lost_files(before: int, left: int, limits: ShrinkLimits) -> str | None:
    """Judge how many files a file set has, as the copy holds them and as its source does; one renamed is not lost."""
    if before and not left:
        return f"the source's folder holds no file (is its file system mounted?), the copy holds {before:,}"
    if before >= limits.least_files and before - left > limits.max_files_lost_share * before:
        share = _percent(limits.max_files_lost_share)
        return f"of the copy's {before:,} files {left:,} would be left, {share} may be lost at most"
    return None


def find_other_database(node_id: str, before: SourceIdentity | None, now: SourceIdentity | None) -> str | None:
    """Judge whether the source is the database that the copy was made from, on the same node in the same term.

    A server that was restored from a copy of its data directory is the same; one that was made anew is not.
    """
    if before is None or now is None:
        return None
    if before.system_identifier != now.system_identifier:
        return (
            f"the server of node {node_id} is another one than at the last sync: its system identifier was "
            f"{before.system_identifier} and is {now.system_identifier}"
        )
    if before.database_oid != now.database_oid:
        return (
            f"the database of node {node_id} was made anew since the last sync: its oid was {before.database_oid} "
            f"and is {now.database_oid}"
        )
    return None


def find_disk_shortage(
    *, needed_bytes: int | None, free_bytes: int | None, floor_bytes: int, live_bytes: int
) -> str | None:
    """Judge whether a full copy fits beside the live one, which stays until it is replaced; unknown is no refusal."""
    if needed_bytes is None or free_bytes is None or free_bytes - needed_bytes >= floor_bytes:
        return None
    return (
        f"a full copy needs about {_gigabytes(needed_bytes)} (the size of the source's database), "
        f"{_gigabytes(free_bytes)} are free and {_gigabytes(floor_bytes)} must stay so; the present copy of "
        f"{_gigabytes(live_bytes)} is kept until the new one takes its place"
    )


def find_no_room(*, needed_bytes: int, free_bytes: int, floor_bytes: int) -> str | None:
    """Judge whether what a file set lacks has room beside what is there, which stays until all has come."""
    if not needed_bytes or free_bytes - needed_bytes >= floor_bytes:
        return None
    return (
        f"{_gigabytes(needed_bytes)} are to come, {_gigabytes(free_bytes)} are free and {_gigabytes(floor_bytes)} must "
        "stay so; what is there now stays until all has come"
    )


def _describe(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Name the tables that lose most."""
    losing = sorted(
        (name for name in before if before[name] > after.get(name, 0)),
        key=lambda name: (after.get(name, 0) - before[name], name),
    )
    shown = "; ".join(f"{name} {before[name]:,} to {after.get(name, 0):,}" for name in losing[:_SHOWN])
    more = f"; and {len(losing) - _SHOWN} more tables" if len(losing) > _SHOWN else ""
    return shown + more


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
