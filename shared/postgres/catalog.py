"""What a database holds, as values: tables with their keys and tokens, sequences, types. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import DatabaseProperties, DatabaseSetting, Grant, TableName

_QUERIES: Final = load_queries("shared.postgres", "catalog.sql")


@dataclass(frozen=True, slots=True)
class Table:
    """A table with rows of its own (materialized views and foreign tables are listed, to be told about)."""

    oid: int
    schema_name: str
    name: str
    kind: str
    persistence: str
    replica_identity: str
    is_partition: bool
    filenode: int
    token: str
    """Changes with every ALTER TABLE that touches a column."""
    shape: str
    """Changes when data of the old definition may not fit the new one."""
    columns_shape: str
    column_count: int
    """The same of columns and key alone: constraints, names and the place in a partitioned table left out."""
    key_index: int | None
    key: tuple[str, ...]
    has_more_unique: bool
    estimated_rows: int
    estimated_bytes: int
    publication_entry: int | None
    is_filtered: bool
    is_extension_configuration: bool
    refuses_updates: bool
    """Published, it could not be updated: replica identity FULL with a generated column, from version 18 on."""

    @property
    def qualified_name(self) -> str:
        """Return `schema.name` for people."""
        return f"{self.schema_name}.{self.name}"

    @property
    def sql_name(self) -> str:
        """Return the name for statements."""
        return qualified(self.schema_name, self.name)

    @property
    def holds_data(self) -> bool:
        """Say whether a seed copies its rows."""
        return self.kind == "r"

    @property
    def is_keyed(self) -> bool:
        """Say whether a delta can follow it: durable, with a usable key."""
        return self.kind == "r" and self.persistence == "p" and bool(self.key) and not self.refuses_updates


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table; generated ones are computed on each side."""

    name: str
    raw_name: bytes
    """In the database's encoding, as decoded messages have it."""
    type_oid: int
    type: str
    is_generated: bool
    is_identity_always: bool


async def list_tables(session: Session, publication: str) -> list[Table]:
    """Return every table, ordered by name; membership is told for this publication."""
    rows = await session.fetch(_QUERIES["list_tables"], publication)
    return [Table(**{**row, "key": tuple(row["key"])}) for row in rows]


async def list_columns(session: Session, tables: Iterable[int]) -> dict[int, tuple[TableColumn, ...]]:
    """Return the columns of tables, by oid."""
    found: dict[int, list[TableColumn]] = {}
    for row in await session.fetch(_QUERIES["list_columns"], list(tables)):
        column = dict(row)
        found.setdefault(column.pop("table_oid"), []).append(TableColumn(**column))
    return {oid: tuple(columns) for oid, columns in found.items()}


async def list_key_operators(session: Session, indexes: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return each key column's equality operator as `OPERATOR(schema.=)`, by table oid and column.

    By name: inherited columns may stand in another order in a copy of the database.
    """
    found: dict[int, dict[str, str]] = {}
    for row in await session.fetch(_QUERIES["list_key_operators"], list(indexes)):
        found.setdefault(row["table_oid"], {})[row["name"]] = row["operator"]
    return found


async def read_shape_tokens(session: Session) -> dict[str, str]:
    """Return tokens of types and sequences, by kind."""
    row = await session.fetchrow(_QUERIES["read_shape_tokens"])
    return dict(row or {})


async def read_definitions_token(session: Session, tables: Iterable[Table]) -> str:
    """Return a token that changes with whatever pg_dump would write of the definitions, and now and then without."""
    others: str = await session.fetchval(_QUERIES["read_definitions_token"])
    of_tables = hashlib.sha256("|".join(f"{table.oid}:{table.token}" for table in tables).encode())
    return f"{others}:{of_tables.hexdigest()[:16]}"


async def list_shapes_before(session: Session, column_counts: Mapping[int, int]) -> dict[int, str]:
    """Return how `columns_shape` ended when tables had so many columns, where all rows of then have none of the later.

    Tables, by oid, whose later columns have values in those rows are left out.
    """
    rows = await session.fetch(_QUERIES["list_shapes_before"], list(column_counts), list(column_counts.values()))
    return {row["table_oid"]: row["columns"] for row in rows if row["is_empty_after"]}


async def describe_server(session: Session) -> tuple[int, str, int]:
    """Return server_version_num, the database's encoding, and its oid."""
    row = await session.fetchrow(_QUERIES["describe_server"])
    assert row is not None
    return row["version"], row["encoding"], row["database_oid"]


async def describe_database(session: Session) -> DatabaseProperties:
    """Return what the database has besides its content."""
    row = await session.fetchrow(_QUERIES["describe_database"])
    assert row is not None
    grants = await session.fetch(_QUERIES["list_database_grants"])
    settings = await session.fetch(_QUERIES["list_database_settings"])
    values = {name: value for name, value in row.items() if name != "has_grants"}
    return DatabaseProperties(
        **values,
        grants=tuple(Grant(**grant) for grant in grants) if row["has_grants"] else None,
        settings=tuple(DatabaseSetting(**setting) for setting in settings),
    )


async def list_populated_views(session: Session) -> tuple[TableName, ...]:
    """Return the materialized views that hold rows, in the order they were made."""
    return tuple(TableName(**row) for row in await session.fetch(_QUERIES["list_populated_views"]))
