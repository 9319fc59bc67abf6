"""Materialized views and large objects in deltas: what the source's have, the copy's have after the sync."""

from __future__ import annotations

import pytest

from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import MOST_OBJECTS
from tests.replication.judge import open_session
from tests.replication.world import World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SCHEMA = """
CREATE TABLE sale (id int PRIMARY KEY, shop text, amount int); INSERT INTO sale VALUES (1, 'a', 10), (2, 'b', 20);
CREATE TABLE line (v text); INSERT INTO line VALUES ('a');
CREATE MATERIALIZED VIEW z_by_shop AS SELECT shop, sum(amount) AS amount FROM sale GROUP BY shop;
CREATE UNIQUE INDEX ON z_by_shop (shop);
CREATE VIEW between_both AS SELECT sum(amount) AS amount FROM z_by_shop;
CREATE MATERIALIZED VIEW a_total AS SELECT amount FROM between_both;
CREATE MATERIALIZED VIEW lines AS SELECT count(*) AS n FROM line;
CREATE MATERIALIZED VIEW moment AS SELECT clock_timestamp() AS at;
CREATE MATERIALIZED VIEW "empty; view" AS SELECT 1 AS n WITH NO DATA;
CREATE MATERIALIZED VIEW breakable AS SELECT 100 / (amount - 15) AS n FROM sale;

SELECT lo_from_bytea(1001, 'one'), lo_from_bytea(1002, '');
SELECT lo_from_bytea(1003, decode(repeat('00ff5c', 800000), 'hex'));
SELECT lo_from_bytea(1004, 'stays');
SELECT lo_put(lo_create(1005), 5000000, 'after a gap');
COMMENT ON LARGE OBJECT 1001 IS 'the first';
"""
VIEWS = ("z_by_shop", "a_total", "lines", "breakable")
OBJECTS = """
SELECT m.oid, pg_get_userbyid(m.lomowner), coalesce(m.lomacl, acldefault('L', m.lomowner)),
       obj_description(m.oid, 'pg_largeobject'),
       length(lo_get(m.oid)), md5(lo_get(m.oid))
  FROM pg_largeobject_metadata AS m ORDER BY 1
"""


async def delta(world: World) -> ComponentOutcome:
    """Sync by a delta that leaves nothing behind."""
    outcome = await world.delta()
    assert outcome.unkept == ()
    return outcome


def fill_marks(world: World) -> dict[str, str]:
    """Return each view's file on the copy: one that was filled anew has another."""
    rows = world.place.copy_sql("SELECT relname, relfilenode FROM pg_class WHERE relkind = 'm' ORDER BY 1").splitlines()
    return {name: mark for name, _, mark in (row.partition("|") for row in rows)}


def check_views(world: World, views: tuple[str, ...] = VIEWS) -> None:
    """Compare the rows of views."""
    for view in views:
        query = f"SELECT * FROM {view} ORDER BY 1"
        assert world.place.copy_sql(query) == world.sql(query), view


async def filled_by(world: World, *statements: str) -> set[str]:
    """Do this on the source, sync, and return which views of the copy were filled."""
    before = fill_marks(world)
    for statement in statements:
        world.sql(statement)
    await delta(world)
    after = fill_marks(world)
    return {name for name, mark in after.items() if before.get(name) != mark}


async def test_a_view_is_filled_when_the_sources_was(world: World) -> None:
    """Not when its tables changed: then the source's own is as old as the copy's, and both are equal."""
    await delta(world)  # the view of the clock differs from the start, and is tried once
    assert await filled_by(world, "UPDATE sale SET amount = amount + 5 WHERE id = 2") == set()
    check_views(world)
    assert await filled_by(world, "REFRESH MATERIALIZED VIEW z_by_shop") == {"z_by_shop"}
    check_views(world)
    assert await filled_by(world, "REFRESH MATERIALIZED VIEW a_total") == {"a_total"}
    check_views(world)
    assert await filled_by(world) == set()


async def test_views_are_filled_in_the_order_in_which_they_read_each_other(world: World) -> None:
    """Through an ordinary view, against the order of their names, and with the rows of this very sync."""
    filled = await filled_by(
        world,
        "INSERT INTO sale VALUES (3, 'c', 30); INSERT INTO line VALUES ('b')",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY z_by_shop; REFRESH MATERIALIZED VIEW a_total",
        "REFRESH MATERIALIZED VIEW lines",
    )
    assert filled == {"z_by_shop", "a_total", "lines"}
    check_views(world)


async def test_a_view_that_cannot_be_equal_is_filled_once_for_each_filling_of_the_source(world: World) -> None:
    """It reads the clock: no sync would ever find it equal."""
    await delta(world)
    assert await filled_by(world) == set()
    assert await filled_by(world, "REFRESH MATERIALIZED VIEW moment") == {"moment"}
    assert await filled_by(world) == set()


async def test_a_view_that_is_older_than_its_tables_shows_the_state_of_the_sync(world: World) -> None:
    """Rows of a view cannot be copied: filled on the copy, it knows what came after the source's was filled."""
    await filled_by(
        world,
        "INSERT INTO line VALUES ('c')",
        "REFRESH MATERIALIZED VIEW lines",
        "INSERT INTO line VALUES ('d')",
    )
    assert int(world.place.copy_sql("SELECT n FROM lines")) == int(world.sql("SELECT n FROM lines")) + 1
    assert await filled_by(world, "INSERT INTO line VALUES ('e')") == set()
    assert await filled_by(world, "REFRESH MATERIALIZED VIEW lines") == {"lines"}
    check_views(world)


async def test_a_view_is_emptied_and_filled_again(world: World) -> None:
    """As the source's is."""
    populated = "SELECT relname FROM pg_class WHERE relkind = 'm' AND relispopulated ORDER BY 1"
    world.sql('REFRESH MATERIALIZED VIEW lines WITH NO DATA; REFRESH MATERIALIZED VIEW "empty; view"')
    await delta(world)
    assert world.place.copy_sql(populated) == world.sql(populated)
    world.sql('REFRESH MATERIALIZED VIEW lines; REFRESH MATERIALIZED VIEW "empty; view" WITH NO DATA')
    await delta(world)
    assert world.place.copy_sql(populated) == world.sql(populated)
    check_views(world)


async def test_a_view_that_cannot_be_filled_does_not_hold_up_the_rest(world: World) -> None:
    """It stays as it is and is named, until it can be filled."""
    world.sql("UPDATE sale SET amount = 16 WHERE id = 1; REFRESH MATERIALIZED VIEW breakable")
    world.sql("UPDATE sale SET amount = 15 WHERE id = 1; INSERT INTO line VALUES ('on time')")
    for _ in range(2):
        outcome = await world.delta()
        assert [table.name for table in outcome.unkept] == ["public.breakable"]
        assert "division by zero" in outcome.unkept[0].reason
    assert world.place.copy_sql("SELECT count(*) FROM line WHERE v = 'on time'") == "1"
    world.sql("UPDATE sale SET amount = 17 WHERE id = 1; REFRESH MATERIALIZED VIEW breakable")
    await delta(world)
    check_views(world, ("breakable",))


async def test_a_view_that_is_being_filled_is_left_for_the_next_sync(world: World) -> None:
    """It is told of; nobody waits for a long query."""
    world.sql("INSERT INTO line VALUES ('f'); REFRESH MATERIALIZED VIEW lines")
    async with open_session(world.place.dsn) as application:
        await application.execute("BEGIN; REFRESH MATERIALIZED VIEW public.lines")
        outcome = await world.delta()
        assert [table.name for table in outcome.unkept] == ["public.lines"]
        await application.execute("COMMIT")
    await delta(world)
    check_views(world)


def check_objects(world: World) -> None:
    """Compare all large objects by what the server tells of them."""
    assert world.place.copy_sql(OBJECTS) == world.sql(OBJECTS)


async def asked(world: World, *statements: str) -> tuple[list[int], int]:
    """Do this on the source, sync; return whose contents came, and how many bytes."""
    for statement in statements:
        world.sql(statement)
    world.target.client.objects_asked.clear()
    outcome = await delta(world)
    check_objects(world)
    return sorted(world.target.client.objects_asked), outcome.bytes


async def test_equal_large_objects_do_not_travel(world: World) -> None:
    """Only their digests do; one with a gap too, which the full copy had filled with zeros."""
    contents, size = await asked(world)
    assert contents == []
    assert 0 < size < 2000


@pytest.mark.parametrize(
    ("given", "change", "contents"),
    [
        ("", "SELECT lo_from_bytea(2001, 'new')", [2001]),
        ("", "SELECT lo_create(2002)", [2002]),
        ("", "SELECT lo_put(1001, 1, 'N')", [1001]),
        ("", "SELECT lo_put(1003, 2399999, decode('ffff', 'hex'))", [1003]),
        ("", "SELECT lo_put(1002, 2097152, 'x')", [1002]),
        ("", "SELECT lo_truncate(lo_open(1003, 131072), 1048576)", [1003]),
        ("SELECT lo_from_bytea(2003, 'full')", "SELECT lo_unlink(2003), lo_create(2003)", [2003]),
        ("SELECT lo_from_bytea(2004, 'old'), lo_create(2005)", "SELECT lo_unlink(2004), lo_unlink(2005)", []),
        ("", "COMMENT ON LARGE OBJECT 1001 IS NULL; COMMENT ON LARGE OBJECT 1004 IS 'it''s \\ %s'", []),
    ],
    ids=["new", "new empty", "changed", "longer by one byte", "gap", "cut", "emptied", "removed", "comments"],
)
async def test_just_the_changed_contents_travel(world: World, given: str, change: str, contents: list[int]) -> None:
    """By content: whose oid stayed is not equal for that."""
    if given:
        await asked(world, given)
    assert (await asked(world, change))[0] == contents


async def test_a_large_object_of_many_pieces(world: World) -> None:
    """Twelve megabytes and a byte, in pieces; then a byte in the middle of it."""
    contents, size = await asked(
        world,
        "SELECT lo_put(lo_create(3001), n * 1048576, convert_to(repeat(chr(97 + n), 1048576), 'UTF8'))"
        " FROM generate_series(0, 0) AS n",
        "SELECT lo_put(3001, n * 1048576, convert_to(repeat(chr(97 + n), 1048576), 'UTF8'))"
        " FROM generate_series(1, 11) AS n; SELECT lo_put(3001, 12582912, '!')",
    )
    assert contents == [3001]
    assert size > 12_000_000
    assert (await asked(world, "SELECT lo_put(3001, 6000000, '!')"))[0] == [3001]
    assert (await asked(world, "SELECT lo_unlink(3001)"))[0] == []


async def test_more_large_objects_than_are_asked_for_at_a_time(world: World) -> None:
    """They come in several answers, and each comes once."""
    numbers = range(5000, 5000 + 2 * MOST_OBJECTS + 1)
    made = f"SELECT lo_from_bytea(n, sha256(n::text::bytea)) FROM generate_series({numbers[0]}, {numbers[-1]}) AS n"
    assert (await asked(world, f"SELECT count(*) FROM ({made}) AS made"))[0] == list(numbers)
    removed = f"SELECT lo_unlink(n) FROM generate_series({numbers[0]}, {numbers[-1]}) AS n"
    assert (await asked(world, f"SELECT count(*) FROM ({removed}) AS removed"))[0] == []


async def test_owners_and_rights_of_large_objects(world: World) -> None:
    """With a grant option, to everybody, taken back, and changed together with the content."""
    world.sql("""CREATE ROLE "lo owner"; CREATE ROLE lo_reader""")
    try:
        steps = (
            'ALTER LARGE OBJECT 1001 OWNER TO "lo owner"',
            "GRANT SELECT ON LARGE OBJECT 1001 TO lo_reader WITH GRANT OPTION;GRANT ALL ON LARGE OBJECT 1004 TO PUBLIC",
            'REVOKE SELECT ON LARGE OBJECT 1001 FROM "lo owner"; REVOKE ALL ON LARGE OBJECT 1004 FROM PUBLIC',
            "SELECT lo_put(1001, 0, 'again')",
            "REVOKE ALL ON LARGE OBJECT 1001 FROM lo_reader; ALTER LARGE OBJECT 1001 OWNER TO CURRENT_USER",
        )
        for step in steps:
            world.sql(step)
            outcome = await delta(world)
            rights = "SELECT oid, pg_get_userbyid(lomowner), lomacl::text FROM pg_largeobject_metadata ORDER BY 1"
            there, here = world.sql(rights).splitlines(), world.place.copy_sql(rights).splitlines()
            assert [row for row in there if row.startswith("1001|")] == [row for row in here if row.startswith("1001|")]
            assert ("large objects" in outcome.rows_per_table) == ("lo_put" in step)
    finally:
        world.place.copy_sql('DROP OWNED BY "lo owner", lo_reader')
        world.sql('DROP OWNED BY "lo owner", lo_reader; DROP ROLE "lo owner", lo_reader')


async def test_what_was_written_to_large_objects_of_the_copy_is_overwritten(world: World) -> None:
    """Changed, removed or made there: what the source has counts."""
    world.place.copy_sql("SELECT lo_put(1001, 0, 'COPY'), lo_unlink(1004), lo_from_bytea(4001, 'only here')")
    assert (await asked(world))[0] == [1001, 1004]
