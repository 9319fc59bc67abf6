"""What a delta carries of each table, and when only a full copy will do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.replication.model import TableMode
from shared.replication.plan import (
    PendingKeys,
    PlannedTable,
    TableState,
    TableStates,
    is_grown,
    list_grown,
    list_mostly_changed,
    plan_delta,
    widen,
)
from tests.tier import rounds

DEFINITION = 11
TABLE = TableState("public.account", filenode=100, token="t", shape="s", publication_entry=7)
SHAPES = {"enums": "e", "publication": "p"}
FEW = PendingKeys(key_count=3, is_marked=False, definitions=frozenset({DEFINITION}))
MARKED = PendingKeys(key_count=0, is_marked=True, definitions=frozenset())

texts = st.sampled_from(["", "a", "b", "schéma.täble", "a'b\\"])
table_states = st.builds(
    TableState, texts, st.integers(0, 2**32), texts, texts, st.one_of(st.none(), st.integers(1, 2**32))
)
states = st.builds(
    TableStates,
    st.dictionaries(st.integers(1, 50), table_states, max_size=4),
    st.dictionaries(texts, texts, max_size=3),
)


def states_of(*tables: TableState, shapes: Mapping[str, str] = SHAPES) -> TableStates:
    """Give tables oids from 1."""
    return TableStates(dict(enumerate(tables, start=1)), shapes)


def plan_one(now: TableState, keys: PendingKeys | None) -> list[tuple[TableMode, int]]:
    """Plan a delta of one table that was `TABLE` before."""
    plan = plan_delta(states_of(TABLE), states_of(now), {} if keys is None else {1: keys}, {1: DEFINITION})
    assert plan.schema_change is None
    return [(table.mode, table.key_count) for table in plan.tables]


def test_a_table_without_changes_is_left_alone() -> None:
    assert plan_one(TABLE, None) == []


def test_changed_keys_are_shipped() -> None:
    assert plan_one(TABLE, FEW) == [(TableMode.DELTA, 3)]


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        (TABLE, MARKED),
        (TABLE, replace(FEW, is_marked=True)),
        (replace(TABLE, filenode=101, token="other"), None),
        (replace(TABLE, publication_entry=8), None),
        (replace(TABLE, publication_entry=8), FEW),
        (TABLE, replace(FEW, definitions=frozenset({12}))),
        (TABLE, replace(FEW, definitions=frozenset({DEFINITION, 12}))),
    ],
    ids=[
        "truncated",
        "truncated and changed",
        "rewritten",
        "published anew",
        "published anew and changed",
        "keys of another definition",
        "keys of two definitions",
    ],
)
def test_a_table_whose_keys_do_not_tell_all_is_shipped_whole(now: TableState, keys: PendingKeys | None) -> None:
    assert plan_one(now, keys) == [(TableMode.WHOLE, 0)]


@pytest.mark.parametrize(
    "now", [replace(TABLE, filenode=101), replace(TABLE, token="other")], ids=["VACUUM FULL", "ALTER without rewriting"]
)
def test_a_new_file_or_a_touched_definition_alone_is_no_reason_for_a_whole_copy(now: TableState) -> None:
    assert plan_one(now, None) == []
    assert plan_one(now, FEW) == [(TableMode.DELTA, 3)]


def test_a_table_that_is_not_followed_is_not_planned() -> None:
    """It has no definition of a key; what it is worth is told elsewhere."""
    plan = plan_delta(states_of(TABLE), states_of(replace(TABLE, filenode=1, token="x")), {1: MARKED}, {})
    assert plan.tables == ()


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (states_of(), states_of(TABLE), "table public.account is new"),
        (states_of(TABLE), states_of(), "table public.account was dropped"),
        (states_of(TABLE), states_of(replace(TABLE, shape="x")), "the definition of table public.account changed"),
        (states_of(), states_of(shapes={**SHAPES, "enums": "x"}), "the definitions of enums changed"),
        (states_of(), states_of(shapes={"enums": "e"}), "the definitions of publication changed"),
        (states_of(shapes={"enums": "e"}), states_of(), "the definitions of publication changed"),
    ],
    ids=["new table", "dropped table", "altered table", "altered type", "kind gone", "kind new"],
)
def test_changed_definitions_need_a_full_copy(before: TableStates, now: TableStates, words: str) -> None:
    """No table is shipped then, whatever is known of it."""
    plan = plan_delta(before, now, {1: FEW}, {1: DEFINITION})
    assert plan.schema_change == words
    assert plan.tables == ()


def test_a_table_made_again_under_its_name_is_another_table() -> None:
    before, now = TableStates({1: TABLE}, SHAPES), TableStates({2: TABLE}, SHAPES)
    assert plan_delta(before, now, {}, {2: DEFINITION}).schema_change is not None


GROWN = replace(TABLE, shape="x", columns="k:7", column_count=3)


@pytest.mark.parametrize(
    ("columns_of_then", "grown", "mode"),
    [("5", {1}, TableMode.DELTA), ("6", set(), TableMode.WHOLE)],
    ids=["the others are as they were", "another changed"],
)
def test_new_columns_that_older_rows_are_without_need_no_copy(
    columns_of_then: str, grown: set[int], mode: TableMode
) -> None:
    before, now = states_of(replace(TABLE, columns="k:5", column_count=2)), states_of(GROWN)
    assert list_grown(before, now) == {1: 2}
    assert is_grown(before.tables[1], now.tables[1], columns_of_then) is bool(grown)
    plan = plan_delta(before, now, {1: FEW}, {1: DEFINITION}, brings_definitions=True, grown=grown)
    assert [table.mode for table in plan.tables] == [mode]


@pytest.mark.parametrize(
    "before",
    [
        replace(TABLE, columns="k:7", column_count=3),
        replace(TABLE, columns="k:5", column_count=3),
        replace(TABLE, columns="k:5", column_count=4),
        TABLE,
    ],
    ids=["as it was", "as many columns", "fewer columns", "not known"],
)
def test_no_other_table_may_have_grown(before: TableState) -> None:
    assert list_grown(states_of(before), states_of(GROWN)) == {}


def test_a_table_whose_key_changed_too_has_not_just_grown() -> None:
    assert not is_grown(replace(TABLE, columns="k:5"), replace(GROWN, columns="other:7"), "5")


def test_a_table_that_grew_and_was_rewritten_is_shipped_whole() -> None:
    before = states_of(replace(TABLE, columns="k:5", column_count=2))
    now = states_of(replace(GROWN, filenode=101, token="other"))
    plan = plan_delta(before, now, {1: FEW}, {1: DEFINITION}, brings_definitions=True, grown={1})
    assert [table.mode for table in plan.tables] == [TableMode.WHOLE]


@pytest.mark.parametrize(
    ("keys", "rows", "is_wide"),
    [
        (1_000_000, 1_000_000, True),
        (750_000, 1_000_000, True),
        (749_999, 1_000_000, False),
        (900_000, 100_000, True),  # most were deleted
        (20_000, 20_000, True),
        (19_999, 19_999, False),  # soon done either way
        (1_000_000, 0, False),  # not known
        (1_000_000, None, False),
    ],
)
def test_a_table_of_which_most_rows_changed_is_shipped_whole(keys: int, rows: int | None, is_wide: bool) -> None:
    """And before the others, which stay as they are."""
    few = PlannedTable(1, TableMode.DELTA, key_count=3)
    many = PlannedTable(2, TableMode.DELTA, key_count=keys)
    whole = PlannedTable(3, TableMode.WHOLE, reason="new")
    found = list_mostly_changed([few, many, whole], {1: 0, 3: 1} | ({} if rows is None else {2: rows}))
    assert found == ([2] if is_wide else [])
    modes = [(one.oid, one.mode, one.key_count) for one in widen([few, many, whole], found)]
    rest = [(1, TableMode.DELTA, 3), (3, TableMode.WHOLE, 0)]
    assert modes == ([(2, TableMode.WHOLE, 0), *rest] if is_wide else [rest[0], (2, TableMode.DELTA, keys), rest[1]])


@given(states)
def test_states_come_back_from_where_they_are_stored(states: TableStates) -> None:
    document, digest = states.encode()
    restored = TableStates.decode(json.loads(document))
    assert restored == states
    assert restored.encode() == (document, digest)


@given(states, states)
def test_states_are_stored_once_only_if_they_are_equal(one: TableStates, other: TableStates) -> None:
    assert (one.encode()[1] == other.encode()[1]) == (one == other)


@settings(max_examples=rounds(40, 1000))
@given(states, st.data())
def test_no_change_is_forgotten(states: TableStates, data: st.DataObject) -> None:
    """Every followed table with something pending is shipped, by keys or whole, and once."""
    pending = data.draw(
        st.dictionaries(
            st.sampled_from(sorted(states.tables) or [1]),
            st.builds(PendingKeys, st.integers(1, 9), st.booleans(), st.sets(st.integers(1, 3)).map(frozenset)),
        )
    )
    definitions = {oid: data.draw(st.integers(1, 3)) for oid in states.tables if data.draw(st.booleans())}
    plan = plan_delta(states, states, pending, definitions)
    assert plan.schema_change is None
    shipped = [table.oid for table in plan.tables]
    assert sorted(shipped) == sorted(pending.keys() & definitions.keys() & states.tables.keys())
    for table in plan.tables:
        keys = pending[table.oid]
        is_whole = keys.is_marked or bool(keys.definitions - {definitions[table.oid]})
        assert table.mode is (TableMode.WHOLE if is_whole else TableMode.DELTA)
