"""SQL that reads captured keys: the same text on the source (which rows changed) and on the target (which to delete).

A captured key is, for each key column in the table's column order, the byte 't', the length (4 bytes, network order) and
the value's text in the database's encoding, as pgoutput sent it. Text only: nothing here talks to a database.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.postgres.queries import quote_identifier, quote_literal

_HEAD_BYTES = 5


def write_key_selection(key_table: str, columns: Sequence[str], types: Sequence[str], encoding: str) -> str:
    """Return a SELECT of typed key columns `k1 … kn` from a table with one bytea column `key`."""
    values: list[str] = []
    source, offset = key_table, "0"
    for place, type_name in enumerate(types, start=1):
        if place > 1:
            length = _length(f"at{place - 1}")
            carried = ", ".join(["key", *(f"at{earlier}" for earlier in range(1, place))])
            # OFFSET 0 keeps the planner from writing every offset out again in each use.
            source = f"(SELECT {carried}, at{place - 1} + {_HEAD_BYTES} + {length} AS at{place} FROM {source} AS s OFFSET 0)"
        else:
            source = f"(SELECT key, {offset} AS at1 FROM {source} AS s)"
        start = f"at{place} + {_HEAD_BYTES + 1}"
        piece = f"substr(key, {start}, {_length(f'at{place}')})" if len(types) > 1 else f"substr(key, {_HEAD_BYTES + 1})"
        values.append(f"convert_from({piece}, {quote_literal(encoding)})::{type_name} AS k{place}")
    assert len(columns) == len(types)
    return f"SELECT {', '.join(values)} FROM {source} AS keys"


def write_key_match(columns: Sequence[str], operators: Sequence[str], *, table: str, keys: str) -> str:
    """Return the condition under which a row of `table` has a key of `keys`, by the key index's own operators."""
    return " AND ".join(
        f"{table}.{quote_identifier(column)} {operator} {keys}.k{place}"
        for place, (column, operator) in enumerate(zip(columns, operators, strict=True), start=1)
    )


def _length(at: str) -> str:
    return (
        f"((get_byte(key, {at} + 1) << 24) | (get_byte(key, {at} + 2) << 16)"
        f" | (get_byte(key, {at} + 3) << 8) | get_byte(key, {at} + 4))"
    )
