"""One drain: what the slot holds comes into the spool, once, whatever the pieces and however often."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.identity import choose_identity
from services.primary_agent.capture.drain import Drainer
from shared.postgres.sessions import Session
from tests.replication.harness import SourceNode
from tests.replication.judge import open_session
from tests.replication.world import Place
from tests.replication.writers import SCHEMA, Application
from tests.tier import rounds

DUMP = """
SELECT relid, encode(digest, 'hex'), encode(key, 'hex'), xid, definition
  FROM agent.spool WHERE definition {} 0 ORDER BY 1, 2
"""
KEYS = "SELECT convert_from(substr(coalesce(key, digest), 6), 'UTF8') FROM agent.spool WHERE definition <> 0 ORDER BY 1"


class StayingDrainer(Drainer):
    """Never moves the slot, so that the same changes can be read again."""

    async def advance(self, application: Session, lsn: str) -> None:
        """Stay."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A source whose application has its tables; the capture has just begun."""

    place: Place
    source: SourceNode

    def keys(self) -> list[str]:
        """Read the keys in the spool, those of one column."""
        return self.place.node_sql(KEYS).splitlines()

    def forget_drains(self) -> None:
        """Put the capture back to its beginning; the slot has stayed there."""
        self.place.node_sql(
            "UPDATE agent.captures SET drained_lsn = (SELECT confirmed_flush_lsn FROM pg_replication_slots AS s"
            " WHERE s.slot_name = captures.slot_name)"
        )

    def drainer(self, *, chunk_bytes: int) -> Drainer:
        """Make a drainer that stays, with the source's layouts."""
        usual = self.source.capture.drainer
        return StayingDrainer(usual.source, usual.spool, chunk_bytes, layouts=usual.layouts)


@pytest.fixture
async def desk(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Desk]:
    place = Place.create(cluster, tmp_path, SCHEMA)
    source = place.build_source()
    await source.ensure()
    yield Desk(place, source)
    await source.close()
    place.remove()


async def test_an_idle_drain_writes_nothing(desk: Desk) -> None:
    """Log of others, and transactions that were rolled back, leave no trace of ours."""
    desk.place.sql("CREATE TABLE unkeyed (n int)")
    await desk.source.capture.drainer.drain()
    before = desk.place.node_sql("SELECT xmin, * FROM agent.captures")
    slot = desk.place.node_sql("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots")
    for _ in range(3):
        desk.place.sql("INSERT INTO unkeyed VALUES (1); BEGIN; DELETE FROM board; ROLLBACK")
        await desk.source.capture.drainer.drain()
    assert desk.place.node_sql("SELECT xmin, * FROM agent.captures") == before
    assert desk.place.node_sql("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots") == slot


async def test_a_row_changed_a_thousand_times_is_one_key(desk: Desk) -> None:
    desk.place.sql(
        "DO $$ BEGIN FOR n IN 1 .. 1000 LOOP UPDATE board SET note = n WHERE id = 7; COMMIT; END LOOP; END $$"
    )
    await desk.source.capture.drainer.drain()
    assert desk.keys() == ["7"]


async def test_changes_of_a_transaction_that_the_slot_went_past_come_with_its_commit(desk: Desk) -> None:
    """The slot moves while a transaction stays open; its changes are read from before."""
    async with open_session(desk.place.dsn) as application:
        await application.execute("BEGIN; UPDATE public.board SET note = 'late' WHERE id = 1")
        desk.place.sql("UPDATE board SET note = 'early' WHERE id = 2")
        await desk.source.capture.drainer.drain()
        assert desk.keys() == ["2"]
        await application.execute("COMMIT")
    await desk.source.capture.drainer.drain()
    assert desk.keys() == ["1", "2"]


@pytest.mark.parametrize("command", ["DELETE FROM board WHERE id = 1", "UPDATE board SET id = 100 WHERE id = 1"])
async def test_what_a_key_was_and_what_it_became(desk: Desk, command: str) -> None:
    desk.place.sql(command)
    await desk.source.capture.drainer.drain()
    assert desk.keys() == (["1"] if command.startswith("DELETE") else ["1", "100"])


async def test_the_spool_is_the_same_in_pieces_at_once_and_twice(desk: Desk, chance: random.Random) -> None:
    """A piece ends anywhere in the log; a drain that was stored and not advanced over is read again.

    Of several TRUNCATEs of the same tables a piece notes the last: the lock they take makes that enough.
    """
    application = Application(desk.place.dsn, chance)
    async with application.writing():
        await asyncio.sleep(rounds(1.5, 15))
    keys: list[str] = []
    marks: list[set[str]] = []
    async with open_session(desk.place.dsn) as session:
        upto = await desk.source.capture.source.take_barrier(session)
    size = int(desk.place.node_sql(f"SELECT '{upto}' - drained_lsn FROM agent.captures"))
    for chunk_bytes in (size, size // 3 + 1, size // 10 + 7):
        desk.place.node_sql("TRUNCATE agent.spool")
        for _ in range(2):
            drainer = desk.drainer(chunk_bytes=chunk_bytes)
            desk.forget_drains()
            await drainer.drain(upto)
            await drainer.close()
            keys.append(desk.place.node_sql(DUMP.format("<>")))
            marks.append(set(desk.place.node_sql(DUMP.format("=")).splitlines()))
    assert keys[0].count("\n") > 30
    assert len(set(keys)) == 1
    assert all(found >= marks[0] for found in marks)
    assert len({frozenset(mark.split("|")[0] for mark in found) for found in marks}) == 1


async def test_transaction_ids_are_of_their_epoch(
    new_cluster: Callable[..., Cluster], major: int, tmp_path: Path
) -> None:
    """The log has the lower half of an id; the spool has the whole, as snapshots have."""
    cluster = new_cluster(major)
    cluster.stop()
    command = [*choose_identity().prefix, str(cluster.bin_dir / "pg_resetwal"), "-e", "7", "-D", str(cluster.data)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, cwd="/")
    cluster.start()
    place = Place.create(cluster, tmp_path, SCHEMA)
    async with place.open() as world:
        await world.seed()
        world.sql("UPDATE board SET note = 'x' WHERE id = 1; TRUNCATE reading")
        await world.drain()
        assert place.node_sql("SELECT DISTINCT xid::text::bigint >> 32 FROM agent.spool") == "7"
        await world.delta()
        assert (await world.delta()).rows == 0
