"""Steps of a random program that make tables, take them away and give them other names, and what their columns hold."""

from __future__ import annotations

from typing import Final

from tests.replication.random_scene import Column, Draws, Scene, Table

# Names that need quotes, but none in names made of them: pg_dump 18 forgets those of NOT NULL in children.
NAMES: Final = ("t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", '"select"', '"städte"')
COLUMNS: Final = ("a", "b", "c", "d", "e", '"order"', '"größe"')
PERSON: Final = "someone"
_LONG: Final = frozenset({"c", "d"})
_TYPES: Final = (
    "integer",
    "text",
    "bigint",
    "numeric(12,2)",
    "character varying(60)",
    "boolean",
    "date",
    "timestamp with time zone",
    "jsonb",
    "uuid",
    "bytea",
    "integer[]",
    "text[]",
    "double precision",
    "int4range",
)
_VALUES: Final = {
    "smallint": "(({n}) % 30000)::smallint",
    "integer": "({n})::int",
    "bigint": "(({n}) * 1000000007::bigint)",
    "numeric": "(({n}) / 7.0)::numeric(12,2)",
    "text": "('t' || ({n}))",
    "character varying": "('v' || ({n}))",
    "boolean": "(({n}) % 2 = 0)",
    "date": "('2020-01-01'::date + (({n}) % 3000)::int)",
    "timestamp": "('2020-01-01 UTC'::timestamptz + ({n}) * interval '1 hour')",
    "jsonb": "jsonb_build_object('n', ({n}), 'of', 'x')",
    "uuid": "md5(({n})::text)::uuid",
    "bytea": "decode(md5(({n})::text), 'hex')",
    "integer[]": "ARRAY[({n})::int, NULL, 7]",
    "bigint[]": "ARRAY[({n})::bigint, NULL, 7]",
    "text[]": "ARRAY['x, ' || ({n}), '\"', NULL]",
    "double precision": "(({n}) / 3.0)::float8",
    "int4range": "int4range(({n})::int, ({n})::int + 3)",
}
_LONG_TEXT: Final = "(SELECT string_agg(md5((({n}) * 100 + i)::text), '') FROM generate_series(1, 90) AS i)"


def value_of(column: Column, number: str = "n") -> str:
    """Return SQL for a value of a column that differs by a number, itself SQL."""
    if column.refers_to is not None:
        return column.refers_to.replace("OFFSET n", f"OFFSET ({number})")
    if column.name == "p":
        return f"(({number}) % 4)::{column.type}"
    if column.type == "text" and column.name in _LONG and not column.is_key:
        return f"CASE WHEN ({number}) % 3 = 0 THEN {_LONG_TEXT.format(n=number)} ELSE 't' || ({number}) END"
    return _value(column.type, column.kind, number)


def _value(type_name: str, kind: str, number: str) -> str:
    if kind == "e":
        labels = f"enum_range(NULL::{type_name})"
        return f"({labels})[1 + ({number}) % cardinality({labels})]"
    if kind == "d":
        return f"(1 + abs({number}) % 900)::int::{type_name}"
    found = _VALUES.get(type_name) or _VALUES.get(type_name.partition("(")[0].strip())
    found = found or next((sql for name, sql in _VALUES.items() if type_name.startswith(f"{name} ")), "NULL")
    return found.format(n=number)


def column_of(name: str, scene: Scene, draws: Draws, *, key: str | None = None) -> str:
    """Return the definition of a new column; `key` is a number that one which is computed may be made of."""
    types = [*((name, "b") for name in _TYPES), *((name, "e") for name in scene.enums)]
    type_name, kind = draws.pick([*types, *((name, "d") for name in scene.domains)])
    constant = _value(type_name, kind, str(draws.below(9)))
    match draws.below(9):
        case 0 | 1 | 2:
            return f"{name} {type_name}"
        case 3:
            return f"{name} {type_name} DEFAULT {constant}"
        case 4:
            return f"{name} {type_name} NOT NULL DEFAULT {constant}"
        case 5:
            return f"{name} {type_name} UNIQUE"
        case 6 if key is not None:
            return f"{name} bigint GENERATED ALWAYS AS ({key} * 2) STORED"
        case 7:
            return f"{name} integer DEFAULT {draws.pick(scene.functions)}()"
        case _:
            return f"{name} {type_name} CHECK ({name} IS NOT NULL OR {name} IS NULL)"


def make_table(draws: Draws, scene: Scene) -> str:
    """Make an ordinary table with one of the usual kinds of keys, or none."""
    name = f"{draws.pick(scene.schemas)}.{scene.new_name(NAMES, draws)}"
    head, tail, key, rest = "", "", "k", "k int"
    match draws.below(9):
        case 0 | 1:
            rest = "k int PRIMARY KEY"
        case 2:
            rest, tail = "k int, l text", ", PRIMARY KEY (l, k)"
        case 3:
            rest = "k bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        case 4:
            rest = "k serial PRIMARY KEY"
        case 5:
            head, rest = "UNLOGGED ", "k int PRIMARY KEY"
        case 6:
            rest = "k text PRIMARY KEY"
            key = "length(k)"
        case 7:
            rest = "k int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED"
        case _:
            pass
    more = [column_of(column, scene, draws, key=key) for column in COLUMNS[: 1 + draws.below(4)]]
    return f"CREATE {head}TABLE {name} ({', '.join([rest, *more])}{tail})"


def make_divided(draws: Draws, scene: Scene) -> str:
    """Make a partitioned table with its first leaves."""
    schema, name = draws.pick(scene.schemas), scene.new_name(NAMES, draws)
    way = draws.pick(("RANGE (p)", "LIST (p)", "HASH (k)"))
    key = draws.pick((", PRIMARY KEY (k, p)", "", ", PRIMARY KEY (p, k)"))
    column = column_of("a", scene, draws, key="k")
    table = f"{schema}.{name}"
    made = [
        f"CREATE TABLE {table} (k int, p int{'' if ' UNIQUE' in column else f', {column}'}{key}) PARTITION BY {way}"
    ]
    for number in range(1 + draws.below(3)):
        leaf = f"{schema}.{_leaf_name(table, number)}"
        made.append(f"CREATE TABLE {leaf} PARTITION OF {table} {bounds(way[0].lower(), number)}")
    return "; ".join(made)


def bounds(strategy: str | None, number: int) -> str:
    """Return the bounds of a leaf by its number; the last is the default one."""
    if strategy == "h":
        return f"FOR VALUES WITH (MODULUS 3, REMAINDER {number % 3})"
    if number >= 3:
        return "DEFAULT"
    return f"FOR VALUES FROM ({number}) TO ({number + 1})" if strategy == "r" else f"FOR VALUES IN ({number})"


def _leaf_name(table: str, number: int) -> str:
    plain = table.partition(".")[2].replace('"', "").replace(" ", "_")
    return f'"{plain}_{number}"'


def make_leaf(draws: Draws, scene: Scene) -> str:
    """Make another leaf, itself partitioned now and then."""
    table, number = draws.pick(scene.divided), draws.below(4)
    way = " PARTITION BY LIST (p)" if draws.below(5) == 4 else ""
    leaf = f"{table.schema}.{_leaf_name(table.name, number + 4 * draws.below(2))}"
    return f"CREATE TABLE {leaf} PARTITION OF {table.name} {bounds(table.strategy, number)}{way}"


def attach(draws: Draws, scene: Scene) -> str:
    """Give a partitioned table one that is like it, made for it or detached before."""
    table, number = draws.pick(scene.divided), draws.below(4)
    if draws.flag():
        other = draws.pick([other for other in scene.free if _names(other) == _names(table) and other != table]).name
        return f"ALTER TABLE {table.name} ATTACH PARTITION {other} {bounds(table.strategy, number)}"
    other = f"{table.schema}.{scene.new_name(NAMES, draws)}"
    all_of_it = " INCLUDING ALL" if draws.flag() else ""
    return (
        f"CREATE TABLE {other} (LIKE {table.name}{all_of_it});"
        f" INSERT INTO {other} (k, p) VALUES ({scene.step % 5000 * 100}, {number % 4});"
        f" ALTER TABLE {table.name} ATTACH PARTITION {other} {bounds(table.strategy, number)}"
    )


def _names(table: Table) -> set[str]:
    return {column.name for column in table.columns}


def detach(draws: Draws, scene: Scene) -> str:
    """Take a leaf from its table."""
    table = draws.pick([table for table in scene.divided if table.leaves])
    return f"ALTER TABLE {table.name} DETACH PARTITION {draws.pick(table.leaves)}"


def make_child(draws: Draws, scene: Scene) -> str:
    """Make a table that inherits another's columns."""
    parent = draws.pick([table for table in scene.plain if not table.is_leaf])
    own = draws.pick(("", "k2 int", *(f"PRIMARY KEY ({column.name})" for column in parent.key)))
    return f"CREATE TABLE {parent.schema}.{scene.new_name(NAMES, draws)} ({own}) INHERITS ({parent.name})"


def inherit(draws: Draws, scene: Scene) -> str:
    """End an inheritance, or begin it anew."""
    children = [table for table in scene.plain if table.parent is not None and not table.is_leaf]
    if draws.flag():
        child = draws.pick(children)
        return f"ALTER TABLE {child.name} NO INHERIT {child.parent}"
    child = draws.pick([table for table in scene.plain if table.parent is None])
    return f"ALTER TABLE {child.name} INHERIT {draws.pick(scene.plain).name}"


def make_like(draws: Draws, scene: Scene) -> str:
    """Make a table of another's rows or definition."""
    table, name = draws.pick(scene.tables), scene.new_name(NAMES, draws)
    if draws.flag():
        return f"CREATE TABLE {table.schema}.{name} AS TABLE {table.name}"
    return f"CREATE TABLE {table.schema}.{name} (LIKE {table.name} INCLUDING ALL)"


def make_again(draws: Draws, scene: Scene) -> str:
    """Put a new table in the place of an old one, as migrations do that cannot alter it."""
    table = draws.pick([table for table in scene.plain if not table.is_leaf])
    columns = ", ".join(column.name for column in table.written)
    name = table.name.partition(".")[2]
    filled = (
        f"INSERT INTO {table.schema}.tmp_new ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table.name};"
    )
    return (
        f"CREATE TABLE {table.schema}.tmp_new (LIKE {table.name} INCLUDING ALL); {filled if draws.flag() else ''}"
        f" DROP TABLE {table.name} CASCADE; ALTER TABLE {table.schema}.tmp_new RENAME TO {name}"
    )


def drop_table(draws: Draws, scene: Scene) -> str:
    """Drop a table with what depends on it."""
    return f"DROP TABLE {draws.pick(scene.tables).name} CASCADE"


def rename_table(draws: Draws, scene: Scene) -> str:
    """Give a table another name."""
    return f"ALTER TABLE {draws.pick(scene.tables).name} RENAME TO {scene.new_name(NAMES, draws)}"


def swap_tables(draws: Draws, scene: Scene) -> str:
    """Let two tables change their names."""
    one = draws.pick(scene.tables)
    other = draws.pick([table for table in scene.tables if table.schema == one.schema and table != one])
    first, second = (table.name.partition(".")[2] for table in (one, other))
    return (
        f"ALTER TABLE {one.name} RENAME TO tmp_name; ALTER TABLE {other.name} RENAME TO {first};"
        f" ALTER TABLE {one.schema}.tmp_name RENAME TO {second}"
    )


def move_table(draws: Draws, scene: Scene) -> str:
    """Put a table into another schema."""
    return f"ALTER TABLE {draws.pick(scene.tables).name} SET SCHEMA {draws.pick(scene.schemas)}"


def set_logged(draws: Draws, scene: Scene) -> str:
    """Make a table logged or unlogged."""
    table = draws.pick(scene.plain)
    return f"ALTER TABLE {table.name} SET {'LOGGED' if table.persistence == 'u' else 'UNLOGGED'}"


def write_anew(draws: Draws, scene: Scene) -> str:
    """Give a table another file while no row changes."""
    table = draws.pick(scene.plain)
    if draws.flag():
        return f"CLUSTER {table.name} USING {draws.pick(table.indexes)[0].partition('.')[2]}"
    return f"VACUUM FULL {table.name}"


def own_table(draws: Draws, scene: Scene) -> str:
    """Give a table to somebody else, or rights on it."""
    table = draws.pick(scene.tables)
    column = draws.pick(table.columns).name
    return draws.pick(
        (
            f"GRANT SELECT, UPDATE ON {table.name} TO {PERSON}",
            f"GRANT SELECT ({column}), INSERT ({column}) ON {table.name} TO {PERSON} WITH GRANT OPTION",
            f"REVOKE ALL ON {table.name} FROM {PERSON}",
            f"REVOKE ALL ({column}) ON {table.name} FROM {PERSON}",
            f"ALTER TABLE {table.name} OWNER TO {PERSON}",
            f"ALTER TABLE {table.name} OWNER TO postgres",
            f"GRANT SELECT ON {table.name} TO PUBLIC",
        )
    )


def comment(draws: Draws, scene: Scene) -> str:
    """Say something of a table, a column or what belongs to it."""
    table = draws.pick(scene.tables)
    said = draws.pick((f"'step {scene.step}'", "'it''s; a IS ''name'''", "E'two\\nlines -- \"x\"'", "NULL"))
    on = [f"TABLE {table.name}", *(f"COLUMN {table.name}.{column.name}" for column in table.columns)]
    on += [f"CONSTRAINT {name} ON {table.name}" for name, _ in table.constraints]
    on += [f"INDEX {name}" for name, _ in table.indexes]
    on += [f"TRIGGER {name} ON {table.name}" for name in table.triggers]
    return f"COMMENT ON {draws.pick(on)} IS {said}"
