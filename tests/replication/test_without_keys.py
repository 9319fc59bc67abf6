"""What no captured key tells of is part of each delta: tables without a key, unlogged ones, large objects, views."""

from __future__ import annotations

import asyncio

import pytest

from sample.comparison import compare_databases
from services.standby_controller.apply.merge import BULK_ROWS
from services.standby_controller.outcome import ComponentOutcome
from shared.errors import PeerRefusal, RequestError
from shared.replication.model import Manifest, TableMode
from tests.replication.judge import open_session
from tests.replication.world import World
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major

SYNCS = rounds(6, 60)

SCHEMA = """
CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed VALUES (1, 'a'), (2, 'b');

CREATE TABLE line (v text, n int); INSERT INTO line SELECT 'same', 1 FROM generate_series(1, 3);
INSERT INTO line VALUES ('other', 2), (NULL, NULL);
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, v text); INSERT INTO deferred VALUES (1, 'a'), (2, 'b');
CREATE TABLE no_identity (id int PRIMARY KEY, v text); ALTER TABLE no_identity REPLICA IDENTITY NOTHING;
INSERT INTO no_identity VALUES (1, 'a'), (2, 'b');
CREATE TABLE by_computed (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY);
INSERT INTO by_computed VALUES (1), (2);
CREATE TABLE full_computed (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE full_computed REPLICA IDENTITY FULL; INSERT INTO full_computed VALUES (1, 1), (2, 2);
CREATE TABLE identity_always (n int GENERATED ALWAYS AS IDENTITY, v text); INSERT INTO identity_always (v) VALUES ('a');
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_computed (v int GENERATED ALWAYS AS (7) STORED); INSERT INTO only_computed DEFAULT VALUES;
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, v text); INSERT INTO fleeting VALUES (1, 'a'), (2, 'b');
CREATE TABLE event (at date NOT NULL, v text) PARTITION BY RANGE (at);
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE TABLE event_2024 PARTITION OF event (PRIMARY KEY (at)) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO event VALUES ('2024-01-01', 'keyed'), ('2030-01-01', 'left'), ('2030-01-01', 'left');
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (v text) INHERITS (parent);
INSERT INTO child VALUES (1, 'a');
"""
TABLES = (
    "line", "deferred", "no_identity", "by_computed", "full_computed", "identity_always", "no_columns", "only_computed",
    "fleeting", "event_default", "child",
)  # fmt: skip
BY_ID = ("deferred", "no_identity", "fleeting")
CHANGES = {
    "insert": {
        **dict.fromkeys(BY_ID, "INSERT INTO {table} VALUES (77, 'new'), (78, 'new')"),
        "full_computed": "INSERT INTO {table} (id, n) VALUES (77, 1), (78, 2)",
        "line": "INSERT INTO {table} VALUES ('new', 77)",
        "by_computed": "INSERT INTO {table} VALUES (77), (78)",
        "identity_always": "INSERT INTO {table} (v) VALUES ('new'), ('new')",
        "no_columns": "INSERT INTO {table} DEFAULT VALUES",
        "only_computed": "INSERT INTO {table} DEFAULT VALUES",
        "event_default": "INSERT INTO event VALUES ('2040-01-01', 'new')",
        "child": "INSERT INTO {table} VALUES (77, 'new'), (77, 'new')",
    },
    "update": {
        **dict.fromkeys(BY_ID, "UPDATE {table} SET v = 'changed', id = id + 100 WHERE id = 1"),
        "full_computed": "UPDATE {table} SET n = n + 1 WHERE id = 1",
        "line": "UPDATE {table} SET v = 'changed' WHERE n = 2",
        "by_computed": "UPDATE {table} SET a = a + 100 WHERE a = 1",
        "identity_always": "UPDATE {table} SET v = NULL",
        "event_default": "UPDATE event SET v = 'changed' WHERE at = '2030-01-01'",
        "child": "UPDATE {table} SET id = id + 1",
    },
    "delete": {
        table: "DELETE FROM {table} WHERE ctid = (SELECT min(ctid) FROM {table})"
        for table in TABLES
        if table != "event_default"
    }
    | {"event_default": "DELETE FROM event WHERE at = '2040-01-01'"},
    "truncate": dict.fromkeys(TABLES, "TRUNCATE {table}"),
    "fill again": {
        **dict.fromkeys(BY_ID, "INSERT INTO {table} VALUES (1, 'a'), (2, 'b')"),
        "full_computed": "INSERT INTO {table} (id, n) VALUES (1, 1)",
        "line": "INSERT INTO {table} SELECT 'same', 1 FROM generate_series(1, 3)",
        "no_columns": "INSERT INTO {table} DEFAULT VALUES",
        "only_computed": "INSERT INTO {table} DEFAULT VALUES",
        "event_default": "INSERT INTO event VALUES ('2024-01-02', 'keyed'), ('2030-01-01', 'left')",
        "child": "INSERT INTO {table} VALUES (1, 'a')",
    },
}


async def delta(world: World) -> ComponentOutcome:
    """Sync, and hold every table of the copy to the source by the independent comparison."""
    outcome = await world.delta()
    comparison = await compare_databases(world.place.dsn, world.place.copy_dsn)
    assert comparison.equal, comparison.describe()
    return outcome


def written(outcome: ComponentOutcome) -> dict[str, int]:
    """Return what was written, without the schema's name."""
    return {name.removeprefix("public."): rows for name, rows in outcome.rows_per_table.items()}


async def test_what_is_equal_does_not_travel(world: World) -> None:
    """Each such table is compared at each sync; nothing of it comes, and nobody is told that it is not kept."""
    outcome = await delta(world)
    assert outcome.unkept == ()
    assert (outcome.rows, outcome.bytes, written(outcome)) == (0, 0, {})
    told = {table.name: table.mode for table in world.target.client.manifests[-1].tables}
    expected = dict.fromkeys(TABLES, TableMode.COMPARED)
    if world.place.cluster.major < 18:
        del expected["full_computed"]  # older servers let it be published
    assert told == expected


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_comes_over(world: World, change: str) -> None:
    """To all of those tables at once, and nothing else travels."""
    for table, statement in CHANGES[change].items():
        world.sql(statement.format(table=table))
    found = written(await delta(world))
    assert {table for table, rows in found.items() if rows} >= set(CHANGES[change])
    assert set(found) <= {*CHANGES[change], "event_2024", "full_computed"}
    assert written(await delta(world)) == {}, "once is enough"


async def test_only_the_changed_table_travels(world: World) -> None:
    """One row in one of them: it comes whole, and no other row of the copy is written."""
    world.sql("INSERT INTO line VALUES ('one more')")
    before = world.place.copy_sql("SELECT ctid, xmin, v FROM line ORDER BY 1").splitlines()
    assert written(await delta(world)) == {"line": 1}
    assert set(before) < set(world.place.copy_sql("SELECT ctid, xmin, v FROM line ORDER BY 1").splitlines())


async def test_a_table_filled_with_others_rows_is_written_anew(world: World) -> None:
    """So many that its indexes are built after them."""
    world.sql(f"INSERT INTO line SELECT 'first ' || n % 1000 FROM generate_series(1, {BULK_ROWS}) AS n")
    await delta(world)
    world.sql("UPDATE line SET v = v || '!' WHERE v LIKE 'first%'")
    assert written(await delta(world))["line"] >= 2 * BULK_ROWS
    world.sql("DELETE FROM line WHERE v LIKE 'first%'")
    assert written(await delta(world)) == {"line": BULK_ROWS}


async def test_the_same_rows_in_a_new_file_do_not_travel(world: World) -> None:
    """VACUUM FULL, CLUSTER, and rows that were all written again."""
    world.sql("CREATE INDEX by_v ON line (v); CLUSTER line USING by_v; DROP INDEX by_v")
    for table in TABLES:
        world.sql(f"VACUUM FULL {table}")
    world.sql("BEGIN; CREATE TEMP TABLE was AS TABLE line; TRUNCATE line; INSERT INTO line TABLE was; COMMIT")
    assert written(await delta(world)) == {}


async def test_duplicates_are_counted(world: World) -> None:
    """One more row that looks like three others, then one less."""
    world.sql("INSERT INTO line VALUES ('same', 1)")
    assert written(await delta(world)) == {"line": 1}
    world.sql("DELETE FROM line WHERE ctid = (SELECT min(ctid) FROM line WHERE v = 'same')")
    assert written(await delta(world)) == {"line": 1}


async def test_a_row_that_moves_between_a_leaf_with_a_key_and_one_without(world: World) -> None:
    """One transaction, told of by a key and by a digest: both sides of it are there after the sync."""
    world.sql("UPDATE event SET at = '2031-01-01' WHERE at = '2024-01-02'")
    assert set(written(await delta(world))) == {"event_2024", "event_default"}
    world.sql("UPDATE event SET at = '2024-06-06' WHERE at = '2031-01-01'")
    assert set(written(await delta(world))) == {"event_2024", "event_default"}


async def test_all_tables_are_of_one_moment_while_the_application_writes(world: World) -> None:
    """What one transaction writes to a table with a key and to one without is there together, or not at all."""
    world.sql("UPDATE keyed SET v = '0' WHERE id = 2; DELETE FROM line WHERE v = 'of two'")
    rule = "SELECT (SELECT v::int FROM keyed WHERE id = 2) = (SELECT count(*) FROM line WHERE v = 'of two')"
    moments = set()

    async def write() -> None:
        async with open_session(world.place.dsn) as application:
            while True:
                await application.execute(
                    "BEGIN; UPDATE public.keyed SET v = v::int + 1 WHERE id = 2;"
                    "INSERT INTO public.line VALUES ('of two'); COMMIT"
                )

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write()) for _ in range(3)]
        for _ in range(SYNCS):
            assert (await world.target.sync()).unkept == ()
            assert world.place.copy_sql(rule) == "t"
            moments.add(world.place.copy_sql("SELECT count(*) FROM line"))
        for writer in writers:
            writer.cancel()
    assert len(moments) == SYNCS, "each sync brought another moment"
    await delta(world)


async def test_what_was_written_to_the_copy_is_overwritten(world: World) -> None:
    """By whomever: also rows that a crash of the standby took from an unlogged table."""
    world.place.copy_sql("INSERT INTO line VALUES ('of the copy'); TRUNCATE fleeting")
    assert set(written(await delta(world))) == {"line", "fleeting"}


async def test_a_table_without_a_digest_comes_whole(world: World) -> None:
    """Where values are too long to be put together it is taken as changed, each time."""
    world.target.client.digest_problem = "too long"
    assert set(written(await delta(world))) >= {"line", "fleeting"}
    world.target.client.digest_problem = None
    assert written(await delta(world)) == {}


async def test_a_table_that_is_held_stays_and_is_told_of(world: World) -> None:
    """The rest of the delta comes; the next one brings it."""
    world.sql("INSERT INTO line VALUES ('late'); INSERT INTO keyed VALUES (50, 'on time')")
    async with open_session(world.place.dsn) as application:
        await application.execute("BEGIN; LOCK TABLE public.line")
        outcome = await world.target.sync()
        assert [table.name for table in outcome.unkept] == ["public.line"]
        assert world.place.copy_sql("SELECT v FROM keyed WHERE id = 50") == "on time"
        await application.execute("ROLLBACK")
    outcome = await delta(world)
    assert (outcome.unkept, set(written(outcome))) == ((), {"line"})


async def test_a_table_truncated_while_it_is_compared_starts_the_export_again(world: World) -> None:
    """A snapshot does not protect from it: rows that were never both there are not applied."""
    world.sql("INSERT INTO line VALUES ('before')")
    done: list[int] = []

    async def truncate(manifest: Manifest, number: int) -> None:
        if manifest.tables[number].name == "line" and not done:
            done.append(number)
            world.sql(
                "BEGIN; TRUNCATE line; INSERT INTO line VALUES ('after'); INSERT INTO keyed VALUES (60, 'x'); COMMIT"
            )

    world.target.client.before_digest = truncate
    await delta(world)
    assert done
    assert world.place.copy_sql("SELECT v FROM line; SELECT v FROM keyed WHERE id = 60") == "after\nx"


async def test_only_tables_that_are_compared_have_a_digest(world: World) -> None:
    """A keyed table is told of by its keys."""
    world.sql("UPDATE keyed SET v = 'c' WHERE id = 1")
    refused: list[str] = []

    async def ask(manifest: Manifest) -> None:
        number = next(table.number for table in manifest.tables if table.name == "keyed")
        with pytest.raises(PeerRefusal) as refusal:
            await world.target.client.digest(manifest.export_id, number)
        refused.append(str(refusal.value.peer_code))

    world.target.client.after_open = ask
    await delta(world)
    assert refused == [RequestError.code]
