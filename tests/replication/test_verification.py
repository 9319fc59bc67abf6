"""A copy compared with its source: every difference is found and named, mended, and nothing else is ever told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from lab.cluster import Cluster
from services.standby_controller.verify.model import Comparison, Difference, DifferenceKind, Wish
from shared.replication.model import SyncKind
from shared.replication.verification import Level
from tests.replication.judge import check_equal
from tests.replication.two_nodes import Ground, TwoNodes
from tests.tier import in_full_tier, on_newest_major, rounds

ROWS = rounds(20_000, 200_000)
MANY: Final = 5_000_000
FULL = Wish(Level.FULL)
MENDING = Wish(Level.FULL, is_repairing=True)
SCHEMA = f"""
CREATE TABLE item (id bigserial PRIMARY KEY, name text, amount numeric NOT NULL DEFAULT 0);
INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, {ROWS}) AS i;
CREATE TABLE place (country char(3), code numeric, note jsonb, open boolean, PRIMARY KEY (country, code, open));
INSERT INTO place SELECT 'c' || i % 7, i, jsonb_build_object('i', i), i % 2 = 0 FROM generate_series(1, 500) AS i;
CREATE TABLE host (address inet PRIMARY KEY, seen timestamptz, double_id int GENERATED ALWAYS AS (7) STORED);
INSERT INTO host SELECT inet '10.0.0.0' + i, now() FROM generate_series(1, 20) AS i;
CREATE TABLE "Empty ""1"" a" ("a b" int PRIMARY KEY);
CREATE TABLE note (body text);
INSERT INTO note VALUES ('first'), ('second'), ('second');
"""

pytestmark = on_newest_major


async def compare(pair: TwoNodes, wish: Wish = FULL) -> Comparison:
    """Sync and compare, and return what was found."""
    outcome = await pair.copy(wish)
    assert outcome.comparison is not None
    assert outcome.comparison.problem_text is None
    return outcome.comparison


def on_copy(pair: TwoNodes, text: str) -> None:
    """Write to the copy by hand, past what keeps applications from it; triggers and keys of others stay quiet."""
    pair.other.sql(f"SET default_transaction_read_only = off; SET session_replication_role = replica; {text}")


def by_name(comparison: Comparison) -> dict[str, Difference]:
    """Return what differs by table."""
    return {one.name: one for one in comparison.differences}


async def test_each_kind_of_difference_is_found_with_rows_and_keys(pair: TwoNodes) -> None:
    on_copy(
        pair,
        """UPDATE item SET amount = 7 WHERE id IN (17, 4711);
           DELETE FROM item WHERE id = 4000;
           INSERT INTO item (id, name) VALUES (900000001, 'never written');
           DELETE FROM place WHERE code = 7;
           UPDATE host SET seen = seen + interval '1 microsecond' WHERE address = '10.0.0.3';
           INSERT INTO "Empty ""1"" a" VALUES (1);
           UPDATE note SET body = 'Second' WHERE ctid = (SELECT min(ctid) FROM note WHERE body = 'second');
           SELECT setval('item_id_seq', 5)""",
    )
    found = await compare(pair)
    item = by_name(found)["public.item"]
    assert (item.rows_here, item.rows_there) == (ROWS, ROWS)
    assert (item.missing, item.extra, item.changed) == (1, 1, 2)
    assert (item.first_key, item.last_key) == ("17", "900000001")
    place = by_name(found)["public.place"]
    assert (place.missing, place.extra, place.changed, place.rows_here) == (1, 0, 0, 499)
    assert place.first_key == place.last_key == '("c0 ",7,f)'
    assert by_name(found)["public.host"].changed == 1
    assert by_name(found)['public.Empty "1" a'].extra == 1
    sequence = by_name(found)["public.item_id_seq"]
    assert sequence.kind is DifferenceKind.SEQUENCE
    assert sequence.is_repaired  # the sync set it right in passing
    assert "public.note" not in by_name(found), "without a key it was compared, and mended, by the sync itself"
    assert len(found.differences) == 5
    assert len(found.compared) == 5
    assert not found.is_clean
    assert found.rows == ROWS + 500 + 20 + 3


async def test_a_row_changed_by_hand_is_repaired_by_its_key_alone(pair: TwoNodes) -> None:
    """Just the keys that differ travel, through the spool as if they had just been changed, and deletes with them."""
    on_copy(
        pair,
        """UPDATE item SET name = NULL WHERE id BETWEEN 100 AND 109; DELETE FROM item WHERE id = 50;
           INSERT INTO item (id, name) VALUES (900000001, 'never written');
           UPDATE place SET note = '[]' WHERE code = 14; DELETE FROM place WHERE code = 15;
           UPDATE host SET seen = NULL WHERE address = '10.0.0.3';
           DELETE FROM note""",
    )
    outcome = await pair.copy(MENDING)
    assert outcome.kind is SyncKind.COMPARE
    assert outcome.comparison is not None
    assert outcome.comparison.is_clean
    assert sorted(pair.ways["peer"].uploaded) == [("public.host", 1), ("public.item", 12), ("public.place", 2)]
    assert {one.name for one in outcome.comparison.differences if one.is_repaired} == {
        "public.host", "public.item", "public.place",
    }  # fmt: skip
    await check_equal(pair.active.dsn, pair.other.dsn)
    assert not (await compare(pair)).differences


async def test_a_table_of_which_most_differs_comes_whole(pair: TwoNodes) -> None:
    on_copy(pair, "UPDATE item SET amount = amount + 1; DELETE FROM place WHERE code <= 200")
    comparison = await compare(pair, MENDING)
    assert comparison.is_clean
    assert pair.ways["peer"].uploaded == [("public.place", 200)]
    await check_equal(pair.active.dsn, pair.other.dsn)


async def test_rows_that_hold_each_others_unique_values_are_repaired(pair: TwoNodes) -> None:
    pair.active.sql("CREATE TABLE seat (id int PRIMARY KEY, number int UNIQUE); INSERT INTO seat VALUES (1, 1), (2, 2)")
    await pair.copy()
    on_copy(pair, "DELETE FROM seat; INSERT INTO seat VALUES (1, 2), (3, 1)")
    seat = by_name(await compare(pair, MENDING))["public.seat"]
    assert (seat.missing, seat.extra, seat.changed, seat.is_repaired) == (1, 1, 1, True)
    await check_equal(pair.active.dsn, pair.other.dsn)


async def test_what_the_application_changes_meanwhile_is_no_difference(pair: TwoNodes) -> None:
    """Source and copy are compared at one snapshot, while the source goes on."""
    ended = asyncio.Event()

    async def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            await asyncio.to_thread(
                pair.active.sql,
                f"""UPDATE item SET amount = amount + 1 WHERE id % 97 = {number % 97};
                    INSERT INTO item (name) VALUES ('new {number}'); DELETE FROM item WHERE id = {number};
                    UPDATE place SET note = '{number}' WHERE code = {number % 500}""",
            )

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        try:
            for _ in range(rounds(2, 20)):
                assert not (await compare(pair)).differences
            on_copy(pair, "UPDATE host SET seen = NULL WHERE address = '10.0.0.3'")
            assert [one.name for one in (await compare(pair, MENDING)).differences] == ["public.host"]
        finally:
            ended.set()
    assert not (await compare(pair)).differences


async def test_levels_look_at_no_more_than_they_say(pair: TwoNodes) -> None:
    """`counts` and `changed` look at what a sync brought something of; a count does not see a changed row."""
    on_copy(pair, "UPDATE item SET amount = 7 WHERE id = 17; UPDATE host SET seen = NULL WHERE address = '10.0.0.3'")
    pair.active.sql("UPDATE item SET name = 'x' WHERE id = 18")
    counted = await compare(pair, Wish(Level.COUNTS))
    assert (counted.compared, counted.differences) == (("public.item",), ())
    nothing_changed = await compare(pair, Wish(Level.CHANGED))
    assert nothing_changed.compared == ()
    pair.active.sql("UPDATE item SET name = 'y' WHERE id = 18")
    assert set(by_name(await compare(pair, Wish(Level.CHANGED)))) == {"public.item"}
    on_copy(pair, "DELETE FROM item WHERE id = 19")
    pair.active.sql("UPDATE item SET name = 'z' WHERE id = 18")
    item = by_name(await compare(pair, Wish(Level.COUNTS)))["public.item"]
    assert (item.rows_here, item.rows_there, item.changed) == (ROWS - 1, ROWS, None)


async def test_a_full_comparison_is_divided_where_it_may_not_take_long(pair: TwoNodes) -> None:
    """Each part names where the next one goes on, and they find what one comparison finds."""
    on_copy(pair, "UPDATE item SET amount = 7 WHERE id = 17; UPDATE place SET note = NULL WHERE code = 3")
    found: list[str] = []
    part = await compare(pair, Wish(Level.FULL, budget_seconds=0.0))
    parts = 1
    while part.next_after is not None:
        found += [one.name for one in part.differences]
        part = await compare(pair, Wish(Level.FULL, after=part.next_after, budget_seconds=0.0))
        parts += 1
    assert [*found, *(one.name for one in part.differences)] == ["public.item", "public.place"]
    assert parts == 5


async def test_a_table_truncated_while_it_is_compared_is_compared_again(pair: TwoNodes) -> None:
    async def truncate() -> None:
        pair.ways["peer"].after_listing = None
        pair.active.sql("TRUNCATE place; INSERT INTO place VALUES ('x', 1, NULL, true)")

    pair.after_listing = truncate
    comparison = await compare(pair)
    assert (len(comparison.compared), comparison.differences) == (5, ())


async def test_a_definition_changed_by_hand_is_told(pair: TwoNodes) -> None:
    on_copy(pair, "ALTER TABLE host RENAME COLUMN seen TO seen_at; CREATE TABLE stranger (id int)")
    found = by_name(await compare(pair, MENDING))
    assert found["public.host"].kind is DifferenceKind.DEFINITION
    assert "seen" in found["public.host"].text
    assert found["public.stranger"].kind is DifferenceKind.STRANGE
    assert not any(one.is_repaired for one in found.values())
    on_copy(pair, "ALTER TABLE host RENAME COLUMN seen_at TO seen; DROP TABLE stranger")


@in_full_tier
@pytest.mark.timeout(1800)
async def test_millions_of_rows_verify_without_a_false_alarm(clusters: tuple[Cluster, Cluster], tmp_path: Path) -> None:
    schema = f"""CREATE TABLE item (id bigint PRIMARY KEY, name text, amount numeric, at timestamptz);
        INSERT INTO item SELECT i, md5(i::text), i / 7.0, now() FROM generate_series(1, {MANY}) AS i"""
    ground = Ground.create(clusters, tmp_path, schema)
    try:
        async with ground.open() as pair:
            clean = await compare(pair)
            print(f"{clean.rows} rows compared in {clean.seconds:.1f} s")
            assert (clean.differences, clean.rows) == ((), MANY)
            on_copy(pair, "UPDATE item SET name = upper(name) WHERE id = 1234567")
            item = by_name(await compare(pair, MENDING))["public.item"]
            assert (item.changed, item.first_key, item.is_repaired) == (1, "1234567", True)
            assert (await compare(pair)).differences == ()
    finally:
        ground.remove()
