"""Tables without a key that are compared only when the server has counted writes to them since."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest

from lab.cluster import Cluster, ClusterError
from shared.replication.model import Manifest
from shared.settings import Keyless
from tests.replication.world import Place, World
from tests.tier import in_full_tier, on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE line (v text, n int) WITH (autovacuum_enabled = false); INSERT INTO line VALUES ('one', 1), ('two', 2);
CREATE TABLE other (v text) WITH (autovacuum_enabled = false); INSERT INTO other VALUES ('one');
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, v text); INSERT INTO fleeting VALUES (1, 'a');
CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed VALUES (1, 'a');
"""
CHECKPOINTER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"


@pytest.fixture
async def world(new_place: Callable[..., Place]) -> AsyncIterator[World]:
    """A copy that has been compared once since it was made."""
    async with new_place(SCHEMA).open() as opened:
        await opened.seed()
        set_keyless(opened, Keyless.WHEN_COUNTERS_MOVED)
        assert await compared(opened) == {"line", "other", "fleeting"}
        yield opened


def set_keyless(world: World, wish: Keyless) -> None:
    """Give the standby another setting."""
    target = world.target
    (component,) = target.settings.components
    wished = component.model_copy(update={"keyless": wish})
    world.target = replace(target, settings=target.settings.model_copy(update={"components": (wished,)}))


def wait_until_up(cluster: Cluster) -> None:
    """Wait until the server answers again."""
    for _ in range(300):
        with suppress(ClusterError):
            cluster.psql("SELECT 1")
            return
        time.sleep(0.1)


async def compared(world: World) -> set[str]:
    """Sync, and return the tables whose rows were read for it."""
    read: set[str] = set()

    async def note(manifest: Manifest, number: int) -> None:
        read.add(manifest.tables[number].name)

    world.target.client.before_digest = note
    await world.delta()
    return read


async def test_a_table_that_nobody_wrote_to_is_not_read(world: World) -> None:
    """But unlogged ones are: a crash of the standby may have emptied them."""
    world.sql("UPDATE keyed SET v = 'b'")
    assert await compared(world) == {"fleeting"}
    assert await compared(world) == {"fleeting"}


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO line VALUES ('new', 3)",
        "UPDATE line SET n = n + 1 WHERE n = 1",
        "DELETE FROM line WHERE n = 1",
        "TRUNCATE line",
        "COPY line FROM PROGRAM 'printf \"a\\t1\\n\"'",
        "DROP TABLE line; CREATE TABLE line (v text, n int); INSERT INTO line VALUES ('one', 1), ('two', 3)",
        "BEGIN; INSERT INTO line VALUES ('gone', 4); ROLLBACK",
    ],
)
async def test_each_way_to_write_is_seen(world: World, change: str) -> None:
    """By the next sync; one that was made anew comes whole, and is compared once more."""
    world.sql(change)
    assert await compared(world) - {"line"} == {"fleeting"}
    assert world.place.copy_sql("TABLE line") == world.place.sql("TABLE line")
    assert await compared(world) <= {"line", "fleeting"}
    assert await compared(world) == {"fleeting"}


async def test_a_prepared_transaction_is_seen_when_it_ends(world: World) -> None:
    world.sql("BEGIN; INSERT INTO line VALUES ('later', 5); PREPARE TRANSACTION 'p'")
    await compared(world)
    world.sql("COMMIT PREPARED 'p'")
    assert await compared(world) == {"line", "fleeting"}


async def test_counters_that_begin_anew_prove_nothing(world: World) -> None:
    """As many rows as before are written after they were set to nothing."""
    world.sql("SELECT pg_stat_reset(); INSERT INTO line VALUES ('as many', 1), ('as many', 2)")
    assert await compared(world) == {"line", "other", "fleeting"}


async def test_a_crash_and_as_many_writes_are_seen(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int
) -> None:
    """The server has lost its counters; what it counts since is what it had counted before."""
    cluster = new_cluster(major)
    place = new_place(SCHEMA, cluster=cluster, target=cluster)
    async with place.open() as world:
        await world.seed()
        set_keyless(world, Keyless.WHEN_COUNTERS_MOVED)
        await compared(world)
        os.kill(int(world.sql(CHECKPOINTER)), signal.SIGKILL)
        await asyncio.to_thread(wait_until_up, cluster)
        await world.restart()
        set_keyless(world, Keyless.WHEN_COUNTERS_MOVED)
        world.sql("INSERT INTO line VALUES ('as many', 1), ('as many', 2)")
        assert await compared(world) == {"line", "other", "fleeting"}


async def test_a_server_that_does_not_count_is_read(world: World) -> None:
    world.sql(f"ALTER DATABASE {world.place.component} SET track_counts = off")
    await world.restart()
    set_keyless(world, Keyless.WHEN_COUNTERS_MOVED)
    world.sql("UPDATE line SET n = 7")
    assert await compared(world) == {"line", "other", "fleeting"}


@pytest.mark.parametrize("where", ["ROLE someone_who_counts", "ROLE someone_who_counts IN DATABASE {}", "DATABASE {}"])
async def test_where_somebody_does_not_count_all_is_read(world: World, where: str) -> None:
    whom = where.format(world.place.component)
    world.sql(f"CREATE ROLE someone_who_counts; ALTER {whom} SET track_counts = off")
    try:
        assert await compared(world) == {"line", "other", "fleeting"}
        assert await compared(world) == {"line", "other", "fleeting"}
    finally:
        world.sql(f"ALTER {whom} RESET track_counts; DROP ROLE someone_who_counts")


@in_full_tier
async def test_a_session_that_is_busy_for_long_has_reported_nothing(world: World) -> None:
    """Its rows were committed, and are counted when it is idle: until then every table is read."""
    writer: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(world.place.dsn)
    try:
        await writer.execute("BEGIN")
        await writer.execute("INSERT INTO line VALUES ('one', 1)")
        await writer.execute("COMMIT; BEGIN; SELECT 1")
        await asyncio.sleep(11)
        assert await compared(world) == {"line", "other", "fleeting"}
        await writer.execute("COMMIT")
    finally:
        await writer.close()


async def test_what_is_given_up_is_a_row_changed_by_hand(world: World) -> None:
    """It stays until somebody compares: by default the next sync does."""
    world.place.copy_sql("UPDATE line SET v = 'by hand'")
    assert (await world.target.sync()).rows == 0
    set_keyless(world, Keyless.EVERY_SYNC)
    assert await compared(world) == {"line", "other", "fleeting"}
    assert world.place.copy_sql("SELECT count(*) FROM line WHERE v = 'by hand'") == "0"
