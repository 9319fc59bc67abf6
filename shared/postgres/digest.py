"""SQL that reduces rows to a digest: computed where the rows are, compared between two servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import asyncpg

from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sessions import Session

NO_DIGEST: Final = (
    asyncpg.ProgramLimitExceededError,
    asyncpg.OutOfMemoryError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.InternalServerError,
)
"""What a server says where a row cannot be hashed: a value too long to be put together, or without a text."""
_QUERIES: Final = load_queries("shared.postgres", "digest.sql")
_LONG: Final = frozenset({"text", "character varying", "json", "jsonb", "xml"})
_BYTES: Final = "bytea"


class DigestedColumn(Protocol):
    """What must be known of a column."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def type(self) -> str:
        """Its type as `format_type` writes it."""


@dataclass(frozen=True, slots=True)
class Digest:
    """So many rows, and the sum of their hashes: with 64-bit hashes two unequal tables agree once in 2^64 times."""

    row_count: int
    hash_sum: str

    def __add__(self, other: Digest) -> Digest:
        """Return the digest of both sets of rows together."""
        return Digest(self.row_count + other.row_count, str(int(self.hash_sum) + int(other.hash_sum)))


def write_row_text(columns: Iterable[DigestedColumn]) -> str:
    """Return an expression for the text of a row of `t`: the columns in the order given, whatever the table's is.

    The session must pin what text depends on (`open_session` does).
    """
    values = ", ".join(_write_value(column) for column in columns)
    return _QUERIES["write_row"].format(values=values)


async def digest_rows(session: Session, rows: str, columns: Iterable[DigestedColumn]) -> Digest:
    """Return the digest of a FROM clause in which the table is named `t`, as `ONLY "public"."item" AS t`."""
    row = await session.fetchrow(_QUERIES["digest_rows"].format(row=write_row_text(columns), rows=rows))
    assert row is not None
    return Digest(**row)


def write_parts(
    rows: str, columns: Iterable[DigestedColumn], key: Iterable[DigestedColumn], *, bits: int, has_hashes: bool = True
) -> str:
    """Return a query for part, row_count and hash_sum of a FROM clause's rows, divided into 2^bits parts by their key.

    Without a key all is one part. Without hashes the rows are only counted.
    """
    if not has_hashes:
        return _QUERIES["count_rows"].format(rows=rows)
    part = _write_part(key, bits)
    return _QUERIES["digest_parts"].format(part=part, row=write_row_text(columns), rows=rows)


def write_hashes(
    rows: str, columns: Iterable[DigestedColumn], key: Sequence[DigestedColumn], *, bits: int, parts: Sequence[int]
) -> str:
    """Return a query for key (as captured) and hash of the rows of some parts; of all rows where none is named."""
    pieces = " || ".join(_write_key_piece(column) for column in key)
    chosen = f"{_write_part(key, bits)} IN ({', '.join(str(int(part)) for part in parts)})" if parts else "true"
    return _QUERIES["hash_rows"].format(key_bytes=pieces, row=write_row_text(columns), rows=rows, condition=chosen)


def _write_part(key: Iterable[DigestedColumn], bits: int) -> str:
    columns = tuple(key)
    if not columns or not bits:
        return "0"
    return _QUERIES["write_part"].format(key=write_row_text(columns), mask=(1 << bits) - 1)


def _write_key_piece(column: DigestedColumn) -> str:
    value = _QUERIES["write_key_value"].format(column=quote_identifier(column.name))
    return _QUERIES["write_key_piece"].format(value=value)


def _write_value(column: DigestedColumn) -> str:
    base = column.type.partition("(")[0]
    kind = "write_bytes" if base == _BYTES else "write_long_value" if base in _LONG else "write_value"
    return _QUERIES[kind].format(column=quote_identifier(column.name))
