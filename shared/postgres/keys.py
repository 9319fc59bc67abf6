"""SQL that reads captured keys: one text for the source (which rows changed) and the target (which to delete)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.postgres.queries import load_queries, quote_identifier, quote_literal

_QUERIES: Final = load_queries("shared.postgres", "keys.sql")


def write_key_selection(key_table: str, types: Sequence[str], encoding: str) -> str:
    """Return a SELECT of typed key columns `k1 … kn` from a table with one bytea column `key`."""
    written_encoding = quote_literal(encoding)
    source = _QUERIES["first_offset"].format(key_table=key_table)
    if len(types) == 1:
        only = _QUERIES["only_value"].format(encoding=written_encoding, type=types[0])
        return _QUERIES["read_keys"].format(values=only, source=source)
    values: list[str] = []
    for place, type_name in enumerate(types, start=1):
        if place > 1:
            source = _QUERIES["next_offset"].format(
                carried=", ".join(["key", *(f"at{earlier}" for earlier in range(1, place))]),
                before=place - 1,
                length=_write_length(place - 1),
                place=place,
                source=source,
            )
        values.append(
            _QUERIES["value_at"].format(
                place=place, length=_write_length(place), encoding=written_encoding, type=type_name
            )
        )
    return _QUERIES["read_keys"].format(values=", ".join(values), source=source)


def write_key_match(columns: Sequence[str], operators: Sequence[str], *, table: str, keys: str) -> str:
    """Return the condition under which a row of `table` has a key of `keys`."""
    return " AND ".join(
        _QUERIES["match_column"].format(
            table=table, column=quote_identifier(column), operator=operator, keys=keys, place=place
        )
        for place, (column, operator) in enumerate(zip(columns, operators, strict=True), start=1)
    )


def _write_length(place: int) -> str:
    return _QUERIES["length_at"].format(at=f"at{place}")
