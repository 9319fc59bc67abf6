"""A source that is not believed, a disk without room: the refusal with its figures, nothing applied, the way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.cluster import Cluster
from services.standby_controller.policy.guards import Guard, Guards, ShrinkLimits
from shared.errors import DiskShort, GuardRefused, SourceChanged, SourceShrank
from shared.replication.model import SyncKind
from tests.replication.judge import check_equal
from tests.replication.two_nodes import TwoNodes
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL);
INSERT INTO account SELECT n, 'owner ' || n FROM generate_series(1, 4000) AS n;
CREATE TABLE job (id int PRIMARY KEY, what text);
INSERT INTO job SELECT n, 'job ' || n FROM generate_series(1, 1500) AS n;
CREATE TABLE note (id int PRIMARY KEY, text text);
INSERT INTO note VALUES (1, 'one');
"""
GUARDED = Guards()
COPY = "SELECT seq, nonce FROM warmstandby.cursor; SELECT * FROM account ORDER BY id; SELECT count(*) FROM job"


async def refused(world: World, guards: Guards = GUARDED) -> GuardRefused:
    """Sync, and see that a guard stops it and the copy stands where it stood."""
    before = world.place.copy_sql(COPY)
    with pytest.raises(GuardRefused) as refusal:
        await world.target.sync(guards)
    assert world.place.copy_sql(COPY) == before
    assert world.place.target_cluster.psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'ws_seed%'") == "0"
    return refusal.value


async def accepted(world: World, guard: Guard, kind: SyncKind) -> None:
    """Follow the hint: the sync that accepts the guard brings the source's state, and the next one needs nothing."""
    outcome = await world.target.sync(Guards(accepted=frozenset({guard})))
    assert outcome.kind is kind, outcome.reason
    await check_equal(world.place.dsn, world.place.copy_dsn)
    world.sql("INSERT INTO note VALUES (77, 'after')")
    assert (await world.target.sync(GUARDED)).kind is SyncKind.DELTA
    await check_equal(world.place.dsn, world.place.copy_dsn)


@pytest.mark.parametrize(
    ("accident", "told"),
    [
        ("DELETE FROM account WHERE id > 500", "account 4,000 to 500"),
        ("TRUNCATE account", "account 4,000 to 0"),
        ("TRUNCATE account, job, note", "the source is empty"),
        ("DELETE FROM account; DELETE FROM job; DELETE FROM note", "the source is empty"),
        ("TRUNCATE account; INSERT INTO account VALUES (1, 'the first')", "account 4,000 to 1"),
    ],
    ids=["deleted", "truncated", "all truncated", "all deleted", "made anew by hand"],
)
async def test_a_delta_that_would_take_most_rows(new_place: Callable[..., Place], accident: str, told: str) -> None:
    """It is stopped before the first row of the copy goes, each time, until somebody says that it is meant."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        world.sql(accident)
        for _ in range(2):
            refusal = await refused(world)
            assert isinstance(refusal, SourceShrank)
            assert told in refusal.detail
            assert "--accept source_shrank" in refusal.hint
        await accepted(world, Guard.SOURCE_SHRANK, SyncKind.DELTA)


async def test_what_is_no_accident_passes(new_place: Callable[..., Place]) -> None:
    """A queue that is worked off, rows that came and went, a table filled anew, keys that changed."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        for everyday in (
            "DELETE FROM job",
            "INSERT INTO job SELECT n, 'short' FROM generate_series(1, 9000) AS n; DELETE FROM job",
            "CREATE TEMP TABLE kept AS TABLE account; TRUNCATE account; INSERT INTO account TABLE kept",
            "UPDATE account SET id = id + 10000",
            "DELETE FROM account WHERE id % 2 = 0",
        ):
            world.sql(everyday)
            assert (await world.target.sync(GUARDED)).kind is SyncKind.DELTA
            await check_equal(world.place.dsn, world.place.copy_dsn)


async def test_the_limits_are_settings(new_place: Callable[..., Place]) -> None:
    """A share of 1 lets all but the last row go; each table can be asked too."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        world.sql("DELETE FROM job WHERE id > 100")
        refusal = await refused(world, Guards(ShrinkLimits(max_table_rows_lost_share=0.5)))
        assert "public.job 1,500 to 100" in refusal.detail
        world.sql("DELETE FROM account WHERE id > 1")
        await world.target.sync(Guards(ShrinkLimits(max_rows_lost_share=1)))
        await check_equal(world.place.dsn, world.place.copy_dsn)


async def test_a_full_copy_of_a_source_that_lost_most_rows(new_place: Callable[..., Place]) -> None:
    """With the history gone too it is seen before the copy is replaced; the live one stays."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        ours = "FROM pg_replication_slots WHERE database = current_database()"
        world.sql(f"DELETE FROM account WHERE id > 10; SELECT pg_drop_replication_slot(slot_name) {ours}")
        refusal = await refused(world)
        assert isinstance(refusal, SourceShrank)
        assert "account 4,000 to 10" in refusal.detail
        await accepted(world, Guard.SOURCE_SHRANK, SyncKind.SEED)


async def test_a_source_that_lost_its_tables(new_place: Callable[..., Place]) -> None:
    """Seen before the first byte: the manifest names the tables."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        world.sql("DROP TABLE account, job")
        refusal = await refused(world)
        assert isinstance(refusal, SourceShrank)
        assert "of the copy's 3 tables 1 would be left" in refusal.detail
        await world.target.sync(Guards(accepted=frozenset({Guard.SOURCE_SHRANK})))
        await check_equal(world.place.dsn, world.place.copy_dsn)


async def test_a_source_database_that_was_made_anew(new_place: Callable[..., Place]) -> None:
    """The same name, the same rows, another database: it is asked for once, even where nothing seems to be lost."""
    place = new_place(SCHEMA)
    async with place.open() as world:
        await world.seed()
        await world.source.close()
        ours = f"FROM pg_replication_slots WHERE database = '{place.component}'"
        place.cluster.psql(f"SELECT pg_drop_replication_slot(slot_name) {ours}")
        place.cluster.psql(f"DROP DATABASE {place.component} WITH (FORCE)")
        place.cluster.psql(f"CREATE DATABASE {place.component}")
        world.sql(SCHEMA)
        await world.restart()
        refusal = await refused(world)
        assert isinstance(refusal, SourceChanged)
        assert "was made anew since the last sync" in refusal.detail
        assert "--accept source_changed" in refusal.hint
        await accepted(world, Guard.SOURCE_CHANGED, SyncKind.SEED)


async def test_no_room_for_a_full_copy(new_place: Callable[..., Place]) -> None:
    """Said with the figures before anything is made; the first copy and every later one."""
    place = new_place(SCHEMA)
    async with place.open() as world:
        settings = world.target.settings
        narrow = settings.agent.model_copy(update={"disk_floor_bytes": 2**60})
        world.target.settings = settings.model_copy(update={"agent": narrow})
        with pytest.raises(DiskShort, match=r"needs about [0-9.]+ MB .* are free") as refusal:
            await world.target.sync(GUARDED)
        assert str(place.target_cluster.data) in refusal.value.detail
        assert place.target_cluster.psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'ws_seed%'") == "0"
        outcome = await world.target.sync(Guards(accepted=frozenset({Guard.DISK_SHORT})))
        assert outcome.kind is SyncKind.SEED
        world.sql("INSERT INTO note VALUES (3, 'three')")
        assert (await world.target.sync(GUARDED)).kind is SyncKind.DELTA, "a delta needs no room for another copy"


async def test_a_node_that_comes_back_to_an_emptied_one(pair: TwoNodes) -> None:
    """What both nodes had is worth as much: the returning node gives it up only when somebody says so."""
    await pair.fail_over()
    active, returning = pair.active, pair.other
    active.sql("DELETE FROM account; DELETE FROM job; DELETE FROM note")
    with pytest.raises(SourceShrank, match="the source is empty"):
        await pair.copy(guards=GUARDED)
    assert returning.sql("SELECT count(*) FROM account") == "4000"
    outcome = await pair.copy(guards=Guards(accepted=frozenset({Guard.SOURCE_SHRANK})))
    assert outcome.kind is SyncKind.DELTA
    await check_equal(active.dsn, returning.dsn)


async def test_a_damaged_copy_does_not_keep_the_full_copy_away(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be counted is no reason to refuse what would mend it."""
    place = new_place(SCHEMA, target=new_cluster(major))
    async with place.open() as world:
        await world.seed()
        file = place.target_cluster.data / place.copy_sql("SELECT pg_relation_filepath('note')")
        place.target_cluster.restart()
        file.write_bytes(b"\xff" * file.stat().st_size)
        ours = f"FROM pg_replication_slots WHERE database = '{place.component}'"
        world.sql(f"SELECT pg_drop_replication_slot(slot_name) {ours}")
        assert (await world.target.sync(GUARDED)).kind is SyncKind.SEED
        await check_equal(place.dsn, place.copy_dsn)
        assert "the present copy cannot be counted" in caplog.text
