"""A source that lost the history of its changes: a large copy is compared with it, and only what differs travels."""

from __future__ import annotations

import asyncio

from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import SyncKind
from tests.replication.judge import check_equal
from tests.replication.two_nodes import TwoNodes
from tests.tier import on_newest_major, rounds

ROWS = rounds(20_000, 500_000)
SCHEMA = f"""
CREATE TABLE item (id bigserial PRIMARY KEY, name text, amount numeric NOT NULL DEFAULT 0);
INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, {ROWS}) AS i;
CREATE TABLE seat (row_name char(4), number int, holder text UNIQUE, PRIMARY KEY (row_name, number));
INSERT INTO seat SELECT 'r' || i % 10, i, 'holder ' || i FROM generate_series(1, 5000) AS i;
CREATE TABLE note (body text);
INSERT INTO note VALUES ('same'), ('same');
"""
WRITE = """
UPDATE item SET amount = amount + 1 WHERE id <= 40; DELETE FROM item WHERE id BETWEEN 41 AND 50;
INSERT INTO item (name) SELECT 'new' FROM generate_series(1, 30);
UPDATE seat SET holder = CASE number WHEN 1 THEN 'x' ELSE holder END;
UPDATE seat SET holder = CASE number WHEN 2 THEN 'holder 1' ELSE holder END WHERE number IN (1, 2);
"""

pytestmark = on_newest_major


def compare_any_size(pair: TwoNodes) -> None:
    """Have the standby compare copies of any size."""
    settings = pair.two.settings
    controller = settings.controller.model_copy(update={"compare_from_bytes": 0})
    pair.two.settings = settings.model_copy(update={"controller": controller})


def lose_history(pair: TwoNodes) -> None:
    """Drop the source's slot."""
    pair.one.sql(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
    )


async def sync(pair: TwoNodes) -> ComponentOutcome:
    """Sync, and hold the copy to its source."""
    outcome = await pair.copy()
    await check_equal(pair.one.dsn, pair.two.dsn)
    return outcome


async def test_a_lost_slot_costs_only_what_changed(pair: TwoNodes) -> None:
    """The copy's own faults are mended with it, and deltas go on from there."""
    compare_any_size(pair)
    pair.one.sql(WRITE)
    lose_history(pair)
    pair.two.sql("SET default_transaction_read_only = off; UPDATE item SET name = 'by hand' WHERE id = 7000")
    outcome = await sync(pair)
    assert outcome.kind is SyncKind.COMPARE, outcome.reason
    assert outcome.keys == 80 + 1 + 2
    assert sorted(pair.ways["peer"].uploaded) == [("public.item", 81), ("public.seat", 2)]
    pair.one.sql(WRITE)
    later = await sync(pair)
    assert later.kind is SyncKind.DELTA, later.reason
    assert pair.one.sql("SELECT last_value FROM item_id_seq") == pair.two.sql("SELECT last_value FROM item_id_seq")


async def test_rows_without_a_key_come_whole_where_they_differ(pair: TwoNodes) -> None:
    compare_any_size(pair)
    pair.one.sql("INSERT INTO note VALUES ('other')")
    lose_history(pair)
    assert (await sync(pair)).kind is SyncKind.COMPARE
    lose_history(pair)
    outcome = await sync(pair)
    assert (outcome.kind, outcome.rows) == (SyncKind.COMPARE, 0)


async def test_the_application_goes_on_meanwhile(pair: TwoNodes) -> None:
    """What it changes during the comparison comes with the delta that ends it, or with the next."""
    compare_any_size(pair)
    pair.one.sql(WRITE)
    lose_history(pair)

    async def write() -> None:
        await asyncio.to_thread(pair.one.sql, f"{WRITE} UPDATE item SET amount = 5 WHERE id % 5 = 0")

    pair.after_listing = write
    outcome = await pair.copy()
    assert outcome.kind is SyncKind.COMPARE, outcome.reason
    pair.after_listing = None
    assert (await sync(pair)).kind is SyncKind.DELTA


async def test_changed_definitions_and_small_copies_are_copied_again(pair: TwoNodes) -> None:
    lose_history(pair)
    assert (await sync(pair)).kind is SyncKind.SEED
    compare_any_size(pair)
    pair.one.sql("CREATE INDEX ON item (amount)")
    lose_history(pair)
    assert (await sync(pair)).kind is SyncKind.SEED
    pair.one.sql("ALTER TABLE item ADD COLUMN extra int")
    lose_history(pair)
    assert (await sync(pair)).kind is SyncKind.SEED
