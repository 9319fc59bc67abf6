"""Random writes to every keyed table of a database, whatever it is: drawn from its catalog, true to its constraints.

The same seed on the same data gives the same changes. A change that a constraint refuses is taken back by itself.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum

import asyncpg

from sample.snapshot_reader import quote
from sample.transactions.model import Connection
from tests.replication.keyed_catalog import Catalog, Column, KeyedTable, read_catalog


class Kind(StrEnum):
    """What is done to a table."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    CHANGE_KEY = "change_key"
    SWAP_KEYS = "swap_keys"
    MOVE = "move"  # from leaf to leaf
    TRUNCATE = "truncate"


#: How often each is drawn.
WEIGHTS = {
    Kind.INSERT: 5,
    Kind.UPDATE: 6,
    Kind.DELETE: 4,
    Kind.CHANGE_KEY: 3,
    Kind.SWAP_KEYS: 3,
    Kind.MOVE: 2,
    Kind.TRUNCATE: 1,
}
MOST_ROWS = 20
LARGEST_TRUNCATED = 10_000
ROLLED_BACK = 0.1
MOST_ATTEMPTS = 500
NUMBER = "number_drawn"


class RandomChanges:
    """A writer; ``done`` counts the changes that stayed, by kind."""

    def __init__(self, connection: Connection, catalog: Catalog, chance: random.Random) -> None:
        self.done: Counter[Kind] = Counter()
        self.refused: Counter[Kind] = Counter()
        self._connection = connection
        self._catalog = catalog
        self._chance = chance
        self._numbers = itertools.count(1)
        self._doing = {
            Kind.INSERT: self._insert,
            Kind.UPDATE: self._update,
            Kind.DELETE: self._delete,
            Kind.CHANGE_KEY: self._change_key,
            Kind.SWAP_KEYS: self._swap_keys,
            Kind.MOVE: self._move,
            Kind.TRUNCATE: self._truncate,
        }

    @classmethod
    async def on(cls, connection: Connection, excluded: Collection[str], chance: random.Random) -> RandomChanges:
        """Write to all tables with a primary key but the excluded ones (`schema.name`)."""
        return cls(connection, await read_catalog(connection, excluded), chance)

    async def play(self, count: int) -> None:
        """Make so many changes, in transactions of one to four, some of which are rolled back."""
        while count > 0:
            size = min(self._chance.randint(1, 4), count)
            count -= size
            transaction = self._connection.transaction()
            await transaction.start()
            kept: Counter[Kind] = Counter()
            for _ in range(size):
                kept += await self._change()
            if self._chance.random() < ROLLED_BACK:
                await transaction.rollback()
            else:
                await transaction.commit()
                self.done += kept

    async def make(self, kind: Kind) -> None:
        """Make one change of a kind that stays, on whichever table the constraints allow it."""
        for _ in range(MOST_ATTEMPTS):
            async with self._connection.transaction():
                self.done += await self._change(kind)
            if self.done[kind]:
                return
        raise AssertionError(f"no table of this database takes a change of kind {kind}")

    async def _change(self, kind: Kind | None = None) -> Counter[Kind]:
        kind = kind or self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        tables = [table for table in self._catalog.tables.values() if kind is not Kind.MOVE or self._siblings(table)]
        if not tables:
            return Counter()
        table = self._chance.choice(tables)
        try:
            async with self._connection.transaction():
                rows = await self._doing[kind](table)
        except asyncpg.IntegrityConstraintViolationError:
            self.refused[kind] += 1
            return Counter()
        return Counter({kind: 1} if rows else {})

    async def _insert(self, table: KeyedTable) -> int:
        """Insert rows made of other rows' values; keys are new, given by their defaults, or mixed of others' parts."""
        rows = self._rows()
        key = table.key_columns
        given = key if self._chance.random() < 0.5 else tuple(column for column in key if not column.has_default)
        rest = [
            column
            for column in table.columns
            if column.name not in table.key and column.name not in table.unique_columns
        ]
        values = [f"{self._fresh(table, column)} AS {column.quoted}" for column in given]
        values += [f"d.{column.quoted}" for column in rest]
        names = ", ".join(column.quoted for column in (*given, *rest))
        mixed = "".join(
            f" JOIN ({self._draw(table, rows)}) AS {quote('d ' + column.name)} USING ({NUMBER})" for column in given
        )
        return await self._execute(
            f"INSERT INTO {table.sql_name} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {', '.join(values)} FROM ({self._draw(table, rows)}) AS d{mixed} ON CONFLICT DO NOTHING"
        )

    async def _update(self, table: KeyedTable) -> int:
        """Give rows some values of other rows; strings are turned round, so that new ones come up."""
        if not table.plain_columns:
            return 0
        rows = self._rows()
        chosen = self._chance.sample(table.plain_columns, self._chance.randint(1, min(3, len(table.plain_columns))))
        values = [
            f"reverse(d.{column.quoted})::{column.type}" if _is_string(column) else f"d.{column.quoted}"
            for column in chosen
        ]
        return await self._execute(
            f"UPDATE ONLY {table.sql_name} AS t SET {_assign(chosen, values)} FROM ({self._draw(table, rows)}) AS p "
            f"JOIN ({self._draw(table, rows)}) AS d USING ({NUMBER}) WHERE {_same_key(table)}"
        )

    async def _delete(self, table: KeyedTable) -> int:
        return await self._execute(
            f"DELETE FROM ONLY {table.sql_name} AS t USING ({self._draw(table, self._rows(), is_free=True)}) AS p "
            f"WHERE {_same_key(table)}"
        )

    async def _change_key(self, table: KeyedTable) -> int:
        """Give rows new keys; half of the time also rows that others refer to, where their references may follow."""
        key = table.key_columns
        chosen = self._chance.sample(key, self._chance.randint(1, len(key)))
        rows, is_free = self._chance.randint(1, 3), self._chance.random() < 0.5
        mixed = "".join(
            f" JOIN ({self._draw(table, rows)}) AS {quote('d ' + column.name)} USING ({NUMBER})" for column in chosen
        )
        values = [self._fresh(table, column) for column in chosen]
        return await self._execute(
            f"UPDATE ONLY {table.sql_name} AS t SET {_assign(chosen, values)} "
            f"FROM ({self._draw(table, rows, is_free=is_free)}) AS p{mixed} WHERE {_same_key(table)}"
        )

    async def _swap_keys(self, table: KeyedTable) -> int:
        """Let two rows exchange their keys."""
        keep = f"swapped_{next(self._numbers)}"
        await self._execute(f"CREATE TEMP TABLE {keep} ON COMMIT DROP AS {self._draw(table, 2, is_free=True)}")
        await self._execute(f"DELETE FROM ONLY {table.sql_name} AS t USING {keep} AS p WHERE {_same_key(table)}")
        names = ", ".join(column.quoted for column in table.columns)
        values = ", ".join(f"{'b' if column.name in table.key else 'a'}.{column.quoted}" for column in table.columns)
        return await self._execute(
            f"INSERT INTO {table.sql_name} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {values} FROM {keep} AS a JOIN {keep} AS b ON b.{NUMBER} <> a.{NUMBER}"
        )

    async def _move(self, table: KeyedTable) -> int:
        """Move rows of a leaf to another leaf with a key."""
        rows, other = self._rows(), self._chance.choice(self._siblings(table))
        split_by = [column for column in table.columns if column.name in table.split_by]
        return await self._execute(
            f"UPDATE {table.root} AS t SET {_assign(split_by, [f'd.{column.quoted}' for column in split_by])} "
            f"FROM ({self._draw(table, rows)}) AS p "
            f"JOIN ({self._draw(other, rows)}) AS d USING ({NUMBER}) "
            f"WHERE t.tableoid = {table.oid} AND {_same_key(table)}"
        )

    async def _truncate(self, table: KeyedTable) -> int:
        """Truncate a table with all that refer to it, and bring some of the rows back."""
        group = self._catalog.truncated_with(table)
        if group is None:
            return 0
        sizes = [await self._connection.fetchval(f"SELECT count(*) FROM ONLY {each.sql_name}") for each in group]
        if not 0 < sum(sizes) < LARGEST_TRUNCATED:
            return 0
        number = next(self._numbers)
        for place, each in enumerate(group):
            await self._execute(
                f"CREATE TEMP TABLE kept_{number}_{place} ON COMMIT DROP AS SELECT * FROM ONLY {each.sql_name}"
            )
        await self._execute("TRUNCATE " + ", ".join(f"ONLY {each.sql_name}" for each in group))
        for place, each in enumerate(group):
            share = 100 if self._catalog.references_to(each) else self._chance.choice((0, *[80, 90, 95] * 3))
            names = ", ".join(column.quoted for column in each.columns)
            await self._execute(
                f"INSERT INTO {each.sql_name} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} "
                f"FROM kept_{number}_{place} AS t "
                f"WHERE (hashtextextended({_key_text(each)}, {number}) & 1023) < {share * 1024 // 100}"
            )
        return 1

    # Drawing of rows and values --------------------------------------------------------------------------------------

    def _siblings(self, table: KeyedTable) -> list[KeyedTable]:
        return [
            each for each in self._catalog.tables.values() if table.root and each.root == table.root and each != table
        ]

    def _rows(self) -> int:
        return self._chance.randint(1, MOST_ROWS)

    def _draw(self, table: KeyedTable, rows: int, *, is_free: bool = False) -> str:
        """Write a query for random rows, numbered by ``n``; free ones are those that no other row refers to."""
        free = "".join(
            f" AND NOT EXISTS (SELECT FROM {reference.child_name} AS c WHERE "
            + " AND ".join(
                f"c.{quote(own)} = t.{quote(other)}"
                for own, other in zip(reference.columns, reference.referred, strict=True)
            )
            + ")"
            for reference in self._catalog.references_to(table)
            if is_free
        )
        order = f"hashtextextended({_key_text(table)}, {self._chance.randrange(2**31)})"
        return (
            f"SELECT t.*, row_number() OVER (ORDER BY {order}) AS {NUMBER} "
            f"FROM ONLY {table.sql_name} AS t WHERE true{free} ORDER BY {NUMBER} LIMIT {rows}"
        )

    def _fresh(self, table: KeyedTable, column: Column) -> str:
        """Write a value for a key column: a new one, or where it refers to another table one of another row."""
        drawn = f"{quote('d ' + column.name)}.{column.quoted}"
        if column.refers:
            return drawn
        if column.category == "N":
            number = f"{quote('d ' + column.name)}.{NUMBER}"
            return f"(SELECT max({column.quoted}) FROM {table.sql_name}) + {number} + {self._chance.randrange(3)}"
        if _is_string(column):
            return f"md5({drawn} || {self._chance.randrange(2**31)})::{column.type}"
        if column.type == "uuid":
            return f"md5({drawn}::text || {self._chance.randrange(2**31)})::uuid"
        return drawn

    async def _execute(self, statement: str) -> int:
        tag = await self._connection.execute(statement)
        last = tag.rsplit(maxsplit=1)[-1]
        return int(last) if last.isdigit() else 0


def _is_string(column: Column) -> bool:
    return column.category == "S"


def _key_text(table: KeyedTable) -> str:
    return "ROW(" + ", ".join(f"t.{column.quoted}" for column in table.key_columns) + ")::text"


def _same_key(table: KeyedTable) -> str:
    return " AND ".join(f"t.{column.quoted} = p.{column.quoted}" for column in table.key_columns)


def _assign(columns: Sequence[Column], values: Sequence[str]) -> str:
    return ", ".join(f"{column.quoted} = {value}" for column, value in zip(columns, values, strict=True))
