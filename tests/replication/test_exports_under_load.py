"""Every export is exactly one snapshot of the source, whatever is written, drained twice or killed beside it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import asyncpg
import pytest

from lab.cluster import Cluster
from services.primary_agent.capture.drain import Drainer
from shared.errors import WarmstandbyError
from shared.postgres.sessions import Session
from shared.replication.model import Manifest, SyncKind
from tests.replication.harness import SourceNode, TargetNode
from tests.replication.judge import Digests, hash_tables, open_session
from tests.replication.world import Place
from tests.replication.writers import BROKEN_RULES, SCHEMA, TRUNCATE_LOCK, Application
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major

EXPORTS = rounds(40, 300)
CRASHES = rounds(1, 4)


@dataclass(slots=True)
class ForgetfulDrainer(Drainer):
    """Loses the slot's advance at random, so that what was stored is decoded and stored again."""

    chance: random.Random = field(default_factory=random.Random)
    forgotten: int = 0

    async def advance(self, application: Session, lsn: str) -> None:
        """Advance, or not."""
        if self.chance.random() < 0.4:
            self.forgotten += 1
        else:
            await Drainer.advance(self, application, lsn)


@dataclass(slots=True)
class Subscriber:
    """A standby that syncs in a loop and is judged after each sync."""

    target: TargetNode
    source_dsn: str
    pause_seconds: float
    exact: int = 0
    kinds: dict[SyncKind, int] = field(default_factory=dict)
    failures: list[tuple[float, Exception]] = field(default_factory=list)
    _then: Digests = field(default_factory=dict)

    async def sync_once(self) -> None:
        """Sync, and compare the copy with what the source was at the snapshot that the export named."""
        async with open_session(self.source_dsn) as watch:

            async def keep_truncates_away() -> None:
                await watch.execute(f"SELECT pg_advisory_lock_shared({TRUNCATE_LOCK})")

            async def look(manifest: Manifest) -> None:
                await watch.execute(
                    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;SET TRANSACTION SNAPSHOT '{manifest.snapshot_id}'"
                )
                assert await watch.fetch(BROKEN_RULES) == [], "the application itself is wrong"
                self._then = await hash_tables(watch)
                await watch.execute(f"ROLLBACK; SELECT pg_advisory_unlock_shared({TRUNCATE_LOCK})")

            self.target.client.before_open, self.target.client.after_open = keep_truncates_away, look
            outcome = await self.target.sync()
        self.kinds[outcome.kind] = self.kinds.get(outcome.kind, 0) + 1
        async with open_session(self.target.dsn) as copy:
            assert await copy.fetch(BROKEN_RULES) == []
            now = await hash_tables(copy)
            different = {name: (self._then[name], now[name]) for name in now if now[name] != self._then[name]}
            assert now == self._then, f"sync {self.exact + 1} is no snapshot of the source: {different}"
        self.exact += 1

    async def run(self, enough: Callable[[], bool]) -> None:
        """Sync until there were enough; what failed, and when, is kept for the test to judge."""
        while not enough():
            try:
                await self.sync_once()
            except (WarmstandbyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.failures.append((time.monotonic(), error))
                await asyncio.sleep(0.2)
            await asyncio.sleep(self.pause_seconds)


@pytest.mark.timeout(900)
async def test_every_export_is_one_snapshot(
    new_cluster: Callable[..., Cluster],
    replicating_cluster: Cluster,
    new_place: Callable[..., Place],
    chance: random.Random,
) -> None:
    """Six writers, two standbys of different pace, a drain beside them that forgets to advance, a server that dies."""
    cluster = new_cluster(replicating_cluster.major, deadlock_timeout="100ms")
    place = new_place(SCHEMA, cluster=cluster, target=replicating_cluster)
    source = place.build_source()
    drainer = forget(source, chance)
    application = Application(place.dsn, random.Random(chance.random()))
    fast = Subscriber(place.build_target(source), place.dsn, pause_seconds=0.0)
    another = replace(place, target_cluster=new_cluster(replicating_cluster.major))
    another.add_node("three")
    slow = Subscriber(another.build_target(source, "three"), place.dsn, pause_seconds=0.7)
    for subscriber in (fast, slow):
        await subscriber.target.prepare()

    def exact() -> int:
        return fast.exact + slow.exact

    away: list[tuple[float, float]] = []

    async def crash_now_and_then() -> None:
        while len(away) < CRASHES:
            await asyncio.sleep(0.05)
            if exact() >= (len(away) + 1) * EXPORTS // (CRASHES + 1):
                begun = time.monotonic()
                await asyncio.to_thread(cluster.kill)
                await asyncio.to_thread(cluster.start)
                away.append((begun, time.monotonic()))

    async with source.collecting(), application.writing(), asyncio.TaskGroup() as group:
        for subscriber in (fast, slow):
            group.create_task(subscriber.run(lambda: exact() >= EXPORTS))
        group.create_task(crash_now_and_then())

    print(f"{exact()} exports, {fast.kinds} and {slow.kinds}; {application}; {drainer.forgotten} advances forgotten")
    for at, error in [*fast.failures, *slow.failures]:
        assert any(begun <= at <= ended + 10 for begun, ended in away), f"the server was there, and yet: {error}"
    assert drainer.forgotten > EXPORTS / 20
    assert not [*fast.target.client.surprises, *slow.target.client.surprises]
    for subscriber in (fast, slow):
        assert subscriber.exact >= EXPORTS // 10
        assert subscriber.kinds[SyncKind.SEED] == 1, "nothing but the first sync needed a full copy"
    assert application.committed > EXPORTS
    assert min(application.prepared, application.rolled_back, application.truncated) > 0


def forget(source: SourceNode, chance: random.Random) -> ForgetfulDrainer:
    """Give the source a drainer that forgets."""
    usual = source.capture.drainer
    drainer = ForgetfulDrainer(usual.source, usual.spool, usual.chunk_bytes, chance=random.Random(chance.random()))
    source.capture.drainer = drainer
    return drainer
