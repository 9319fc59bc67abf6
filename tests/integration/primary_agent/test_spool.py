"""The spool alone: what subscribers still need stays, what all of them have goes, a point is known by its nonce."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable

import pytest

from lab.cluster import Cluster
from lab.database import Database
from services.primary_agent.capture.spool import Capture, Spool
from shared.postgres.migrations import migrate
from shared.postgres.sessions import Session
from shared.replication.model import SyncPoint
from shared.replication.plan import TableState, TableStates

STATES = TableStates({1: TableState("public.account", 1, "t", "s", 1)}, {"enums": "e"})
RELID = 4711


class Desk:
    """A spool with one capture, and the keys that a drain would have brought."""

    def __init__(self, spool: Spool, node: Session, capture: Capture) -> None:
        self.spool = spool
        self.node = node
        self.number = capture.number

    async def capture(self) -> Capture:
        """Read the capture as it is recorded."""
        found = await self.spool.find_capture(self.node)
        assert found is not None
        return found

    async def add_key(self, key: bytes) -> None:
        """Store a key as of a transaction of its own."""
        digest = key if len(key) < 32 else hashlib.sha256(key).digest()
        await self.node.execute(
            "INSERT INTO agent.spool VALUES ($1, $2, $3, $4, pg_current_xact_id(), 5)",
            self.number,
            RELID,
            digest,
            None if digest == key else key,
        )

    async def add_point(self) -> SyncPoint:
        """Record a sync point of now."""
        snapshot = await self.node.fetchval("SELECT pg_current_snapshot()::text")
        return await self.spool.add_point(self.node, await self.capture(), snapshot=snapshot, lsn="0/1", states=STATES)

    async def seed(self, node_id: str) -> SyncPoint:
        """Let a standby make a full copy at a point of now, and confirm it."""
        point = await self.add_point()
        capture = await self.capture()
        await self.spool.begin_seeding(self.node, capture, node_id, point.seq)
        assert await self.spool.confirm(self.node, capture, node_id, point.seq)
        return point

    async def trim(self) -> list[bytes]:
        """Trim after a confirmation, and return the keys that stay."""
        await self.spool.trim(self.node, await self.capture(), is_confirmed=True)
        return [row["digest"] for row in await self.node.fetch("SELECT digest FROM agent.spool ORDER BY xid")]

    async def pending_since(self, point: SyncPoint) -> set[bytes]:
        """Return the keys that a delta since a point would ship."""
        capture = await self.capture()
        known = await self.spool.find_point(self.node, capture, point)
        assert known is not None
        counted = await self.spool.count_keys(self.node, capture, known.snapshot)
        written = bytearray()

        async def sink(chunk: bytes) -> None:
            written.extend(chunk)

        await self.spool.copy_keys(self.node, capture, RELID, known.snapshot, sink)
        keys = set(read_binary_copy(bytes(written)))
        assert len(keys) == (counted[RELID].key_count if RELID in counted else 0)
        return keys


def read_binary_copy(stream: bytes) -> list[bytes]:
    """Read the values of one column out of a binary COPY."""
    at, values = 19, []
    while (fields := int.from_bytes(stream[at : at + 2], "big", signed=True)) == 1:
        size = int.from_bytes(stream[at + 2 : at + 6], "big")
        values.append(stream[at + 6 : at + 6 + size])
        at += 6 + size
    assert fields == -1, "the stream has an end"
    return values


@pytest.fixture
async def desk(cluster: Cluster, database: Callable[..., Database]) -> AsyncIterator[Desk]:
    dsn = database(cluster).dsn
    await migrate(dsn, package="services.primary_agent.capture.migrations", schema="agent")
    spool = Spool(dsn, "app")
    async with spool.session() as node:
        capture = await spool.create_capture(node, database_oid=1, slot_name="s", drained_lsn="0/1", ready_xid=1)
        yield Desk(spool, node, capture)


async def test_a_delta_ships_what_the_point_has_not_seen(desk: Desk) -> None:
    """Long keys come whole, and a key changed again counts by its last transaction."""
    await desk.add_key(b"old")
    first = await desk.add_point()
    await desk.add_key(b"new")
    await desk.add_key(b"long" * 500)
    second = await desk.add_point()
    assert await desk.pending_since(first) == {b"new", b"long" * 500}
    assert await desk.pending_since(second) == set()


async def test_the_slowest_subscriber_decides_what_stays(desk: Desk) -> None:
    first = await desk.seed("two")
    await desk.add_key(b"a")
    second = await desk.seed("three")
    await desk.add_key(b"b")
    assert await desk.trim() == [b"a", b"b"]
    assert await desk.pending_since(first) == {b"a", b"b"}
    await desk.spool.confirm(desk.node, await desk.capture(), "two", second.seq)
    assert await desk.trim() == [b"b"]
    capture = await desk.capture()
    assert capture.trimmed_seq == second.seq
    assert await desk.spool.find_point(desk.node, capture, first) is None
    assert await desk.pending_since(second) == {b"b"}


async def test_a_seed_that_is_running_holds_what_came_since(desk: Desk) -> None:
    """Also beside a point that the same standby confirms meanwhile: the copy it makes is not confirmed yet."""
    await desk.seed("two")
    seeding = await desk.add_point()
    await desk.spool.begin_seeding(desk.node, await desk.capture(), "three", seeding.seq)
    await desk.add_key(b"a")
    later = await desk.add_point()
    await desk.spool.confirm(desk.node, await desk.capture(), "two", later.seq)
    assert await desk.trim() == [b"a"]
    assert await desk.pending_since(seeding) == {b"a"}


async def test_a_seed_that_failed_does_not_release_the_point_before_it(desk: Desk) -> None:
    confirmed = await desk.seed("two")
    await desk.add_key(b"a")
    seeding = await desk.add_point()
    await desk.spool.begin_seeding(desk.node, await desk.capture(), "two", seeding.seq)
    assert await desk.trim() == [b"a"]
    assert await desk.pending_since(confirmed) == {b"a"}


async def test_a_confirmation_is_repeatable_and_never_goes_back(desk: Desk) -> None:
    first = await desk.seed("two")
    await desk.add_key(b"a")
    second = await desk.add_point()
    capture = await desk.capture()
    for seq in (second.seq, first.seq, second.seq):
        assert await desk.spool.confirm(desk.node, capture, "two", seq)
    assert not await desk.spool.confirm(desk.node, capture, "a stranger", second.seq)
    assert await desk.trim() == []
    assert (await desk.capture()).trimmed_seq == second.seq


async def test_without_subscribers_nothing_is_kept_and_no_old_point_is_served(desk: Desk) -> None:
    point = await desk.add_point()
    await desk.add_key(b"a")
    assert await desk.trim() == []
    assert (await desk.capture()).trimmed_seq > point.seq
    assert (await desk.add_point()).seq >= (await desk.capture()).trimmed_seq


async def test_a_key_of_a_transaction_still_open_is_not_trimmed(desk: Desk) -> None:
    """What is decoded may be invisible yet: a commit that waits for a synchronous standby, or one after the look."""
    async with desk.spool.session() as other:
        await other.execute("BEGIN")
        xid = await other.fetchval("SELECT pg_current_xact_id()::text")
        await desk.node.execute(
            f"INSERT INTO agent.spool VALUES ({desk.number}, {RELID}, 'open', NULL, '{xid}'::xid8, 5)"
        )
        point = await desk.seed("two")
        assert await desk.trim() == [b"open"]
        await other.execute("COMMIT")
    assert await desk.pending_since(point) == {b"open"}


async def test_a_point_is_known_by_its_nonce(desk: Desk) -> None:
    """A number alone may be that of another history."""
    point = await desk.add_point()
    capture = await desk.capture()
    found = await desk.spool.find_point(desk.node, capture, point)
    assert found is not None
    assert found.states == STATES
    other = point.model_copy(update={"nonce": "0" * 32})
    assert await desk.spool.find_point(desk.node, capture, other) is None


async def test_points_at_equal_states_share_them(desk: Desk) -> None:
    """A thousand tables are not written down again at each sync."""
    for _ in range(3):
        await desk.add_point()
    assert await desk.node.fetchval("SELECT count(*) FROM agent.table_states") == 1


async def test_a_new_capture_forgets_the_old_one(desk: Desk) -> None:
    await desk.seed("two")
    await desk.add_key(b"a")
    before = await desk.capture()
    after = await desk.spool.create_capture(desk.node, database_oid=1, slot_name="s", drained_lsn="0/1", ready_xid=1)
    assert after.capture_id != before.capture_id
    for table in ("spool", "sync_points", "table_states", "subscribers"):
        assert await desk.node.fetchval(f"SELECT count(*) FROM agent.{table}") == 0


async def test_one_agent_at_a_time_holds_a_component(desk: Desk) -> None:
    assert await desk.spool.lock(desk.node)
    async with desk.spool.session() as other:
        assert not await desk.spool.lock(other)
        assert await Spool("unused", "another").lock(other)
