"""The keyed tables of a database as a writer of random changes must know them: columns, references, leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sample.snapshot_reader import quote
from sample.transactions.model import Connection

TABLES = """
    SELECT c.oid, n.nspname AS schema, c.relname AS name,
           ARRAY(SELECT a.attname::text FROM pg_index AS i
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                  WHERE i.indrelid = c.oid AND i.indisprimary
                  ORDER BY a.attnum) AS key,
           ARRAY(SELECT DISTINCT a.attname::text FROM pg_index AS i
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                  WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary) AS unique_columns,
           h.inhparent::regclass::text AS root,
           ARRAY(SELECT a.attname::text FROM pg_partitioned_table AS p
                   JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs)
                  WHERE p.partrelid = h.inhparent) AS split_by
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_inherits AS h ON h.inhrelid = c.oid AND c.relispartition
     WHERE c.relkind = 'r' AND c.relpersistence = 'p'
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'warmstandby')
     ORDER BY 2, 3
"""
COLUMNS = """
    SELECT a.attrelid AS table, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
           t.typcategory::text AS category, a.atthasdef OR a.attidentity <> '' AS has_default,
           EXISTS (SELECT FROM pg_constraint AS f
                    WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)) AS refers
      FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attrelid, a.attnum
"""
REFERENCES = """
    SELECT f.conrelid AS child, f.conrelid::regclass::text AS child_name, f.confrelid AS parent,
           ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
                   JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = k.attnum
                  ORDER BY k.place) AS columns,
           ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, place)
                   JOIN pg_attribute AS a ON a.attrelid = f.confrelid AND a.attnum = k.attnum
                  ORDER BY k.place) AS referred
      FROM pg_constraint AS f
     WHERE f.contype = 'f' AND f.conparentid = 0
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that may be written."""

    name: str
    type: str
    category: str
    has_default: bool
    refers: bool

    @property
    def quoted(self) -> str:
        """Return the name for SQL."""
        return quote(self.name)


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, from the side that is referred to."""

    child: int
    child_name: str
    parent: int
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyedTable:
    """A table (or leaf) with a primary key; ``root`` and ``split_by`` tell of what it is a leaf."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique_columns: frozenset[str]
    root: str | None
    split_by: tuple[str, ...]

    @property
    def sql_name(self) -> str:
        """Return the name for SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """Return the key's columns."""
        return tuple(column for column in self.columns if column.name in self.key)

    @property
    def plain_columns(self) -> tuple[Column, ...]:
        """Return the columns whose values may be changed for any other value of the column."""
        bound = {*self.key, *self.unique_columns, *self.split_by}
        return tuple(column for column in self.columns if column.name not in bound)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The keyed tables by oid, and all foreign keys."""

    tables: Mapping[int, KeyedTable]
    references: tuple[Reference, ...]

    def references_to(self, table: KeyedTable) -> list[Reference]:
        """Return the foreign keys that refer to a table."""
        return [reference for reference in self.references if reference.parent == table.oid]

    def truncated_with(self, table: KeyedTable) -> list[KeyedTable] | None:
        """Return the tables that must be truncated together, what is referred to first.

        None when one of them has no key, or they refer to each other in a circle.
        """
        wanted, waiting = {table.oid}, [table.oid]
        while waiting:
            parent = waiting.pop()
            children = {reference.child for reference in self.references if reference.parent == parent} - wanted
            wanted |= children
            waiting += children
        if not wanted <= self.tables.keys():
            return None
        ordered: list[KeyedTable] = []
        while len(ordered) < len(wanted):
            done = {each.oid for each in ordered}
            free = [
                oid
                for oid in sorted(wanted - done)
                if all(
                    reference.parent in done or reference.parent not in wanted or reference.parent == oid
                    for reference in self.references
                    if reference.child == oid
                )
            ]
            if not free:
                return None
            ordered += [self.tables[oid] for oid in free]
        return ordered


async def read_catalog(connection: Connection, excluded: Collection[str]) -> Catalog:
    """Read the tables that have a key, but those whose `schema.name` is excluded."""
    columns: dict[int, list[Column]] = {}
    for oid, *column in await connection.fetch(COLUMNS):
        columns.setdefault(oid, []).append(Column(*column))
    tables = {
        row["oid"]: KeyedTable(
            oid=row["oid"],
            schema=row["schema"],
            name=row["name"],
            columns=tuple(columns[row["oid"]]),
            key=tuple(row["key"]),
            unique_columns=frozenset(row["unique_columns"]),
            root=row["root"],
            split_by=tuple(row["split_by"]),
        )
        for row in await connection.fetch(TABLES)
        if row["key"] and f"{row['schema']}.{row['name']}" not in excluded
    }
    references = await connection.fetch(REFERENCES)
    return Catalog(
        tables=tables,
        references=tuple(
            Reference(row["child"], row["child_name"], row["parent"], tuple(row["columns"]), tuple(row["referred"]))
            for row in references
        ),
    )
