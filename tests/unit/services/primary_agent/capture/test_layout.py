"""Where a key lies in a decoded change, and when a layout may not be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.primary_agent.capture.layout import (
    Layout,
    PublishedColumn,
    define_key,
    fits,
    lay_out,
    parse_relation,
    parse_truncate,
)

INT4, INT8, TEXT = 23, 20, 25
ID = PublishedColumn(b"id", INT4)
REGION = PublishedColumn(b"region", TEXT)
NOTE = PublishedColumn(b"note", TEXT)
COLUMNS = (NOTE, ID, REGION)

names = st.lists(st.integers(1, 255), min_size=1, max_size=8).map(bytes)
columns = st.lists(
    st.builds(PublishedColumn, names, st.integers(1, 2**32 - 1)), min_size=1, max_size=6, unique_by=lambda c: c.name
)


def write_relation(
    relid: int, columns: Sequence[PublishedColumn], identity: Iterable[bytes], *, replica_identity: bytes = b"d"
) -> bytes:
    """Write a relation message as PostgreSQL documents it (protocol 1)."""
    flagged = set(identity)
    body = b"".join(
        bytes([column.name in flagged]) + column.name + b"\0" + column.type_oid.to_bytes(4, "big") + b"\xff\xff\xff\xff"
        for column in columns
    )
    head = b"R" + relid.to_bytes(4, "big") + "schéma".encode() + b"\0" + b"table\0" + replica_identity
    return head + len(columns).to_bytes(2, "big") + body


@given(st.integers(1, 2**32 - 1), columns, st.data())
def test_a_relation_message_is_read_as_it_was_written(
    relid: int, columns: list[PublishedColumn], data: st.DataObject
) -> None:
    """Names keep the bytes of the database's own encoding."""
    identity = data.draw(st.sets(st.sampled_from([column.name for column in columns])))
    relation = parse_relation(write_relation(relid, columns, identity, replica_identity=b"i"))
    assert relation.relid == relid
    assert relation.replica_identity == "i"
    assert relation.columns == tuple(columns)
    assert relation.identity == identity


@given(st.lists(st.integers(1, 2**32 - 1), max_size=9), st.integers(0, 3))
def test_a_truncate_message_names_all_its_tables(relids: list[int], options: int) -> None:
    message = b"T" + len(relids).to_bytes(4, "big") + bytes([options])
    assert parse_truncate(message + b"".join(relid.to_bytes(4, "big") for relid in relids)) == tuple(relids)


def test_the_key_lies_in_the_order_of_the_columns() -> None:
    """Not in that of the index: a tuple is cut from left to right."""
    assert lay_out(7, COLUMNS, [b"region", b"id"]).positions == (2, 3)
    assert lay_out(7, COLUMNS, [b"region", b"id"]) == lay_out(7, COLUMNS, [b"id", b"region"])


@pytest.mark.parametrize("key", [[], [b"gone"], [b"id", b"gone"]], ids=["no key", "not published", "half published"])
def test_a_key_that_is_not_published_whole_has_no_layout(key: list[bytes]) -> None:
    assert lay_out(7, COLUMNS, key) == Layout(7, (), 0)


def test_a_definition_tells_names_types_and_order_apart() -> None:
    """Bytes of an old key are never read as a new one; 0 is the definition of a mark."""
    definitions = [
        define_key([ID]),
        define_key([PublishedColumn(b"id", INT8)]),
        define_key([PublishedColumn(b"number", INT4)]),
        define_key([ID, REGION]),
        define_key([REGION, ID]),
    ]
    assert len(set(definitions)) == len(definitions)
    assert 0 not in definitions
    assert all(-(2**63) <= definition < 2**63 for definition in definitions)


@pytest.mark.parametrize(
    ("columns", "identity", "replica_identity", "expected"),
    [
        (COLUMNS, [b"id"], b"d", True),
        (COLUMNS, [b"id"], b"i", True),
        (COLUMNS, [b"note", b"id", b"region"], b"f", True),
        (COLUMNS, [], b"n", False),
        (COLUMNS, [], b"d", False),
        (COLUMNS, [b"region"], b"i", False),
        (COLUMNS, [b"id", b"region"], b"d", False),
        ((ID, NOTE, REGION), [b"id"], b"d", False),
        ((NOTE, PublishedColumn(b"id", INT8), REGION), [b"id"], b"d", False),
        ((NOTE, PublishedColumn(b"number", INT4), REGION), [b"number"], b"d", False),
        ((NOTE, REGION), [], b"d", False),
        ((*COLUMNS, PublishedColumn(b"new", TEXT)), [b"id"], b"d", True),
    ],
    ids=[
        "the same",
        "by index",
        "by full row",
        "identity nothing",
        "key lost",
        "another index",
        "wider key",
        "another place",
        "another type",
        "another name",
        "column gone",
        "column more",
    ],
)
def test_changes_are_cut_only_by_a_layout_that_is_true_for_them(
    columns: tuple[PublishedColumn, ...], identity: list[bytes], replica_identity: bytes, expected: bool
) -> None:
    """What the message says of the key at that place in the log counts, not what the catalog says now."""
    layout = lay_out(7, COLUMNS, [b"id"])
    relation = parse_relation(write_relation(7, columns, identity, replica_identity=replica_identity))
    assert fits(relation, layout, [b"id"]) is expected


def test_a_table_without_a_layout_fits_nothing() -> None:
    relation = parse_relation(write_relation(7, COLUMNS, []))
    assert not fits(relation, lay_out(7, COLUMNS, []), [])
