"""A node that comes back after a failover: by its changes and the other's, once what it had alone is saved.

The cases are those of the table in the design of the re-sync, each by what an administrator finds afterwards.
"""

from __future__ import annotations

import csv

import pytest

from services.primary_agent.capture.base import BaseKind
from services.standby_controller.rescue.manifest import RescueKind, RescueManifest
from shared.node.model import State
from shared.replication.model import SyncKind, TableMode
from tests.replication.judge import check_equal
from tests.replication.two_nodes import TwoNodes
from tests.tier import on_newest_major, rounds

pytestmark = on_newest_major

ROWS = rounds(20_000, 1_000_000)
SCHEMA = f"""
CREATE TABLE item (id bigserial PRIMARY KEY, name text, amount numeric NOT NULL DEFAULT 0);
INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, {ROWS}) AS i;
CREATE TABLE place (country text, code numeric, note jsonb, area point, PRIMARY KEY (country, code));
INSERT INTO place SELECT 'c' || i % 7, i, jsonb_build_object('i', i), point(i, i) FROM generate_series(1, 100) AS i;
CREATE TABLE word (text_key text PRIMARY KEY, n int UNIQUE);
INSERT INTO word SELECT repeat('k', 40) || i, i FROM generate_series(1, 50) AS i;
"""


def read_rescue(pair: TwoNodes, rescue: RescueManifest, table: str) -> list[dict[str, str]]:
    """Return the rows saved of a table."""
    found = next(one for one in rescue.tables if f"{one.schema_name}.{one.name}" == table)
    assert found.file is not None
    path = pair.other.shelf.folder(rescue.id, rescue.component) / found.file
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_only_what_changed_travels_and_what_one_had_alone_is_saved(pair: TwoNodes) -> None:
    """Some hundred rows diverged, some thousand are new: nothing else is shipped, and just the diverged are saved."""
    one, two = pair.nodes
    one.sql("UPDATE item SET name = 'late ' || id WHERE id <= 300")
    one.sql("DELETE FROM item WHERE id BETWEEN 301 AND 400")
    one.sql("INSERT INTO item (id, name) SELECT 900000000 + i, 'only here' FROM generate_series(1, 100) AS i")
    result = await pair.fail_over()
    assert result.kind is BaseKind.RECORDED
    two.sql("INSERT INTO item (name) SELECT 'new' FROM generate_series(1, 2000)")
    view = await pair.look()
    assert not view.is_clean
    assert [(table.name, table.key_count) for table in view.here] == [("item", 500)]
    assert [(table.name, table.key_count) for table in view.there] == [("item", 2000)]
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert outcome.keys == 2500
    assert outcome.rows <= 5000
    rescue = outcome.rescue
    assert rescue is not None
    assert [(table.inserted, table.changed, table.deleted, table.same_key) for table in rescue.tables] == [
        (100, 300, 100, 0)
    ]
    rows = read_rescue(pair, rescue, "public.item")
    by_change = {
        (change, side): [row for row in rows if (row["_change"], row["_side"]) == (change, side)]
        for change in ("inserted", "changed", "deleted")
        for side in ("one", "two")
    }
    assert {(row["id"], row["name"]) for row in by_change["changed", "one"]} == {
        (str(i), f"late {i}") for i in range(1, 301)
    }
    assert {(row["id"], row["name"]) for row in by_change["changed", "two"]} == {
        (str(i), f"item {i}") for i in range(1, 301)
    }
    assert {row["id"] for row in by_change["deleted", "two"]} == {str(i) for i in range(301, 401)}
    assert {row["id"] for row in by_change["inserted", "one"]} == {str(900000000 + i) for i in range(1, 101)}
    assert len(rows) == 300 * 2 + 100 + 100


async def test_a_clean_node_comes_back_without_a_rescue(pair: TwoNodes) -> None:
    """What it had was all copied: nobody is asked, nothing is saved."""
    await pair.sync()
    await pair.fail_over()
    pair.two.sql("UPDATE item SET amount = 7 WHERE id <= 10")
    assert (await pair.look()).is_clean
    outcome = await pair.sync()
    assert (outcome.kind, outcome.keys, outcome.rescue) == (SyncKind.DELTA, 10, None)
    assert await pair.other.shelf.count() == 0


async def test_it_goes_back_and_forth_by_the_points_both_share(pair: TwoNodes) -> None:
    """The second and the third failover work like the first; a delta follows each return."""
    for turn in range(3):
        active = pair.active
        active.sql(f"UPDATE item SET name = 'before {turn}' WHERE id BETWEEN {turn * 10 + 1} AND {turn * 10 + 10}")
        result = await pair.fail_over()
        assert result.kind is BaseKind.RECORDED, result.reason
        pair.active.sql(f"UPDATE item SET amount = {turn} WHERE id BETWEEN {turn * 10 + 6} AND {turn * 10 + 15}")
        returned = await pair.follow()
        assert (returned.kind, returned.keys) == (SyncKind.DELTA, 15), returned.reason
        assert returned.rescue is not None
        assert returned.rescue.rows == 10
        pair.active.sql("INSERT INTO item (name) VALUES ('after')")
        delta = await pair.sync()
        assert (delta.kind, delta.keys, delta.reason) == (SyncKind.DELTA, 1, None)


async def test_a_switchover_and_the_way_back_are_deltas(pair: TwoNodes) -> None:
    """The closed node follows at once: what it holds is what the other began with."""
    for turn in range(3):
        pair.active.sql(f"UPDATE item SET amount = {turn} WHERE id <= 20")
        before = pair.active
        before.node.state = State.DEMOTING
        await before.tick()
        before.node.state = State.ACTIVE  # the last delta is pulled from the closed node
        await pair.sync()
        await pair.switch_over()
        pair.active.sql("INSERT INTO item (name) VALUES ('after')")
        outcome = await pair.sync()
        assert (outcome.kind, outcome.keys, outcome.rescue) == (SyncKind.DELTA, 1, None), outcome.reason
        await pair.other.tick()


async def test_both_inserted_the_same_key(pair: TwoNodes) -> None:
    """It is told from a row that both changed, and from one that one of them deleted."""
    one, two = pair.nodes
    one.sql("INSERT INTO word VALUES ('new', 100), ('same', 101), ('again', 102)")
    one.sql("UPDATE word SET n = 200 WHERE n = 1; DELETE FROM word WHERE n = 2; UPDATE word SET n = 203 WHERE n = 3")
    one.sql("DELETE FROM word WHERE n = 4; INSERT INTO word VALUES (repeat('k', 40) || 4, 204)")
    one.sql("UPDATE word SET text_key = 'moved' WHERE n = 5")
    await pair.fail_over()
    two.sql("INSERT INTO word VALUES ('new', 300), ('same', 101), ('moved', 301)")
    two.sql("UPDATE word SET n = 400 WHERE n = 1; UPDATE word SET n = 402 WHERE n = 2; DELETE FROM word WHERE n = 3")
    outcome = await pair.sync()
    assert outcome.rescue is not None
    rows = {
        (row["_change"], row["_side"], row["text_key"].removeprefix("k" * 40), row["n"])
        for row in read_rescue(pair, outcome.rescue, "public.word")
    }
    assert rows == {
        ("same_key", "one", "new", "100"),
        ("same_key", "two", "new", "300"),
        ("inserted", "one", "again", "102"),
        ("changed", "one", "1", "200"),
        ("changed", "two", "1", "400"),
        ("deleted", "two", "2", "402"),
        ("changed", "one", "3", "203"),
        ("changed", "one", "4", "204"),
        ("changed", "two", "4", "4"),
        ("same_key", "one", "moved", "5"),
        ("same_key", "two", "moved", "301"),
        ("deleted", "two", "5", "5"),
    }


async def test_types_without_an_equality_and_keys_of_several_columns(pair: TwoNodes) -> None:
    """Rows are compared to the byte."""
    one, two = pair.nodes
    one.sql(
        "UPDATE place SET area = point(0, 0), note = '{}' WHERE code <= 3; INSERT INTO place VALUES ('x', 1.00, '1')"
    )
    one.sql("UPDATE place SET note = note WHERE code BETWEEN 50 AND 60")
    await pair.fail_over()
    two.sql("INSERT INTO place VALUES ('x', 1.0, '2')")
    outcome = await pair.sync()
    assert outcome.rescue is not None
    table = outcome.rescue.tables[0]
    assert (table.changed, table.same_key, table.inserted, table.deleted) == (3, 1, 0, 0)


async def test_a_truncated_table_comes_whole(pair: TwoNodes) -> None:
    """On the side that comes back what differs is found by comparing; on the other its keys still tell."""
    one, two = pair.nodes
    one.sql("TRUNCATE word; INSERT INTO word VALUES ('fresh', 1)")
    one.sql("UPDATE place SET note = '7' WHERE code = 9")
    await pair.fail_over()
    two.sql("TRUNCATE place; INSERT INTO place VALUES ('y', 1)")
    outcome = await pair.sync()
    manifest = pair.ways["peer"].manifests[-1]
    assert {table.name: table.mode for table in manifest.tables} == {"place": TableMode.WHOLE, "word": TableMode.WHOLE}
    assert outcome.rescue is not None
    told = {table.name: table for table in outcome.rescue.tables}
    assert (told["word"].by, told["word"].different, told["word"].only_there) == ("rows", 1, 50)
    assert (told["place"].by, told["place"].changed) == ("keys", 1)
    assert [row["text_key"] for row in read_rescue(pair, outcome.rescue, "public.word")] == ["fresh"]
    assert [row["code"] for row in read_rescue(pair, outcome.rescue, "public.place")] == ["9"]


async def test_tables_without_a_key_are_compared(pair: TwoNodes) -> None:
    """They come whole, and rows that only the returning node has are saved, each as often as it is there."""
    await pair.close()
    one, two = pair.nodes
    one.sql("CREATE TABLE log (line text); INSERT INTO log SELECT 'same' FROM generate_series(1, 3)")
    one.sql("CREATE UNLOGGED TABLE cache (id int PRIMARY KEY, v xml); INSERT INTO cache VALUES (1, '<a/>')")
    assert (await pair.sync()).kind is SyncKind.DELTA
    await two.tick()
    one.sql("INSERT INTO log VALUES ('same'), ('lost'); UPDATE cache SET v = '<b/>'")
    await pair.fail_over()
    two.sql("INSERT INTO log VALUES ('later')")
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert outcome.rescue is not None
    assert sorted(row["line"] for row in read_rescue(pair, outcome.rescue, "public.log")) == ["lost", "same"]
    assert [row["v"] for row in read_rescue(pair, outcome.rescue, "public.cache")] == ["<b/>"]
    assert {row["_change"] for row in read_rescue(pair, outcome.rescue, "public.log")} == {"different"}
    assert one.sql("SELECT string_agg(line, ' ' ORDER BY line) FROM log") == "later same same same"
    assert one.sql("SELECT v FROM cache") == "<a/>"


async def test_what_is_equal_without_a_key_does_not_travel_and_is_not_saved(pair: TwoNodes) -> None:
    """Its digest tells, also of a table that only the returning node cannot tell its changes of."""
    await pair.close()
    one, two = pair.nodes
    one.sql(
        "CREATE TABLE log (line text); INSERT INTO log VALUES ('same'); CREATE TABLE bare (); CREATE TABLE bare_too ()"
    )
    one.sql("SELECT lo_from_bytea(77, 'same')")
    assert (await pair.sync()).kind is SyncKind.DELTA
    await two.tick()
    one.sql("INSERT INTO item (id, name) VALUES (900000000, 'only here'); INSERT INTO bare DEFAULT VALUES")
    await pair.fail_over()
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert set(outcome.rows_per_table) == {"public.item", "public.bare"}
    assert outcome.rescue is not None
    assert {(table.name, table.rows) for table in outcome.rescue.tables} == {("item", 1), ("bare", 1)}


async def test_large_objects_that_only_one_had_are_saved(pair: TwoNodes) -> None:
    """Those that were changed or made there; those of the active node are there afterwards, and only they."""
    one, two = pair.nodes
    one.sql("SELECT lo_from_bytea(77, 'same'), lo_from_bytea(78, 'before'), lo_from_bytea(79, 'removed here')")
    await pair.sync()
    one.sql("SELECT lo_put(78, 0, 'LOST'), lo_unlink(79), lo_from_bytea(80, decode(repeat('ab', 1500000), 'hex'))")
    await pair.fail_over()
    two.sql("SELECT lo_from_bytea(81, 'later')")
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert outcome.rescue is not None
    (saved,) = outcome.rescue.tables
    assert (saved.name, saved.different, saved.only_there) == ("pg_largeobject", 2, 2)
    csv.field_size_limit(2**22)
    rows = read_rescue(pair, outcome.rescue, "pg_catalog.pg_largeobject")
    assert [(row["oid"], row["place"], len(row["data"])) for row in rows] == [
        ("78", "0", 14), ("80", "0", 2 * 2**20 + 2), ("80", str(2**20), 2 * (1_500_000 - 2**20) + 2),
    ]  # fmt: skip
    assert bytes.fromhex(rows[0]["data"][2:]) == b"LOSTre"
    contents = "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1"
    assert one.sql(contents) == two.sql(contents)
    assert one.sql("SELECT count(*) FROM pg_largeobject_metadata") == "4"


@pytest.mark.parametrize("side", ["here", "there"])
async def test_changed_definitions_are_seeded_and_the_old_database_is_kept(pair: TwoNodes, side: str) -> None:
    """Rows cannot be told apart then: the database as it was stays beside the new one until it is discarded."""
    one, two = pair.nodes
    one.sql("INSERT INTO item (name) VALUES ('only here')")
    if side == "here":
        one.sql("CREATE TABLE fresh (id int PRIMARY KEY)")
    await pair.fail_over()
    if side == "there":
        two.sql("ALTER TABLE item ADD COLUMN extra int")
    view = await pair.look()
    assert view.needs_seed is not None
    assert not view.is_clean
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.SEED
    rescue = outcome.rescue
    assert rescue is not None
    assert rescue.kind is RescueKind.DATABASE
    assert rescue.kept_database is not None
    assert one.cluster.psql("SELECT count(*) FROM item WHERE name = 'only here'", rescue.kept_database) == "1"
    kept = f"SELECT count(*) FROM pg_replication_slots WHERE database = '{rescue.kept_database}'"
    assert one.cluster.psql(kept) == "0"
    await pair.clear_orphans()
    assert await one.shelf.count() == 1
    pair.other.node.state = State.STANDBY
    await pair.other.tick()
    two.sql("INSERT INTO item (name) VALUES ('next')")
    assert (await pair.sync()).kind is SyncKind.DELTA
    assert (await pair.fail_over()).kind is BaseKind.RECORDED


async def test_without_a_base_it_is_seeded(pair: TwoNodes) -> None:
    """A promotion that had no time to record where the copy stood costs a full copy, and no row."""
    one, _ = pair.nodes
    one.sql("INSERT INTO item (name) VALUES ('only here')")
    await pair.fail_over(is_lost=True)
    view = await pair.look()
    assert view.needs_seed is not None
    outcome = await pair.sync()
    assert (outcome.kind, outcome.rescue is not None) == (SyncKind.SEED, True)


async def test_a_lost_slot_means_a_seed(pair: TwoNodes) -> None:
    """What the returning node changed alone is no longer known: its database is kept."""
    one, _ = pair.nodes
    await pair.fail_over()
    one.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.SEED
    assert outcome.rescue is not None


async def test_prepared_transactions_are_listed_and_rolled_back(pair: TwoNodes) -> None:
    """They hold rows that are about to be overwritten, and nobody will end them any more."""
    one, _ = pair.nodes
    one.sql("BEGIN; UPDATE item SET name = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'it''s open'")
    await pair.fail_over()
    pair.two.sql("UPDATE item SET name = 'there' WHERE id = 1")
    assert not (await pair.look()).is_clean
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert outcome.rescue is not None
    assert [transaction.gid for transaction in outcome.rescue.prepared] == ["it's open"]
    assert one.sql("SELECT count(*) FROM pg_prepared_xacts") == "0"


async def test_sequences_keep_the_farther_position(pair: TwoNodes) -> None:
    """An id that was given out on either side is not given out again; a cyclic one is the active node's."""
    await pair.close()
    one, two = pair.nodes
    one.sql("CREATE SEQUENCE ring MAXVALUE 10 CYCLE; CREATE SEQUENCE down INCREMENT -1; CREATE SEQUENCE far")
    await pair.sync()
    await two.tick()
    one.sql("SELECT setval('far', 500), setval('down', -500), setval('ring', 7)")
    await pair.fail_over()
    two.sql("SELECT setval('far', 90), setval('down', -90), setval('ring', 2), setval('item_id_seq', 5000000)")
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    found = one.sql("SELECT (SELECT last_value FROM far), (SELECT last_value FROM down), (SELECT last_value FROM ring)")
    assert found == "500|-500|2"
    assert one.sql("SELECT last_value FROM item_id_seq") == "5000000"


async def test_a_fenced_node_that_is_promoted_again_shares_its_own_points(pair: TwoNodes) -> None:
    """Whoever failed over how often: the newest moment both know is found under either name."""
    one, two = pair.nodes
    await pair.sync()
    one.sql("INSERT INTO item (name) VALUES ('first life')")
    await pair.fail_over()
    two.sql("INSERT INTO item (name) VALUES ('of the second')")
    result = await pair.fail_over()  # the first one again, by an administrator, without having come back
    assert result.kind is BaseKind.NOT_NEEDED
    one.sql("INSERT INTO item (name) VALUES ('second life')")
    outcome = await pair.sync()
    assert outcome.kind is SyncKind.DELTA, outcome.reason
    assert outcome.rescue is not None
    assert [row["name"] for row in read_rescue(pair, outcome.rescue, "public.item")] == [
        "of the second",
        "first life",
    ]
    assert one.sql("SELECT count(*) FROM item WHERE name = 'of the second'") == "0"


async def test_what_a_served_database_stood_at_is_no_cursor_any_more(pair: TwoNodes) -> None:
    """A copy that was served and has come to nothing must not go on by deltas from its old point."""
    one, two = pair.nodes
    await pair.fail_over()
    assert two.sql("SELECT count(*) FROM warmstandby.cursor") == "0"
    two.sql("INSERT INTO item (name) VALUES ('diverged')")
    await pair.fail_over()
    outcome = await pair.sync()
    assert two.sql("SELECT count(*) FROM item WHERE name = 'diverged'") == "0"
    assert outcome.rescue is not None
    await check_equal(one.dsn, two.dsn)
