"""Where the key lies in a decoded change: layouts of relations, and the messages that announce them. Pure.

Names are bytes, in the encoding of the database. Formats: PostgreSQL documentation, "Logical Replication Message
Formats", protocol 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.postgres.catalog import Table, TableColumn

FULL_IDENTITY = "f"


@dataclass(frozen=True, slots=True)
class PublishedColumn:
    """A column as pgoutput sends it (generated columns are not sent)."""

    name: bytes
    type_oid: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The key's places among a relation's published columns, from 1; none where the relation has no usable key."""

    relid: int
    positions: tuple[int, ...]
    definition: int


@dataclass(frozen=True, slots=True)
class KeyedLayout:
    """A layout and the key's names, which FULL identity does not tell."""

    layout: Layout
    key: tuple[bytes, ...]

    @classmethod
    def of(cls, table: Table, columns: Iterable[TableColumn]) -> KeyedLayout:
        """Return the layout of a table as the catalog shows it."""
        sent = [column for column in columns if not column.is_generated]
        published = [PublishedColumn(column.raw_name, column.type_oid) for column in sent]
        key = tuple(column.raw_name for column in sent if column.name in table.key)
        return cls(lay_out(table.oid, published, key), key)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation message: how the changes after it are to be read."""

    relid: int
    replica_identity: str
    columns: tuple[PublishedColumn, ...]
    identity: frozenset[bytes]


def define_key(key: Sequence[PublishedColumn]) -> int:
    """Return a number (64 bits, never 0) for a key's names and types: old key bytes are never read as a new key."""
    text = b"\0".join(b"%b\0%d" % (column.name, column.type_oid) for column in key)
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True) or 1


def lay_out(relid: int, columns: Sequence[PublishedColumn], key: Iterable[bytes]) -> Layout:
    """Return the layout of a relation whose key has these columns; the order is that of the columns."""
    wanted = frozenset(key)
    found = [(place, column) for place, column in enumerate(columns, start=1) if column.name in wanted]
    if not wanted or len(found) != len(wanted):
        return Layout(relid, (), 0)
    return Layout(relid, tuple(place for place, _ in found), define_key([column for _, column in found]))


def parse_relation(message: bytes) -> Relation:
    """Read a relation message ('R')."""
    relid = int.from_bytes(message[1:5], "big")
    at = message.index(0, 5) + 1  # schema
    at = message.index(0, at) + 1  # name
    replica_identity = chr(message[at])
    count = int.from_bytes(message[at + 1 : at + 3], "big")
    at += 3
    columns: list[PublishedColumn] = []
    identity: set[bytes] = set()
    for _ in range(count):
        end = message.index(0, at + 1)
        name = message[at + 1 : end]
        columns.append(PublishedColumn(name, int.from_bytes(message[end + 1 : end + 5], "big")))
        if message[at]:
            identity.add(name)
        at = end + 9
    return Relation(relid, replica_identity, tuple(columns), frozenset(identity))


def parse_truncate(message: bytes) -> tuple[int, ...]:
    """Return the relations of a truncate message ('T')."""
    count = int.from_bytes(message[1:5], "big")
    return tuple(int.from_bytes(message[6 + 4 * place : 10 + 4 * place], "big") for place in range(count))


def fits(relation: Relation, layout: Layout, key: Iterable[bytes]) -> bool:
    """Say whether changes announced by this message can be cut by this layout.

    Under FULL every column is flagged, so the key that the catalog names counts.
    """
    names = frozenset(key) if relation.replica_identity == FULL_IDENTITY else relation.identity
    return bool(layout.positions) and lay_out(relation.relid, relation.columns, names) == layout
