"""What somebody broke on the active node: it is recognised, named, and healed by the next sync."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.cluster import Cluster
from shared.errors import PeerRefusal
from shared.node.model import CaptureState
from shared.replication.model import SyncKind
from tests.replication.world import Place, World
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO account SELECT n, 0 FROM generate_series(1, 500) AS n;
"""
WRITE = "UPDATE account SET balance = balance + 1 WHERE id <= 10"
SLOT = "FROM pg_replication_slots WHERE database = '{component}'"


@dataclass(frozen=True, slots=True)
class Breakage:
    """What somebody did, where, what is told of it, and what heals it."""

    where: str
    """`application`, `node` (the node's own database) or `server`."""
    what: str
    told: str
    heals: SyncKind


BREAKAGES = {
    "slot dropped": Breakage(
        "server", f"SELECT pg_drop_replication_slot(slot_name) {SLOT}", "capture_lost", SyncKind.SEED
    ),
    "publication dropped": Breakage(
        "application", f"DROP PUBLICATION warmstandby; {WRITE}", "capture_lost", SyncKind.SEED
    ),
    "publication tells no updates": Breakage(
        "application", f"ALTER PUBLICATION warmstandby SET (publish = 'insert'); {WRITE}", "capture_lost", SyncKind.SEED
    ),
    "our schema dropped": Breakage("application", "DROP SCHEMA warmstandby CASCADE", "capture_damaged", SyncKind.DELTA),
    "our function dropped": Breakage(
        "application", f"DROP FUNCTION warmstandby.cut_keys; {WRITE}", "capture_damaged", SyncKind.DELTA
    ),
    "the component's spool dropped": Breakage(
        "node",
        "DO $$ BEGIN EXECUTE (SELECT format('DROP TABLE agent.spool_%s', number) FROM agent.captures); END $$",
        "capture_lost",
        SyncKind.SEED,
    ),
    "spool dropped": Breakage("node", "DROP TABLE agent.spool CASCADE", "capture_lost", SyncKind.SEED),
    "captures dropped": Breakage("node", "DROP TABLE agent.captures CASCADE", "capture_damaged", SyncKind.SEED),
    "sync points dropped": Breakage("node", "DROP TABLE agent.sync_points CASCADE", "capture_damaged", SyncKind.SEED),
    "subscribers dropped": Breakage("node", "DROP TABLE agent.subscribers", "capture_damaged", SyncKind.SEED),
    "schema of the node dropped": Breakage("node", "DROP SCHEMA agent CASCADE", "capture_damaged", SyncKind.SEED),
    "the node's database made anew": Breakage(
        "server",
        "DROP DATABASE {node_database} WITH (FORCE);CREATE DATABASE {node_database}",
        "capture_damaged",
        SyncKind.SEED,
    ),
}


def break_it(world: World, breakage: Breakage) -> None:
    """Do what somebody did."""
    place = world.place
    names = {"component": place.component, "node_database": place.node_database("source")}
    match breakage.where:
        case "application":
            place.sql(breakage.what)
        case "node":
            place.node_sql(breakage.what)
        case _:
            for statement in breakage.what.format(**names).split(";"):
                place.cluster.psql(statement)


@pytest.mark.parametrize("is_seen", rounds([False], [True, False]), ids=lambda seen: "seen" if seen else "unseen")
@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES)
async def test_what_somebody_broke_is_named_and_healed(
    new_place: Callable[..., Place], breakage: Breakage, is_seen: bool
) -> None:
    """The next sync brings the source's state, by a delta where no history was lost, and the one after is a delta."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        world.sql(WRITE)
        await world.drain()
        break_it(world, breakage)
        if is_seen:
            world.sql(WRITE)
            await world.source.captures.tick(world.source.capture)
            status = world.source.capture.status()
            assert status.problem is not None
            assert status.problem.code == breakage.told, status.problem
            assert status.problem.hint
            assert status.capture is not None
            assert status.capture.state is CaptureState.BROKEN
        outcome = await world.sync()
        assert outcome.kind is breakage.heals, outcome.reason
        await world.source.captures.tick(world.source.capture)
        assert world.source.capture.status().problem is None
        world.sql("DELETE FROM account WHERE id = 30; INSERT INTO account VALUES (1000, 1)")
        assert (await world.delta()).keys == 2


async def test_the_loop_heals_before_anybody_syncs(new_place: Callable[..., Place]) -> None:
    """The agent makes again what was broken, so that only the loss of history is left to the sync."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        world.place.node_sql("DROP SCHEMA agent CASCADE")
        for _ in range(3):
            await world.source.captures.tick(world.source.capture)
        assert world.source.capture.facts.state is CaptureState.READY
        await world.seed()
        assert world.target.client.refusals == ["cursor_unknown"]


async def test_the_nodes_own_database_is_gone(new_place: Callable[..., Place]) -> None:
    """It is named; the slot goes before its log passes the budget; once the database is back a sync heals all."""
    place = new_place(SCHEMA)
    async with place.open() as world:
        await world.seed()
        own, slots = place.node_database("source"), f"SELECT count(*) {SLOT}".format(component=place.component)
        place.cluster.psql(f"DROP DATABASE {own} WITH (FORCE)")
        capture = world.source.capture
        for _ in range(2):
            await world.source.captures.tick(capture)
            assert capture.facts.problem is not None
            assert capture.facts.problem.code == "node_database_missing"
            assert "Create it again" in capture.facts.problem.hint
        with pytest.raises(PeerRefusal) as refusal:
            await world.target.sync()
        assert refusal.value.peer_code == "node_database_missing"
        assert place.cluster.psql(slots) == "1", "within its budget it is kept"
        capture.settings = capture.settings.model_copy(
            update={"capture": capture.settings.capture.model_copy(update={"budget_bytes": 2**20})}
        )
        for _ in range(3):
            world.sql("UPDATE account SET balance = balance + 1")
            place.cluster.psql("SELECT pg_switch_wal()")
        await world.source.captures.tick(capture)
        assert place.cluster.psql(slots) == "0"
        assert capture.facts.problem is not None
        assert capture.facts.problem.code == "capture_lost"
        assert own in capture.facts.problem.text
        place.cluster.psql(f"CREATE DATABASE {own}")
        await world.seed()
        world.sql(WRITE)
        assert (await world.delta()).keys == 10


async def test_the_copy_of_the_record_outlives_a_repair(new_place: Callable[..., Place]) -> None:
    """It tells a record that was rolled back, and is no part of the capture."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        record = "INSERT INTO agent.record_copy (pair_id, node_id, serial, document) VALUES ('pair', 'source', 7, '{}')"
        world.place.node_sql(f"{record}; DROP TABLE agent.subscribers")
        await world.seed()
        assert world.place.node_sql("SELECT serial FROM agent.record_copy") == "7"


async def test_wal_level_is_lowered(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int
) -> None:
    """A server that does not write what capture needs is named with what to do; set back, the next sync heals."""
    cluster = new_cluster(major)
    place = new_place(SCHEMA, cluster=cluster)
    async with place.open() as world:
        await world.seed()
        await world.source.close()
        # With a logical slot the server would not start any more: whoever lowers the level has to drop it first.
        cluster.psql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        cluster.psql("ALTER SYSTEM SET wal_level = replica")
        cluster.restart()
        world.sql(WRITE)
        for _ in range(3):
            await world.source.captures.tick(world.source.capture)
        problem = world.source.capture.facts.problem
        assert problem is not None
        assert (problem.code, "ALTER SYSTEM SET wal_level = logical" in problem.hint) == (
            "wal_level_insufficient",
            True,
        )
        with pytest.raises(PeerRefusal) as refusal:
            await world.target.sync()
        assert refusal.value.peer_code == "wal_level_insufficient"
        cluster.psql("ALTER SYSTEM SET wal_level = logical")
        await world.source.close()
        cluster.restart()
        await world.seed()
        assert world.source.capture.facts.state is CaptureState.READY
        world.sql(WRITE)
        assert (await world.delta()).keys == 10
