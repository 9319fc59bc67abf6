"""Traps of definitions: tables truncated, rewritten, altered, dropped, between syncs and under open exports."""

from __future__ import annotations

import pytest

from shared.replication.model import Manifest, SyncKind
from tests.replication.world import World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL);
INSERT INTO account SELECT n, 'owner ' || n, 100 FROM generate_series(1, 500) AS n;
CREATE TABLE small (id int PRIMARY KEY, note text UNIQUE);
INSERT INTO small SELECT n, 'note ' || n FROM generate_series(1, 50) AS n;
CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE TABLE diary (at timestamptz PRIMARY KEY, felt mood NOT NULL);
CREATE TABLE keyed (id int PRIMARY KEY, note text);
INSERT INTO keyed SELECT n, 'note ' || n FROM generate_series(1, 50) AS n;
CREATE TABLE doomed (id int PRIMARY KEY);
INSERT INTO doomed VALUES (1);
CREATE TABLE doomed_next (id int PRIMARY KEY);
INSERT INTO doomed_next VALUES (1);
CREATE TABLE wide (id int PRIMARY KEY, b int);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_low (id int PRIMARY KEY);
"""

TRUNCATED = "TRUNCATE small; INSERT INTO small SELECT n, 'new ' || n FROM generate_series(40, 60) AS n"
REWRITTEN = "ALTER TABLE small ALTER COLUMN note TYPE text USING note || '!'"
WRITTEN_ANEW = "VACUUM FULL small"


def after_open(world: World, command: str) -> None:
    """Let the application run a command when the next export is open, before anything is read from it."""

    async def run(_: Manifest) -> None:
        world.target.client.after_open = None
        world.sql(command)

    world.target.client.after_open = run


def before_first_table(world: World, command: str) -> None:
    """Let the application run a command just before the rows of the next export's first table are read."""

    async def run(_: Manifest, __: int) -> None:
        world.target.client.before_rows = None
        world.sql(command)

    world.target.client.before_rows = run


@pytest.mark.parametrize(
    "command", [TRUNCATED, REWRITTEN, WRITTEN_ANEW], ids=["TRUNCATE", "ALTER TABLE", "VACUUM FULL"]
)
async def test_a_table_gets_another_file_under_an_open_export(world: World, command: str) -> None:
    """The snapshot would show an empty table: refused, and the sync begins again by itself."""
    after_open(world, command)
    world.sql("UPDATE small SET note = note || '.' WHERE id = 45")
    outcome = await world.delta()
    assert world.target.client.refusals == ["table_rewritten"]
    assert (outcome.rows <= 2) == (command == WRITTEN_ANEW), "only what changed is copied where only the file is new"


async def test_a_column_gets_another_type_under_an_open_export(world: World) -> None:
    """The delta is refused, the second look finds another definition, and brings it."""
    after_open(world, "ALTER TABLE account ALTER COLUMN balance TYPE numeric")
    world.sql("UPDATE account SET balance = 1 WHERE id = 1")
    await world.delta()
    assert world.target.client.refusals == ["table_rewritten"]


@pytest.mark.parametrize(
    "command", [TRUNCATED, REWRITTEN, WRITTEN_ANEW], ids=["TRUNCATE", "ALTER TABLE", "VACUUM FULL"]
)
async def test_a_table_gets_another_file_under_a_running_seed(world: World, command: str) -> None:
    """The seed leaves the table out and is finished by a delta that brings it whole; nobody sees it without."""
    world.forget_copy()
    before_first_table(world, f"{command}; UPDATE account SET owner = 'meanwhile' WHERE id < 10")
    await world.seed()
    assert [manifest.kind for manifest in world.target.client.manifests] == [SyncKind.SEED, SyncKind.DELTA]


async def test_a_table_is_replaced_under_a_running_seed(world: World) -> None:
    """The copy could not be finished by a delta: the sync makes another, by itself."""
    world.forget_copy()
    before_first_table(world, "DROP TABLE doomed; CREATE TABLE doomed (id int PRIMARY KEY)")
    await world.seed()
    assert world.target.client.refusals == [
        "table_rewritten",  # the full copy leaves the table out
        "schema_changed",  # the delta that should bring it
    ]


async def test_a_column_is_added_under_a_running_seed(world: World) -> None:
    """The copy is that of the snapshot; the next sync finds the other definition."""
    world.forget_copy()
    before_first_table(world, "ALTER TABLE small ADD COLUMN more int DEFAULT 7")
    assert (await world.target.sync()).kind is SyncKind.SEED
    await world.delta()


async def test_a_table_of_the_same_name_takes_its_place_under_an_open_export(world: World) -> None:
    """A table is found by its name and meant by its oid: the other table's rows are not those of the snapshot."""
    world.sql("CREATE TABLE small_new AS TABLE small; ALTER TABLE small_new ADD PRIMARY KEY (id), ADD UNIQUE (note)")
    await world.delta()
    world.sql("UPDATE small SET note = note || '.' WHERE id = 45; UPDATE small_new SET note = 'another ' || id")
    after_open(world, "BEGIN; ALTER TABLE small RENAME TO small_old; ALTER TABLE small_new RENAME TO small; COMMIT")
    await world.delta()
    assert world.target.client.refusals == ["table_rewritten"]


async def test_a_table_is_dropped_under_an_open_export(world: World) -> None:
    """The sync begins again, and finds that definitions changed."""
    world.sql("CREATE TABLE short (id int PRIMARY KEY)")
    await world.delta()
    world.sql("INSERT INTO short VALUES (1)")
    after_open(world, "DROP TABLE short")
    await world.delta()
    assert world.target.client.refusals == ["table_rewritten"]


async def test_a_table_is_dropped_before_the_definitions_are_dumped(world: World) -> None:
    """The snapshot shows a table that pg_dump can lock no more: the sync begins again."""
    world.sql("CREATE TABLE short (id int PRIMARY KEY)")
    await world.delta()
    world.sql("ALTER TABLE doomed_next ADD COLUMN more int")
    after_open(world, "DROP TABLE short")
    await world.delta()
    assert world.target.client.refusals == ["table_rewritten"]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE new_one (id int PRIMARY KEY); INSERT INTO new_one VALUES (1)",
        "DROP TABLE doomed",
        "ALTER TABLE keyed ALTER COLUMN id TYPE bigint; INSERT INTO keyed VALUES (5000000000, 'far')",
        "ALTER TABLE doomed_next RENAME COLUMN id TO number; INSERT INTO doomed_next VALUES (2)",
        "ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (id, b); INSERT INTO wide VALUES (1, 2)",
        "ALTER TYPE mood ADD VALUE 'sad' BEFORE 'glad'; INSERT INTO diary VALUES (now(), 'sad')",
        "INSERT INTO part_low VALUES (1); ALTER TABLE part ATTACH PARTITION part_low FOR VALUES FROM (0) TO (10)",
    ],
    ids=["new table", "dropped table", "key's type", "column renamed", "wider key", "enum value", "partition attached"],
)
async def test_a_changed_definition_is_brought(world: World, change: str) -> None:
    """Nothing of the old definition is applied to the new one; and deltas go on afterwards."""
    world.sql(f"{change}; UPDATE account SET balance = balance + 1 WHERE id = 7")
    assert (await world.delta()).reason
    world.sql("UPDATE account SET balance = balance + 1 WHERE id = 7")
    assert (await world.delta()).rows == 1


async def test_a_changed_definition_is_brought_by_a_full_copy(world: World) -> None:
    """Where it is not known what the copy was made of, as after a re-sync."""
    world.place.copy_sql("DELETE FROM warmstandby.definitions")
    world.sql("ALTER TABLE wide ADD COLUMN c text; CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1")
    assert (await world.seed()).reason
    world.sql("UPDATE account SET balance = balance + 1 WHERE id = 7")
    assert (await world.delta()).rows == 1


async def test_a_table_that_loses_its_key_and_gets_it_back(world: World) -> None:
    """Without a key it is compared, with its key again it is followed by it."""
    world.sql("ALTER TABLE keyed DROP CONSTRAINT keyed_pkey")
    world.sql("UPDATE keyed SET note = 'no key' WHERE id = 11; DELETE FROM keyed WHERE id = 12")
    outcome = await world.delta()
    assert outcome.unkept == ()
    world.sql("UPDATE account SET balance = 3 WHERE id = 12; DELETE FROM keyed WHERE id = 13")
    assert set((await world.delta()).rows_per_table) == {"public.account", "public.keyed"}
    world.sql("UPDATE account SET balance = 4 WHERE id = 12")
    assert set((await world.delta()).rows_per_table) == {"public.account"}
    world.sql("ALTER TABLE keyed ADD PRIMARY KEY (id); UPDATE keyed SET note = 'key again' WHERE id = 14")
    outcome = await world.delta()
    assert outcome.unkept == ()
    world.sql("DELETE FROM keyed WHERE id = 15")
    assert (await world.delta()).keys == 1


async def test_a_key_lost_and_back_between_two_syncs(world: World) -> None:
    """What was written meanwhile carries no key: the copy must not believe that it saw all."""
    world.sql("ALTER TABLE keyed DROP CONSTRAINT keyed_pkey; INSERT INTO keyed VALUES (70, 'no key')")
    await world.drain()
    world.sql("UPDATE keyed SET note = 'no key' WHERE id = 21; ALTER TABLE keyed ADD PRIMARY KEY (id)")
    await world.sync()


@pytest.mark.parametrize("what", ["TABLE", "INDEX"])
async def test_an_index_built_anew_is_no_change(world: World, what: str) -> None:
    """REINDEX, also CONCURRENTLY, gives another index in place of the key's, of the same definition."""
    name = "small" if what == "TABLE" else "small_pkey"
    world.sql(f"REINDEX {what} CONCURRENTLY {name}")
    world.sql("UPDATE small SET note = note || '.' WHERE id = 45")
    assert (await world.delta()).keys == 1


async def test_an_expression_of_a_generated_column_changes(world: World, major: int) -> None:
    """The copy computes the column by itself, so it needs the new expression."""
    change = "ALTER TABLE account ALTER COLUMN twice SET EXPRESSION AS (id * 3)"
    if major < 17:
        other = "ADD COLUMN twice int GENERATED ALWAYS AS (id * 3) STORED"
        change = f"ALTER TABLE account DROP COLUMN twice; ALTER TABLE account {other}"
    world.sql("ALTER TABLE account ADD COLUMN twice int GENERATED ALWAYS AS (id * 2) STORED")
    await world.delta()
    world.sql(f"UPDATE account SET balance = 5 WHERE id = 5; {change}")
    await world.sync()
