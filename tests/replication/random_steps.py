"""The steps that a random program is made of, as plain data, and how often each kind is drawn.

A step is its kind and a number; what the number chooses is decided when the step is played (`random_scene`). So every
program is valid, and so is every part of it: that is what lets a failing one be shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from hypothesis import strategies as st

from tests.replication import random_alterations as alterations
from tests.replication import random_objects as objects
from tests.replication import random_rows as rows
from tests.replication import random_tables as tables
from tests.replication.random_scene import Draws, Scene

HIGHEST: Final = 2**16 - 1


class Control(StrEnum):
    """Steps that are no statements of their own."""

    SYNC = "sync"
    SYNC_MEANWHILE = "sync_meanwhile"
    """A sync, and a statement once its snapshot is taken."""
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "rollback_to"


class Step(NamedTuple):
    """One step of a program."""

    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Kind:
    """What the application does, and how often it is drawn."""

    make: Callable[[Draws, Scene], str]
    """Return the SQL; raises Inapplicable."""
    weight: int = 2
    is_alone: bool = False
    """It runs in no transaction."""


_ALL: Final = (
    Kind(rows.insert, 14),
    Kind(rows.upsert, 3),
    Kind(rows.insert_defaults),
    Kind(rows.update, 8),
    Kind(rows.change_keys, 4),
    Kind(rows.swap_values, 2),
    Kind(rows.move_rows, 2),
    Kind(rows.delete, 4),
    Kind(rows.truncate, 2),
    Kind(tables.make_table, 8),
    Kind(tables.make_divided, 4),
    Kind(tables.make_leaf, 3),
    Kind(tables.attach, 3),
    Kind(tables.detach, 2),
    Kind(alterations.detach_aside, 1, is_alone=True),
    Kind(tables.make_child, 3),
    Kind(tables.inherit, 2),
    Kind(tables.make_like, 2),
    Kind(tables.make_again, 2),
    Kind(tables.drop_table, 3),
    Kind(tables.rename_table, 2),
    Kind(tables.swap_tables, 2),
    Kind(tables.move_table, 2),
    Kind(tables.set_logged, 2),
    Kind(tables.write_anew, 2, is_alone=True),
    Kind(tables.own_table, 3),
    Kind(tables.comment, 3),
    Kind(alterations.add_column, 5),
    Kind(alterations.drop_column, 3),
    Kind(alterations.rename_column, 3),
    Kind(alterations.retype_column, 3),
    Kind(alterations.rewrite_column, 2),
    Kind(alterations.change_column, 4),
    Kind(alterations.change_key, 4),
    Kind(alterations.add_constraint, 7),
    Kind(alterations.drop_constraint, 3),
    Kind(alterations.make_index, 4),
    Kind(alterations.change_index, 3),
    Kind(alterations.make_index_aside, 1, is_alone=True),
    Kind(alterations.change_identity, 3),
    Kind(alterations.change_security, 3),
    Kind(alterations.change_triggers, 4),
    Kind(alterations.change_rules, 2),
    Kind(alterations.change_statistics, 2),
    Kind(objects.change_schemas, 2),
    Kind(objects.make_view, 3),
    Kind(objects.change_view, 2),
    Kind(objects.make_materialized, 2),
    Kind(objects.change_materialized, 2),
    Kind(objects.make_function, 3),
    Kind(objects.change_function, 2),
    Kind(objects.make_type, 2),
    Kind(objects.change_enum, 3),
    Kind(objects.change_domain, 2),
    Kind(objects.change_sequences, 4),
    Kind(objects.change_rights, 1),
    Kind(objects.change_objects, 2),
)
KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.make.__name__: kind for kind in _ALL})
_CONTROLS: Final = {
    Control.SYNC: 34,
    Control.SYNC_MEANWHILE: 3,
    Control.BEGIN: 10,
    Control.COMMIT: 6,
    Control.ROLLBACK: 3,
    Control.SAVEPOINT: 2,
    Control.ROLLBACK_TO: 2,
}
_MAKING: Final = ("make_table", "make_table", "make_divided", "make_child", "make_type", "make_view", "insert")
_DRAWN: Final = (
    *(name for name, kind in KINDS.items() for _ in range(kind.weight)),
    *(name.value for name, weight in _CONTROLS.items() for _ in range(weight)),
)
_FIRST_STEPS: Final = 8
_LONGEST: Final = 1000


@st.composite
def programs(draw: st.DrawFn, length: int) -> tuple[Step, ...]:
    """Draw a program of so many steps, of which the first ones make things; a shrunken one has fewer."""
    numbers = st.integers(0, HIGHEST)
    # What does not go on comes first, so that the shortest program is the simplest; and it is seldom drawn.
    goes_on = st.sampled_from((False, *[True] * _LONGEST))
    made: list[Step] = []
    while len(made) < length:
        kinds = st.sampled_from(_MAKING if len(made) < _FIRST_STEPS else _DRAWN)
        does, kind, number = draw(st.tuples(goes_on, kinds, numbers))
        if not does:
            break
        made.append(Step(kind, number))
    return tuple(made)
