"""Steps of a random program that make and change what is not a table: schemas, views, types, functions, sequences."""

from __future__ import annotations

from typing import Final

from tests.replication.random_scene import Draws, Scene
from tests.replication.random_tables import PERSON

_SCHEMAS: Final = ("side", '"Other side"', "third")
_VIEWS: Final = ("v1", "v2", "v3", '"V ä"')
_MATERIALIZED: Final = ("m1", "m2")
_FUNCTIONS: Final = ("f1", "f2", "f3")
_TYPES: Final = ("y1", "y2", "y3")
_SEQUENCES: Final = ("q1", "q2", '"Q 3"')


def change_schemas(draws: Draws, scene: Scene) -> str:
    """Make a schema, rename it, or drop it with all that it holds."""
    others = [schema for schema in scene.schemas if schema != "public"]
    name = draws.pick(_SCHEMAS)
    way = draws.below(6)
    if way < 3 or not others:
        return f"CREATE SCHEMA {name}"
    schema = draws.pick(others)
    return {
        3: f"ALTER SCHEMA {schema} RENAME TO {name}",
        4: f"DROP SCHEMA {schema} CASCADE",
        5: f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {PERSON}",
    }[way]


def make_view(draws: Draws, scene: Scene) -> str:
    """Make a view of a table or of another view, or replace one."""
    tables = {table.name: table.columns[0].name for table in scene.tables if table.columns}
    read = draws.pick([*tables, *scene.views])
    name = draws.pick(scene.views) if scene.views and draws.flag() else f"public.{scene.new_name(_VIEWS, draws)}"
    said = draws.pick(("", "WITH (security_barrier = true) "))
    shown = "SELECT *" if draws.flag() else f"SELECT 1 AS one, {tables.get(read, '2 AS two')}"
    computed = f", {draws.pick(scene.functions)}() AS computed" if draws.below(3) == 2 else ""
    return f"CREATE OR REPLACE VIEW {name} {said}AS {shown}{computed} FROM {read}"


def make_materialized(draws: Draws, scene: Scene) -> str:
    """Make a materialized view, with rows or without."""
    read = draws.pick([*(table.name for table in scene.tables), *scene.views, *scene.materialized])
    name = scene.new_name(_MATERIALIZED, draws)
    filled = draws.pick(("WITH DATA", "WITH DATA", "WITH NO DATA"))
    return f"CREATE MATERIALIZED VIEW public.{name} AS SELECT count(*) AS n FROM {read} {filled}"


def change_materialized(draws: Draws, scene: Scene) -> str:
    """Fill a materialized view, empty it, index it or drop it."""
    view = draws.pick(scene.materialized)
    return draws.pick(
        (
            f"REFRESH MATERIALIZED VIEW {view}",
            f"REFRESH MATERIALIZED VIEW {view} WITH NO DATA",
            f"CREATE UNIQUE INDEX ON {view} (n)",
            f"DROP MATERIALIZED VIEW {view}",
        )
    )


def change_view(draws: Draws, scene: Scene) -> str:
    """Drop a view, rename it, or say something else of it."""
    view = draws.pick(scene.views)
    return draws.pick(
        (
            f"DROP VIEW {view} CASCADE",
            f"ALTER VIEW {view} RENAME TO {scene.new_name(_VIEWS, draws)}",
            f"ALTER VIEW {view} SET (security_invoker = {'true' if draws.flag() else 'false'})",
            f"COMMENT ON VIEW {view} IS 'step {scene.step}'",
            f"GRANT SELECT ON {view} TO {PERSON}",
        )
    )


def make_function(draws: Draws, scene: Scene) -> str:
    """Make a function, or give one another body."""
    body = draws.pick(
        (
            f"LANGUAGE sql AS 'SELECT {scene.step}'",
            f"LANGUAGE sql IMMUTABLE RETURN {scene.step}",
            f"LANGUAGE plpgsql AS $$ BEGIN RETURN {scene.step}; END $$",
            *(f"LANGUAGE sql BEGIN ATOMIC SELECT count(*)::int FROM {table.name}; END" for table in scene.tables),
        )
    )
    name = draws.pick(scene.functions) if scene.functions and draws.flag() else f"public.{draws.pick(_FUNCTIONS)}"
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS int {body}"


def change_function(draws: Draws, scene: Scene) -> str:
    """Drop a function, move it, or say something else of it."""
    function = draws.pick(scene.functions)
    return draws.pick(
        (
            f"DROP FUNCTION {function}() CASCADE",
            f"DROP FUNCTION {function}()",
            f"ALTER FUNCTION {function}() RENAME TO {draws.pick(_FUNCTIONS)}",
            f"ALTER FUNCTION {function}() SET SCHEMA {draws.pick(scene.schemas)}",
            f"ALTER FUNCTION {function}() COST {10 + draws.below(90)}",
            f"REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {function}() TO {PERSON}",
            f"COMMENT ON FUNCTION {function}() IS 'step {scene.step}'",
        )
    )


def make_type(draws: Draws, scene: Scene) -> str:
    """Make an enum or a domain."""
    name = scene.new_name(_TYPES, draws)
    if draws.flag():
        return f"CREATE DOMAIN public.{name} AS int CHECK (VALUE > 0)"
    return f"CREATE TYPE public.{name} AS ENUM ('calm', 'glad', 'it''s')"


def change_enum(draws: Draws, scene: Scene) -> str:
    """Add labels, most of the time; else rename one, or the type."""
    enum = draws.pick(scene.enums)
    label = f"'label {scene.step}'"
    return draws.pick(
        (
            f"ALTER TYPE {enum} ADD VALUE {label}",
            f"ALTER TYPE {enum} ADD VALUE {label} BEFORE 'glad'",
            f"ALTER TYPE {enum} ADD VALUE {label} AFTER 'calm'",
            f"ALTER TYPE {enum} RENAME VALUE 'calm' TO {label}",
            f"ALTER TYPE {enum} RENAME TO {scene.new_name(_TYPES, draws)}",
            f"DROP TYPE {enum} CASCADE",
        )
    )


def change_domain(draws: Draws, scene: Scene) -> str:
    """Constrain a domain, or say something else of it."""
    domain = draws.pick(scene.domains)
    return draws.pick(
        (
            f"ALTER DOMAIN {domain} ADD CONSTRAINT c_{scene.step} CHECK (VALUE < 1000)",
            f"ALTER DOMAIN {domain} SET DEFAULT {1 + scene.step}",
            f"ALTER DOMAIN {domain} DROP DEFAULT",
            f"ALTER DOMAIN {domain} RENAME TO {scene.new_name(_TYPES, draws)}",
            f"DROP DOMAIN {domain} CASCADE",
        )
    )


def change_sequences(draws: Draws, scene: Scene) -> str:
    """Make a sequence, change one, take values from it, or drop it."""
    if not scene.sequences or draws.below(4) == 0:
        return f"CREATE SEQUENCE public.{scene.new_name(_SEQUENCES, draws)} START {1 + draws.below(50)}"
    sequence = draws.pick(scene.sequences)
    literal = "'" + sequence.replace("'", "''") + "'"
    owners = [f"{table.name}.{column.name}" for table in scene.tables for column in table.columns]
    return draws.pick(
        (
            f"SELECT nextval({literal})",
            f"SELECT setval({literal}, {1 + scene.step * 10})",
            f"SELECT setval({literal}, {1 + draws.below(5)}, false)",
            f"ALTER SEQUENCE {sequence} INCREMENT BY {1 + draws.below(5)} CYCLE MAXVALUE 100000",
            f"ALTER SEQUENCE {sequence} RESTART WITH {1 + draws.below(90)}",
            f"ALTER SEQUENCE {sequence} AS bigint NO CYCLE CACHE 5",
            f"ALTER SEQUENCE {sequence} OWNED BY {draws.pick(owners or ['NONE'])}",
            f"ALTER SEQUENCE {sequence} OWNED BY NONE",
            f"ALTER SEQUENCE {sequence} RENAME TO {scene.new_name(_SEQUENCES, draws)}",
            f"DROP SEQUENCE {sequence} CASCADE",
            f"GRANT USAGE ON SEQUENCE {sequence} TO {PERSON}",
        )
    )


def change_rights(draws: Draws, scene: Scene) -> str:
    """Give rights that what is made later will have, or take them back."""
    way = draws.pick(("GRANT SELECT ON TABLES TO", "REVOKE SELECT ON TABLES FROM", "GRANT EXECUTE ON FUNCTIONS TO"))
    where = draws.pick(("", *(f" IN SCHEMA {schema}" for schema in scene.schemas)))
    return f"ALTER DEFAULT PRIVILEGES{where} {way} {PERSON}"


def change_objects(draws: Draws, scene: Scene) -> str:
    """Make, write, own and unlink large objects."""
    if not scene.objects or draws.below(3) == 0:
        oid = 60_000 + draws.below(20)
        return f"SELECT lo_from_bytea({oid}, decode(repeat('0a', {scene.step % 5000}), 'hex'))"
    oid = draws.pick(scene.objects)
    return draws.pick(
        (
            f"SELECT lo_put({oid}, {draws.below(9)}, '\\xff00')",
            f"SELECT lo_unlink({oid})",
            f"COMMENT ON LARGE OBJECT {oid} IS 'step {scene.step}'",
            f"GRANT SELECT ON LARGE OBJECT {oid} TO {PERSON}",
        )
    )
