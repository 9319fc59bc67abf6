"""What an export must carry of each table, from what the tables looked like then and now. Pure.

A table is left alone, shipped by its changed keys, or whole; when definitions changed, only a seed will do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.replication.model import TableMode

WHOLE_KEYS: Final = 20_000
WHOLE_SHARE: Final = 0.75
"""From so many changed keys and this share of a table's rows on, all rows take less time than those of the keys.

At most a third more of them travel than changed, and without their keys.
"""

#: Among the shapes: the publication by which changes are captured.
CAPTURED_BY = "publication"


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table looked like at a sync point."""

    name: str
    filenode: int
    token: str
    shape: str
    publication_entry: int | None
    columns: str | None = None
    """Changes when rows of the old definition may not fit the new one; shape tells of constraints and names besides.

    Two parts, the second of which (behind the last colon) tells of the columns alone.
    """
    column_count: int | None = None
    """Those that were dropped included."""


@dataclass(frozen=True, slots=True)
class TableStates:
    """What all tables of a component looked like at a sync point, and tokens of the types and sequences they use."""

    tables: Mapping[int, TableState]
    shapes: Mapping[str, str]

    def encode(self) -> tuple[str, bytes]:
        """Return the document to store and its digest."""
        document = json.dumps(
            {
                "tables": {
                    str(oid): [
                        state.name,
                        state.filenode,
                        state.token,
                        state.shape,
                        state.publication_entry,
                        state.columns,
                        state.column_count,
                    ]
                    for oid, state in sorted(self.tables.items())
                },
                "shapes": dict(sorted(self.shapes.items())),
            },
            separators=(",", ":"),
        )
        return document, hashlib.sha256(document.encode()).digest()

    @classmethod
    def decode(cls, document: Mapping[str, Any]) -> TableStates:
        """Return the states of a stored document."""
        return cls(
            tables={int(oid): TableState(*values) for oid, values in document["tables"].items()},
            shapes=document["shapes"],
        )


@dataclass(frozen=True, slots=True)
class PendingKeys:
    """What a subscriber has not got of a table."""

    key_count: int
    is_marked: bool
    """The whole table is marked: truncated, or changed in a way that carries no key."""
    definitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One table to be exported, and why it goes whole if it does."""

    oid: int
    mode: TableMode
    key_count: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeltaPlan:
    """What a delta carries; `schema_change` says in words how definitions changed."""

    tables: tuple[PlannedTable, ...]
    schema_change: str | None = None
    is_refused: bool = False
    """Only a seed will do, because of that change."""


def find_schema_change(before: TableStates, now: TableStates) -> str | None:
    """Say in words what changed in the definitions that data depends on; None when nothing did."""
    for oid, state in now.tables.items():
        if oid not in before.tables:
            return f"table {state.name} is new"
        if before.tables[oid].shape != state.shape:
            return f"the definition of table {state.name} changed"
    for oid, state in before.tables.items():
        if oid not in now.tables:
            return f"table {state.name} was dropped"
    for kind in sorted(now.shapes.keys() | before.shapes.keys()):
        if now.shapes.get(kind) != before.shapes.get(kind):
            return f"the definitions of {kind} changed"
    return None


def find_whole_reason(
    before: TableState, now: TableState, pending: PendingKeys | None, definition: int | None
) -> str | None:
    """Say why changed keys are not enough for a table; None when they are.

    A new file alone (VACUUM FULL, CLUSTER) changes no row: the token tells a rewriting ALTER TABLE from it.
    """
    if pending is not None and pending.is_marked:
        return "truncated, or changed without a readable key"
    if before.publication_entry != now.publication_entry:
        return "its changes were not captured for a while"
    if before.filenode != now.filenode and before.token != now.token:
        return "rewritten by ALTER TABLE"
    if pending is not None and pending.definitions - {definition}:
        return "its key was of another type for a while"
    return None


def list_grown(before: TableStates, now: TableStates) -> dict[int, int]:
    """Return the tables, by oid, that may only have more columns than before, with how many they had."""
    return {
        oid: known.column_count
        for oid, known in before.tables.items()
        if (state := now.tables.get(oid)) is not None
        and known.column_count is not None
        and state.column_count is not None
        and state.column_count > known.column_count
        and known.columns != state.columns
    }


def is_grown(before: TableState, now: TableState, columns: str) -> bool:
    """Say whether a table has but more columns now, from how the columns of then look now."""
    return before.columns == f"{(now.columns or '').rpartition(':')[0]}:{columns}"


def plan_delta(
    before: TableStates,
    now: TableStates,
    pending: Mapping[int, PendingKeys],
    definitions: Mapping[int, int],
    *,
    brings_definitions: bool = False,
    grown: Collection[int] = (),
) -> DeltaPlan:
    """Plan a delta between two states; `definitions` gives the key definition of each table with a usable key.

    A changed definition leaves nothing to plan, unless the standby brings it: then tables whose rows may not fit any
    more are carried whole; `grown` are those that have but more columns, which older rows are without. A publication
    that was altered has missed changes, which no definition brings back.
    """
    change = find_schema_change(before, now)
    is_captured = before.shapes.get(CAPTURED_BY) == now.shapes.get(CAPTURED_BY)
    if change is not None and not (brings_definitions and is_captured):
        return DeltaPlan((), change, is_refused=True)
    planned: list[PlannedTable] = []
    for oid, state in now.tables.items():
        reason = None if change is None else _find_new_reason(before, oid, state, is_grown=oid in grown)
        if reason is None and oid not in definitions:
            continue
        keys = pending.get(oid)
        reason = reason or find_whole_reason(before.tables[oid], state, keys, definitions[oid])
        if reason is not None:
            planned.append(PlannedTable(oid, TableMode.WHOLE, reason=reason))
        elif keys is not None and keys.key_count:
            planned.append(PlannedTable(oid, TableMode.DELTA, key_count=keys.key_count))
    # Whole tables first: one that is truncated often is read while the snapshot is young.
    planned.sort(key=lambda table: table.mode is not TableMode.WHOLE)
    return DeltaPlan(tuple(planned), change)


def list_mostly_changed(planned: Collection[PlannedTable], rows: Mapping[int, int]) -> list[int]:
    """Return the tables, by oid, of which most rows changed; tables of unknown size (no or 0 rows) are not judged."""
    return [
        table.oid
        for table in planned
        if table.mode is TableMode.DELTA and table.key_count >= max(WHOLE_KEYS, WHOLE_SHARE * rows.get(table.oid, 0))
        if rows.get(table.oid)
    ]


def widen(planned: Collection[PlannedTable], oids: Collection[int]) -> tuple[PlannedTable, ...]:
    """Return the plan with these tables carried whole; those come first."""
    wide = [
        PlannedTable(one.oid, TableMode.WHOLE, reason="most of its rows changed") for one in planned if one.oid in oids
    ]
    return (*wide, *(one for one in planned if one.oid not in oids))


def _find_new_reason(before: TableStates, oid: int, now: TableState, *, is_grown: bool) -> str | None:
    """Say why a table's definition calls for all of its rows; None where its old rows fit."""
    known = before.tables.get(oid)
    if known is None:
        return "new"
    if known.name != now.name:
        return f"its name was {known.name}"
    fits = is_grown or (known.columns == now.columns and known.columns is not None)
    return None if fits else "its definition changed"
