"""Two standbys of one active node: each has its own cursor, and one that never comes back holds nothing for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import SyncKind
from tests.replication.harness import TargetNode
from tests.replication.judge import check_equal
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO account SELECT n, 0 FROM generate_series(1, 500) AS n;
"""
AWAY = "UPDATE agent.subscribers SET last_seen_at = now() - interval '36 days' WHERE node_id = 'far'"
KEYS = "SELECT count(*) FROM agent.spool"


@asynccontextmanager
async def two_standbys(new_place: Callable[..., Place]) -> AsyncIterator[tuple[World, TargetNode]]:
    """Open a source with a standby beside it and one far away, both equal to it."""
    place = new_place(SCHEMA)
    place.add_node("far")
    async with place.open() as world:
        far = place.build_target(world.source, "far")
        await far.prepare()
        await world.seed()
        assert (await follow(world, far)).kind is SyncKind.SEED
        yield world, far


async def follow(world: World, target: TargetNode) -> ComponentOutcome:
    """Sync one more standby, and hold it to the source."""
    outcome = await target.sync()
    await check_equal(world.place.dsn, target.dsn)
    return outcome


def change(world: World, *ids: int) -> None:
    """Change some rows."""
    world.sql(f"UPDATE account SET balance = balance + 1 WHERE id IN ({', '.join(map(str, ids))})")


async def test_each_standby_gets_what_it_lacks(new_place: Callable[..., Place]) -> None:
    """However often the other one syncs; a key is kept until both have it, and no longer."""
    async with two_standbys(new_place) as (world, far):
        change(world, 1, 2)
        assert (await world.delta()).keys == 2
        change(world, 2, 3)
        assert (await world.delta()).keys == 2
        await world.tick()
        assert world.place.node_sql(KEYS) == "3"
        outcome = await follow(world, far)
        assert (outcome.kind, outcome.keys) == (SyncKind.DELTA, 3)
        change(world, 4)
        assert (await follow(world, far)).keys == 1
        await world.tick()
        assert world.place.node_sql(KEYS) == "1", "the near one does not have it yet"
        assert (await world.delta()).keys == 1
        await world.tick()
        assert world.place.node_sql(KEYS) == "0"
        assert world.source.capture.status().capture.absent == ()  # type: ignore[union-attr]


async def test_a_standby_that_never_comes_back_holds_nothing_for_ever(new_place: Callable[..., Place]) -> None:
    """Past the limit it is dropped and told of; the other one goes on by deltas, its own next sync is a full copy."""
    async with two_standbys(new_place) as (world, far):
        change(world, 1, 2)
        await world.delta()
        await world.tick()
        assert world.place.node_sql(KEYS) == "2", "kept for the one that is away"
        world.place.node_sql(AWAY)
        await world.tick()
        assert world.place.node_sql(KEYS) == "0"
        capture = world.source.capture.status().capture
        assert capture is not None
        assert [absent.node_id for absent in capture.absent] == ["far"]
        change(world, 3)
        assert (await world.delta()).keys == 1
        await world.tick()
        outcome = await follow(world, far)
        assert (outcome.kind, far.client.refusals) == (SyncKind.SEED, ["cursor_trimmed"])
        await world.tick()
        assert world.source.capture.facts.absent == ()
        change(world, 5)
        assert (await follow(world, far)).kind is SyncKind.DELTA
        assert (await world.delta()).keys == 1


async def test_the_only_standby_never_comes_back(new_place: Callable[..., Place]) -> None:
    """Nothing is kept at all then, and whoever comes is seeded."""
    async with new_place(SCHEMA).open() as world:
        await world.seed()
        change(world, 1)
        await world.tick()
        assert world.place.node_sql(KEYS) == "1"
        world.place.node_sql(AWAY.replace("far", "two"))
        await world.tick()
        assert world.place.node_sql(KEYS) == "0"
        await world.seed()
        assert world.target.client.refusals == ["cursor_trimmed"]
        change(world, 2)
        assert (await world.delta()).keys == 1


async def test_a_dropped_standby_that_comes_back_in_time(new_place: Callable[..., Place]) -> None:
    """What it needs is still there: a delta is enough, and from then on its changes are kept again."""
    async with two_standbys(new_place) as (world, far):
        await world.tick()
        world.place.node_sql(AWAY)
        await world.tick()
        change(world, 1)
        assert (await follow(world, far)).kind is SyncKind.DELTA
        change(world, 2)
        await world.delta()
        await world.tick()
        assert world.place.node_sql(KEYS) == "1", "kept for it again"
        outcome = await follow(world, far)
        assert (outcome.kind, outcome.keys) == (SyncKind.DELTA, 1)
