"""Traps of the capture itself: publication, slot, sync points and subscribers, touched by somebody else or lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import pytest

from lab.cluster import Cluster
from shared.errors import GuardClosed, PeerRefusal
from shared.node.model import CaptureState
from shared.postgres.catalog import TableColumn, list_columns
from shared.postgres.sessions import Session
from shared.replication.model import Confirm, SyncKind
from tests.replication.judge import check_equal, open_session
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL);
INSERT INTO account SELECT n, 'owner ' || n, 100 FROM generate_series(1, 500) AS n;
CREATE TABLE badge (id int PRIMARY KEY, code text UNIQUE);
INSERT INTO badge SELECT n, 'code ' || n FROM generate_series(1, 50) AS n;
"""
WRITE = """
UPDATE account SET balance = balance + 1 WHERE id <= 10; UPDATE account SET id = id + 1000 WHERE id = 20;
DELETE FROM account WHERE id = 30; INSERT INTO account VALUES (20, 'new', 1), (30, 'new', 1);
DELETE FROM account WHERE id > 1000; TRUNCATE badge; INSERT INTO badge VALUES (1, 'one');
"""


@pytest.mark.parametrize(
    ("edit", "revert"),
    [
        ("SET TABLE account WHERE (id > 15), badge", "SET TABLE account, badge"),
        ("SET TABLE account (id), badge", "SET TABLE account, badge"),
        ("DROP TABLE account", "ADD TABLE account"),
        ("SET (publish = 'insert')", "SET (publish = 'insert, update, delete, truncate')"),
    ],
    ids=["row filter", "column list", "table dropped from it", "operations"],
)
@pytest.mark.parametrize("is_reverted", [False, True], ids=["edited", "edited and put back"])
async def test_somebody_edits_our_publication(world: World, edit: str, revert: str, is_reverted: bool) -> None:
    """What was written meanwhile is in no log: copied whole, and the publication is ours again."""
    world.sql(f"ALTER PUBLICATION warmstandby {edit}; {WRITE}")
    if is_reverted:
        await world.drain()
        world.sql(f"ALTER PUBLICATION warmstandby {revert}")
    await world.sync()
    world.sql(WRITE)
    assert (await world.delta()).keys == 13
    assert world.sql("SELECT count(*) FROM pg_publication_tables WHERE rowfilter IS NOT NULL") == "0"


@pytest.mark.parametrize("is_drained", [False, True], ids=["before a drain", "after a drain"])
@pytest.mark.parametrize(
    "then", ["", "CREATE PUBLICATION warmstandby FOR TABLE account, badge"], ids=["drops", "remakes"]
)
async def test_somebody_drops_our_publication(world: World, then: str, is_drained: bool) -> None:
    """The log cannot be decoded any more; capture begins anew and the standby is seeded, in one sync."""
    world.sql(f"DROP PUBLICATION warmstandby; {WRITE}; {then}")
    if is_drained:
        await world.tick()
    await world.seed()
    world.sql(WRITE)
    assert (await world.delta()).keys == 13


async def test_somebody_drops_our_slot(world: World) -> None:
    """The history is gone: a full copy, by itself."""
    ours = "FROM pg_replication_slots WHERE database = current_database()"
    world.sql(f"SELECT pg_drop_replication_slot(slot_name) {ours}; {WRITE}")
    await world.seed()
    assert world.target.client.refusals == ["cursor_unknown"]
    world.sql(WRITE)
    assert (await world.delta()).keys == 13


async def test_somebody_reads_our_slot(world: World) -> None:
    """What was taken from the slot never came into the spool: a full copy, in the same sync."""
    world.sql(
        f"""
        {WRITE}
        SELECT count(*) FROM pg_replication_slots AS s, pg_logical_slot_get_binary_changes(s.slot_name, NULL, NULL,
               'proto_version', '1', 'publication_names', 'warmstandby') WHERE s.database = current_database();
        """
    )
    await world.seed()
    assert world.target.client.refusals == ["cursor_unknown"]
    world.sql(WRITE)
    assert (await world.delta()).keys == 13


async def test_the_server_drops_the_log_that_the_slot_needs(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int
) -> None:
    """max_slot_wal_keep_size was exceeded: the slot is lost, the application goes on, the next sync is a full copy."""
    cluster = new_cluster(major, max_slot_wal_keep_size="16MB", min_wal_size="32MB", max_wal_size="32MB")
    async with new_place(SCHEMA, cluster=cluster).open() as world:
        await world.seed()
        await world.source.close()
        for _ in range(6):
            world.sql("INSERT INTO badge VALUES (1000, 'x') ON CONFLICT (id) DO UPDATE SET code = badge.code || 'x'")
            cluster.psql("SELECT pg_switch_wal(); CHECKPOINT")
        assert cluster.psql("SELECT wal_status FROM pg_replication_slots") == "lost"
        await world.seed()
        world.sql(WRITE)
        await world.delta()


async def test_the_source_is_restored_from_a_copy_of_its_data_directory(
    new_cluster: Callable[..., Cluster], replicating_cluster: Cluster, new_place: Callable[..., Place]
) -> None:
    """Slot, system identifier and timeline are those of before; only the nonce of a sync point tells the difference."""
    cluster = new_cluster(replicating_cluster.major)
    place = new_place(SCHEMA, cluster=cluster, target=replicating_cluster)
    async with place.open() as world:
        await world.seed()
        await world.source.close()
        cluster.stop()
        backup = cluster.copy(cluster.folder.parent / "backup", port=cluster.port)
        cluster.start()
        world.sql("UPDATE account SET balance = -1 WHERE id <= 100; DELETE FROM account WHERE id = 400")
        await world.delta()
        await world.source.close()
        cluster.stop()
        place.cluster = backup
        with backup:
            backup.start()
            await world.restart()
            # The restored source makes sync points of its own, with numbers that the standby has seen already.
            world.sql(
                "UPDATE account SET balance = -2 WHERE id BETWEEN 50 AND 150;"
                "INSERT INTO account VALUES (1000, 'new', 1)"
            )
            place.add_node("three")
            another = place.build_target(world.source, "three")
            await another.prepare()
            assert (await another.sync()).kind is SyncKind.SEED
            await another.sync()
            assert another.client.manifests[-1].point.seq > 2
            await world.seed()
            assert world.target.client.refusals == ["cursor_unknown"]
            world.sql("UPDATE account SET balance = -3 WHERE id = 1")
            await world.delta()
            await world.source.close()
            place.remove()


async def test_a_commit_that_waits_for_a_synchronous_standby_while_the_slot_is_made(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int
) -> None:
    """Such a commit is before the slot's start and yet invisible: no snapshot counts until it is through."""
    cluster = new_cluster(major)
    place = new_place(SCHEMA, cluster=cluster)
    source = place.build_source()
    target = place.build_target(source)
    await source.captures.prepare()
    await target.prepare()
    async with open_session(place.dsn) as first, open_session(place.dsn) as second, open_session(place.dsn) as third:
        await first.execute("BEGIN; SELECT pg_current_xact_id()")
        async with asyncio.TaskGroup() as group:
            ensuring = group.create_task(source.ensure())
            await until(lambda: waits_for(cluster, "backend_type = 'client backend' AND wait_event = 'transactionid'"))
            await second.execute("BEGIN; SELECT pg_current_xact_id()")
            await first.execute(
                "ROLLBACK"
            )  # what begins from here on is decoded, if it commits after the slot is ready
            await until(lambda: waits_for(cluster, f"{second.get_server_pid()} = ANY (pg_blocking_pids(pid))"))
            cluster.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()")
            await until(lambda: cluster.psql("SHOW synchronous_standby_names") == "nobody")
            waiting = group.create_task(third.execute("UPDATE public.account SET balance = -9 WHERE id = 9"))
            await until(lambda: waits_for(cluster, "wait_event = 'SyncRep'"))
            await second.execute("ROLLBACK")  # the slot is ready: the waiting commit lies before it
            await ensuring
            syncing = group.create_task(target.sync())
            await asyncio.sleep(1)
            assert not target.client.manifests, "no snapshot counts yet"
            cluster.psql("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()")
            await waiting
            assert (await syncing).kind is SyncKind.SEED
    await source.capture.drainer.drain()
    assert place.node_sql("SELECT count(*) FROM agent.spool") == "0", (
        "the commit is in no log: only the snapshot had it"
    )
    await check_equal(place.dsn, place.copy_dsn)
    assert place.copy_sql("SELECT balance FROM account WHERE id = 9") == "-9"
    await source.close()


async def until(is_so: Callable[[], bool], *, within_seconds: float = 40.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + within_seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


def waits_for(cluster: Cluster, condition: str) -> bool:
    """Say whether a session of the cluster is in this state."""
    return cluster.psql(f"SELECT count(*) FROM pg_stat_activity WHERE {condition}") != "0"


async def test_confirming_twice_and_asking_from_an_old_point(world: World) -> None:
    """Confirmations may repeat and come late; a point that was trimmed is refused, and that standby seeds."""
    old = (await world.sync()).point
    world.sql("UPDATE account SET balance = 1 WHERE id = 1")
    new = (await world.sync()).point
    for point in (new, old, new):
        await world.target.client.confirm_export("any", Confirm(point=point))
    await world.tick()
    world.sql("UPDATE account SET balance = 2 WHERE id = 2")
    assert (await world.delta()).keys == 1
    await world.tick()
    world.place.copy_sql(f"UPDATE warmstandby.cursor SET seq = {old.seq}, nonce = '{old.nonce}'")
    with pytest.raises(PeerRefusal, match="did not make sync point"):
        await world.target.client.confirm_export("any", Confirm(point=old))
    await world.seed()
    assert world.target.client.refusals == ["cursor_trimmed"]


async def test_a_confirmation_that_was_lost_does_not_stop_syncs(world: World) -> None:
    """The next sync asks from the copy's own cursor, and its confirmation tells of both."""
    world.target.client.confirms = False
    world.sql("UPDATE account SET balance = 1 WHERE id = 1")
    await world.sync()
    await world.tick()
    world.target.client.confirms = True
    world.sql("UPDATE account SET balance = 2 WHERE id = 2")
    assert (await world.delta()).keys == 1
    await world.tick()
    assert world.place.node_sql("SELECT count(*) FROM agent.spool") == "0"


async def test_somebody_writes_to_the_standby(world: World) -> None:
    """The copy cannot take a row that collides with a local one: said to be divergence, and copied again."""
    world.place.copy_sql("INSERT INTO badge VALUES (7000, 'taken')")
    world.sql("INSERT INTO badge VALUES (60, 'taken')")
    outcome = await world.seed()
    assert outcome.reason is not None
    assert "taken" in outcome.reason or "badge" in outcome.reason


async def test_the_guard_of_the_copy_is_closed(world: World) -> None:
    """A node that was promoted is not overwritten: nothing of the delta is applied, and it is not a reason to seed."""
    world.sql("UPDATE account SET balance = 77 WHERE id = 77")
    world.place.copy_sql("UPDATE warmstandby.guard SET accepts_apply = false")
    before = world.place.copy_sql("SELECT seq FROM warmstandby.cursor; SELECT * FROM account ORDER BY id")
    with pytest.raises(GuardClosed):
        await world.target.sync()
    assert world.place.copy_sql("SELECT seq FROM warmstandby.cursor; SELECT * FROM account ORDER BY id") == before
    world.place.copy_sql("UPDATE warmstandby.guard SET accepts_apply = true")
    await world.delta()


async def test_a_table_that_is_locked_when_it_should_be_published_is_published_later(world: World) -> None:
    """The application's lock is waited for briefly only; the table is compared until it is captured."""
    async with open_session(world.place.dsn) as application:
        world.sql("CREATE TABLE busy (id int PRIMARY KEY)")
        await application.execute("BEGIN; LOCK TABLE public.busy IN SHARE UPDATE EXCLUSIVE MODE")
        outcome = await world.target.sync()
        assert outcome.unkept == ()
        world.sql("INSERT INTO busy VALUES (0)")
        outcome = await world.delta()
        assert (outcome.rows_per_table, outcome.keys) == ({"public.busy": 1}, 0)
        await application.execute("ROLLBACK")
    await world.tick()
    world.sql("INSERT INTO busy VALUES (1)")
    assert (await world.sync()).unkept == ()
    world.sql("INSERT INTO busy VALUES (2)")
    assert (await world.delta()).keys == 1


async def test_a_table_that_goes_while_it_is_looked_at_is_nobodys_concern(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list of tables and that of their columns; the others are followed, then and afterwards."""
    world.sql("CREATE TABLE goes (id int PRIMARY KEY); CREATE TABLE stays (id int PRIMARY KEY)")

    async def drop(session: Session, tables: Iterable[int]) -> dict[int, tuple[TableColumn, ...]]:
        world.sql("DROP TABLE IF EXISTS goes")
        return await list_columns(session, tables)

    monkeypatch.setattr("services.primary_agent.capture.component.list_columns", drop)
    capture = world.source.capture
    async with capture.lock, capture.source.session() as session:
        await capture.look(session)
    await world.sync()
    world.sql("INSERT INTO stays VALUES (1)")
    assert (await world.delta()).keys == 1


async def test_no_slot_is_left_to_make_one(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int
) -> None:
    """The loop tells of it and goes on; when a slot is free it works."""
    cluster = new_cluster(major, max_replication_slots="1")
    cluster.psql("SELECT pg_create_physical_replication_slot('theirs')")
    place = new_place(SCHEMA, cluster=cluster)
    source = place.build_source()
    await source.captures.prepare()
    await source.capture.tick()
    problem = source.capture.status().problem
    assert problem is not None
    assert "replication slots are in use" in problem.text
    cluster.psql("SELECT pg_drop_replication_slot('theirs')")
    await source.capture.tick()
    assert source.capture.status().problem is None
    assert source.capture.facts.state is CaptureState.READY
    await source.close()
