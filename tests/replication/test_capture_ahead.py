"""What a standby makes ready for its own promotion, and what a promotion records before the databases open."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import asyncpg

from lab.database import Database
from services.primary_agent.capture.base import BaseKind
from services.standby_controller.apply.component import sync_component
from services.standby_controller.policy.guards import UNGUARDED
from services.standby_controller.progress import Progress
from shared.clock import SystemClock
from shared.node.client import NodeClient
from shared.node.model import Envelope, State, Term
from shared.replication.model import SyncKind
from tests.replication.harness import settings_of
from tests.replication.judge import check_equal
from tests.replication.two_nodes import DirectWay, TwoNodes, TwoSided
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE item (id bigserial PRIMARY KEY, name text);
INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, 1000) AS i;
"""
# 3 MiB of log for 1,000 rows
NOISE = "(SELECT string_agg(md5(random()::text || n), '') FROM generate_series(1, 100) AS n WHERE id IS NOT NULL)"
SLOT = "SELECT slot_name, database, confirmed_flush_lsn FROM pg_replication_slots"


async def test_what_is_applied_fills_no_spool_and_holds_no_log(pair: TwoNodes) -> None:
    """The slot of the copy moves up behind what came from the other node."""
    two = pair.two
    before = two.sql(SLOT)
    assert before.startswith(f"warmstandby_{two.name}|{two.name}|")
    pair.one.sql(f"UPDATE item SET name = {NOISE}")
    await pair.sync()
    await two.tick()
    assert two.sql(SLOT) != before
    assert two.node_sql("SELECT count(*) FROM agent.spool") == "0"
    assert two.node_sql("SELECT is_ahead FROM agent.captures") == "t"
    assert two.capture.status().capture is not None
    quiet = two.node_sql("SELECT drained_lsn FROM agent.captures")
    for _ in range(3):
        await two.tick()
    assert two.node_sql("SELECT drained_lsn FROM agent.captures") == quiet, "an idle round writes nothing"


async def test_a_seed_takes_the_slot_away_and_a_new_one_is_made(pair: TwoNodes) -> None:
    """The replaced database would stay for ever otherwise."""
    one, two = pair.nodes
    one.sql("ALTER TABLE item ADD COLUMN more int")
    two.sql("SET default_transaction_read_only = off; DELETE FROM warmstandby.definitions")
    assert (await pair.sync()).kind is SyncKind.SEED
    assert two.cluster.psql("SELECT count(*) FROM pg_database WHERE starts_with(datname, 'ws_')") == "0"
    assert two.sql(SLOT) == ""
    await two.tick()
    assert two.sql(SLOT) != ""
    assert (await pair.fail_over()).kind is BaseKind.RECORDED


async def test_a_promotion_does_not_wait_for_a_slot(pair: TwoNodes) -> None:
    """Somebody's open transaction would hold it up: the base is lost then, within the limit."""
    one, two = pair.nodes
    one.sql("ALTER TABLE item ALTER COLUMN name TYPE varchar(200)")  # the copy's table is made again
    await pair.sync()
    other = await asyncpg.connect(two.cluster.dsn("postgres"))
    await other.execute("BEGIN; SELECT pg_current_xact_id()")
    begun = time.monotonic()
    (result,) = await two.captures.begin_term(17)
    assert result.kind is BaseKind.LOST
    assert time.monotonic() - begun < 4
    await other.close()
    assert two.sql("SELECT count(*) FROM warmstandby.cursor") == "1", "the next attempt may still find it"


async def test_a_base_point_is_recorded_once_and_held(pair: TwoNodes) -> None:
    """An attempt that is gone on with finds it; trimming does not pass it until the other node is back."""
    one, two = pair.nodes
    first = await pair.fail_over()
    (again,) = await two.captures.begin_term(pair.epoch)
    assert (again.point, again.was_known) == (first.point, True)
    two.sql("UPDATE item SET name = 'held' WHERE id <= 100")
    for _ in range(3):
        two.capture.is_trim_wanted = True
        await two.tick()
    assert two.node_sql("SELECT count(*) FROM agent.spool") == "100"
    assert (await pair.follow()).keys == 100
    two.capture.is_trim_wanted = True
    await two.tick()
    assert two.node_sql("SELECT count(*) FROM agent.spool") == "0"
    assert one.node_sql("SELECT is_ahead FROM agent.captures") == "t"


async def test_a_fenced_node_keeps_what_it_captured(pair: TwoNodes) -> None:
    """Its slot is drained, its log is short, nothing is trimmed and nothing made anew."""
    one, _ = pair.nodes
    one.sql("UPDATE item SET name = 'alone' WHERE id <= 10")
    capture = one.node_sql("SELECT capture_id FROM agent.captures")
    await pair.fail_over()
    await pair.restart()
    for _ in range(3):
        await pair.one.tick()
    assert pair.one.node_sql("SELECT count(*) FROM agent.spool") == "10"
    assert pair.one.node_sql("SELECT capture_id FROM agent.captures") == capture
    outcome = await pair.sync()
    assert outcome.rescue is not None
    assert outcome.rescue.rows == 10


async def test_an_unplanned_promotion_moves_sequences_on(pair: TwoNodes) -> None:
    """Once for an attempt that is recorded, however often it is gone on with."""
    two = pair.two
    two.node.state = State.PROMOTING
    await two.captures.begin_term(17, sequence_headroom=1000)
    await two.captures.begin_term(17, sequence_headroom=1000)
    assert two.sql("SELECT last_value FROM item_id_seq") == "2000"


async def test_changes_between_the_base_and_the_first_round_are_kept(pair: TwoNodes) -> None:
    """From the record of the base on the slot is read, never moved up past what it holds."""
    one, two = pair.nodes
    one.node.state, two.node.state = State.FENCED, State.PROMOTING
    await two.captures.begin_term(17)
    await two.open()
    two.sql(f"INSERT INTO item (name) SELECT {NOISE} FROM generate_series(1, 1000) AS id")
    await two.tick()
    two.node.state = State.STANDBY  # a round that had begun before
    await two.tick()
    two.node.state = State.ACTIVE
    await two.tick()
    one.accept_apply(True)
    for node in pair.nodes:
        node.node.term = Term(epoch=17, owner="two")
    assert (await pair.sync()).keys == 1000


async def test_a_third_node_at_the_same_point_follows_by_a_delta(pair: TwoNodes, tmp_path: Path) -> None:
    """It was a copy of the lost node: the point it stands at is the one that the promoted node began with."""
    one, two = pair.nodes
    name = f"{one.name}_third"
    Database.create(two.cluster, name)
    settings = settings_of(two.cluster, "three", name, one.name, f"{name}_copy", tmp_path / "three")
    third = TwoSided.build(two.cluster, settings)
    await third.captures.prepare()

    async def sync_third(source: TwoSided) -> SyncKind:
        progress = Progress(SystemClock())
        progress.start_component(third.name)
        outcome = await sync_component(
            settings.components[0],
            settings=settings,
            client=cast("NodeClient", DirectWay(source, "three")),
            term=source.node.term,
            envelope=Envelope(pair_id="pair", node_id="three", boot_id="boot", term=source.node.term),
            progress=progress,
            guards=UNGUARDED,
            own=cast("NodeClient", DirectWay(third, "three")),
        )
        await check_equal(source.dsn, third.dsn)
        return outcome.kind

    try:
        assert await sync_third(one) is SyncKind.SEED
        await one.captures.component(one.name).drainer.drain()
        # Both copies stand at one point where the same export brought them there; here the second is told so.
        cursor = third.sql("SELECT capture_id, seq, nonce FROM warmstandby.cursor").split("|")
        await two.open()
        two.sql(f"UPDATE warmstandby.cursor SET capture_id = '{cursor[0]}', seq = {cursor[1]}, nonce = '{cursor[2]}'")
        await pair.fail_over()
        two.sql("UPDATE item SET name = 'after' WHERE id = 5")
        assert await sync_third(two) is SyncKind.DELTA
        await asyncio.sleep(0)
        two.sql("UPDATE item SET name = 'later' WHERE id = 6")
        assert await sync_third(two) is SyncKind.DELTA
    finally:
        await third.close()
