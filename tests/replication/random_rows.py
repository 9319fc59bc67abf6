"""Steps of a random program that write rows. Which rows is told by their content, so that each run chooses the same."""

from __future__ import annotations

from tests.replication.random_scene import Draws, Scene, Table
from tests.replication.random_tables import value_of


def _some(table: Table, draws: Draws) -> str:
    """Return a condition that some rows meet."""
    share = draws.pick((3, 1, 8))
    return f"abs(hashtext(t::text)) % {share} = {draws.below(share)}"


def _insertion(draws: Draws, scene: Scene, table: Table) -> str:
    given = [column for column in table.written if column.is_key or draws.below(6) or not column.has_default]
    first = scene.step % 5000 * 100 if draws.below(4) else draws.below(4) * 100
    names = ", ".join(column.name for column in given)
    values = ", ".join(value_of(column) for column in given)
    overriding = " OVERRIDING SYSTEM VALUE" if any(column.identity for column in given) else ""
    rows = f"generate_series({first}, {first + draws.pick((4, 0, 40, 90))}) AS n"
    return f"INSERT INTO {table.name} ({names}){overriding} SELECT {values} FROM {rows}"


def insert(draws: Draws, scene: Scene) -> str:
    """Insert rows with keys of this step, or of an earlier one."""
    conflict = draws.pick((" ON CONFLICT DO NOTHING", ""))
    return f"{_insertion(draws, scene, draws.pick(scene.tables))}{conflict}"


def upsert(draws: Draws, scene: Scene) -> str:
    """Insert rows, or change those of their keys."""
    table = draws.pick([table for table in scene.tables if table.key])
    changed = [f"{column.name} = EXCLUDED.{column.name}" for column in table.written if not column.is_key]
    key = ", ".join(column.name for column in table.key)
    return f"{_insertion(draws, scene, table)} ON CONFLICT ({key}) DO UPDATE SET {draws.pick(changed)}"


def insert_defaults(draws: Draws, scene: Scene) -> str:
    """Insert a row of defaults."""
    return f"INSERT INTO {draws.pick(scene.tables).name} DEFAULT VALUES"


def update(draws: Draws, scene: Scene) -> str:
    """Change some rows, but not their keys."""
    table = draws.pick(scene.tables)
    column = draws.pick([column for column in table.written if not column.is_key and column.identity != "a"])
    value = value_of(column, f"({scene.step} + abs(hashtext(t::text)) % 5000)")
    return f"UPDATE {table.name} AS t SET {column.name} = {value} WHERE {_some(table, draws)}"


def change_keys(draws: Draws, scene: Scene) -> str:
    """Give some rows other keys; a part of the key may say in which leaf a row lies."""
    table = draws.pick([table for table in scene.tables if table.key])
    column = draws.pick(table.key)
    other = f"{column.name} || '!'" if column.type == "text" else f"{column.name} + {draws.pick((1000, 1, -1))}"
    return f"UPDATE {table.name} AS t SET {column.name} = {other} WHERE {_some(table, draws)}"


def swap_values(draws: Draws, scene: Scene) -> str:
    """Let the lowest and the highest row change their values of a column, a key or not."""
    table = draws.pick(scene.plain)
    column = draws.pick([column for column in table.written if column.type in ("integer", "bigint")]).name
    low, high = (f"(SELECT {way}({column}) FROM {table.name})" for way in ("min", "max"))
    return (
        f"DO $$ DECLARE low bigint := {low}; high bigint := {high}; BEGIN"
        f" UPDATE {table.name} SET {column} = -77 WHERE {column} = low;"
        f" UPDATE {table.name} SET {column} = low WHERE {column} = high;"
        f" UPDATE {table.name} SET {column} = high WHERE {column} = -77; END $$"
    )


def move_rows(draws: Draws, scene: Scene) -> str:
    """Move rows from leaf to leaf."""
    table = draws.pick([table for table in scene.divided if any(column.name == "p" for column in table.columns)])
    return f"UPDATE {table.name} AS t SET p = {draws.below(4)} WHERE {_some(table, draws)}"


def delete(draws: Draws, scene: Scene) -> str:
    """Delete some rows, or all of them."""
    table = draws.pick(scene.tables)
    return f"DELETE FROM {table.name} AS t WHERE {_some(table, draws)}"


def truncate(draws: Draws, scene: Scene) -> str:
    """Empty a table or two."""
    one, other = draws.pick(scene.tables), draws.pick(scene.tables)
    both = one.name if draws.flag() or one == other else f"{one.name}, {other.name}"
    return f"TRUNCATE {both}{draws.pick(('', ' RESTART IDENTITY'))}{draws.pick((' CASCADE', ''))}"
