"""What a database holds at one moment, as steps of a random program find it, and how a number chooses among it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sample.transactions.model import Connection

Choice = TypeVar("Choice")


class Inapplicable(Exception):
    """There is nothing that a step could be done to."""


class Draws:
    """What the number of a step chooses, one choice after the other.

    A choice is made by the names of what there is to choose from: where other things are missing, as in a program that
    was shortened, it stays the same. Number 0 always chooses the first.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._count = 0

    def below(self, count: int) -> int:
        """Return a number from 0 up to, not with, `count`."""
        self._count += 1
        return self._weigh("") % count

    def flag(self) -> bool:
        """Return one of two."""
        return bool(self.below(2))

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """Return one of these; raises Inapplicable where there is none."""
        if not choices:
            raise Inapplicable
        self._count += 1
        return min(choices, key=lambda choice: self._weigh(str(getattr(choice, "name", choice))))

    def _weigh(self, name: str) -> int:
        text = f"{self.number} {self._count} {name}"
        return 0 if self.number == 0 else int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """As format_type gives it."""
    kind: str
    """typtype of the type: b, e (enum), d (domain), c (row)."""
    is_key: bool
    is_required: bool
    has_default: bool
    identity: str
    generated: str
    is_own: bool
    """Not of a parent."""
    refers_to: str | None
    """A value that the foreign key on this column alone takes."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    schema: str
    kind: str
    persistence: str
    is_leaf: bool
    parent: str | None
    strategy: str | None
    """How a partitioned table is divided: r, l, h."""
    leaves: tuple[str, ...]
    columns: tuple[Column, ...]
    constraints: tuple[tuple[str, str], ...]
    """Name and contype."""
    indexes: tuple[tuple[str, bool], ...]
    """Name, and whether it could be a replica identity."""
    triggers: tuple[str, ...]
    policies: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def is_divided(self) -> bool:
        """Say whether it has partitions instead of rows."""
        return self.kind == "p"

    @property
    def key(self) -> tuple[Column, ...]:
        """Return the columns of the primary key."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def written(self) -> tuple[Column, ...]:
        """Return the columns that a statement may set."""
        return tuple(column for column in self.columns if not column.generated)

    def constraints_of(self, kinds: str) -> list[str]:
        """Return the names of the constraints of some kinds."""
        return [name for name, kind in self.constraints if kind in kinds]


@dataclass(frozen=True, slots=True)
class Scene:
    tables: tuple[Table, ...]
    """Ordinary and partitioned ones."""
    views: tuple[str, ...]
    materialized: tuple[str, ...]
    sequences: tuple[str, ...]
    functions: tuple[str, ...]
    enums: tuple[str, ...]
    domains: tuple[str, ...]
    schemas: tuple[str, ...]
    objects: tuple[int, ...]
    """Large ones."""
    step: int
    """The number of the step: rows and labels that are new take their values from it."""

    @property
    def plain(self) -> list[Table]:
        """Return the tables that hold rows."""
        return [table for table in self.tables if table.kind == "r"]

    @property
    def free(self) -> list[Table]:
        """Return the tables that are no partitions."""
        return [table for table in self.tables if not table.is_leaf]

    @property
    def divided(self) -> list[Table]:
        """Return the partitioned tables."""
        return [table for table in self.tables if table.is_divided]

    def new_name(self, names: Sequence[str], draws: Draws) -> str:
        """Return a name that no relation has; few names, so that one is soon another's again."""
        taken = {name.partition(".")[2] for name in (*self._relations, *self.functions, *self.enums, *self.domains)}
        return draws.pick([name for name in names if name not in taken])

    @property
    def _relations(self) -> tuple[str, ...]:
        return (*(table.name for table in self.tables), *self.views, *self.materialized, *self.sequences)


_OURS: Final = "n.nspname NOT IN ('warmstandby', 'information_schema') AND n.nspname !~ '^pg_'"
_TABLES: Final = f"""
SELECT jsonb_agg(t ORDER BY t->>'name') FROM (
  SELECT jsonb_build_object(
    'name', format('%I.%I', n.nspname, c.relname), 'schema', quote_ident(n.nspname), 'kind', c.relkind,
    'persistence', c.relpersistence, 'is_leaf', c.relispartition,
    'parent', (SELECT min(h.inhparent::regclass::text) FROM pg_inherits AS h WHERE h.inhrelid = c.oid),
    'strategy', (SELECT p.partstrat FROM pg_partitioned_table AS p WHERE p.partrelid = c.oid),
    'leaves', (SELECT coalesce(jsonb_agg(h.inhrelid::regclass::text ORDER BY h.inhrelid::regclass::text), '[]')
                 FROM pg_inherits AS h WHERE h.inhparent = c.oid),
    'columns', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'name', quote_ident(a.attname), 'type', format_type(a.atttypid, a.atttypmod), 'kind', y.typtype,
        'is_key', EXISTS (SELECT FROM pg_constraint AS k
                           WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)),
        'is_required', a.attnotnull, 'has_default', a.atthasdef, 'identity', a.attidentity,
        'generated', a.attgenerated, 'is_own', a.attinhcount = 0,
        'refers_to', (SELECT min(format('(SELECT r.%I FROM %s AS r ORDER BY 1 OFFSET n %% 3 LIMIT 1)',
                                        f.attname, k.confrelid::regclass))
                        FROM pg_constraint AS k
                        JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[1]
                       WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conkey = ARRAY[a.attnum])
      ) ORDER BY a.attnum), '[]') FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (SELECT coalesce(jsonb_agg(jsonb_build_array(quote_ident(k.conname), k.contype)
                                              ORDER BY k.conname), '[]')
                      FROM pg_constraint AS k WHERE k.conrelid = c.oid),
    'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_array(format('%I.%I', n.nspname, x.relname),
                         i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)
                         ORDER BY x.relname), '[]')
                  FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid),
    'triggers', (SELECT coalesce(jsonb_agg(quote_ident(g.tgname) ORDER BY g.tgname), '[]')
                   FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
    'policies', (SELECT coalesce(jsonb_agg(quote_ident(p.polname) ORDER BY p.polname), '[]')
                   FROM pg_policy AS p WHERE p.polrelid = c.oid),
    'rules', (SELECT coalesce(jsonb_agg(quote_ident(r.rulename) ORDER BY r.rulename), '[]')
                FROM pg_rewrite AS r WHERE r.ev_class = c.oid)) AS t
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {_OURS}) AS found
"""


def _named(relation: str, prefix: str, condition: str) -> str:
    """Return a subselect of the names of what lies in one of the application's schemas, in their order."""
    name = f"format('%I.%I', n.nspname, o.{prefix}name)"
    return (
        f"(SELECT coalesce(jsonb_agg({name} ORDER BY {name}), '[]') FROM {relation} AS o"
        f" JOIN pg_namespace AS n ON n.oid = o.{prefix}namespace WHERE {condition} AND {_OURS})"
    )


_REST: Final = f"""
SELECT jsonb_build_object(
  'views', {_named("pg_class", "rel", "o.relkind = 'v'")},
  'materialized', {_named("pg_class", "rel", "o.relkind = 'm'")},
  'sequences', {_named("pg_class", "rel", "o.relkind = 'S'")},
  'functions', {_named("pg_proc", "pro", "o.prorettype = 'int'::regtype")},
  'enums', {_named("pg_type", "typ", "o.typtype = 'e'")},
  'domains', {_named("pg_type", "typ", "o.typtype = 'd'")},
  'schemas', (SELECT jsonb_agg(quote_ident(n.nspname) ORDER BY n.nspname) FROM pg_namespace AS n WHERE {_OURS}),
  'objects', (SELECT coalesce(jsonb_agg(m.oid::int ORDER BY m.oid), '[]') FROM pg_largeobject_metadata AS m))
"""


async def read_scene(session: Connection, step: int) -> Scene:
    """Read what is there now, in the order of names, which is that of every run."""
    tables: list[dict[str, Any]] = json.loads(await session.fetchval(_TABLES) or "[]")
    rest: dict[str, list[Any]] = json.loads(await session.fetchval(_REST))
    return Scene(
        tables=tuple(_table(table) for table in tables),
        step=step,
        **{name: tuple(values) for name, values in rest.items()},
    )


def _table(told: dict[str, Any]) -> Table:
    columns = tuple(Column(**column) for column in told["columns"])
    parts = {name: tuple(told[name]) for name in ("leaves", "triggers", "policies", "rules")}
    pairs = {name: tuple((one, two) for one, two in told[name]) for name in ("constraints", "indexes")}
    return Table(**{**told, **parts, **pairs, "columns": columns})
