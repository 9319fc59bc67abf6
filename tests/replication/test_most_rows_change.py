"""Most rows of a large table change between two syncs: indexes are laid aside and come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import asyncpg
import pytest

from services.primary_agent.export import opening
from services.standby_controller.apply.merge import BULK_ROWS
from services.standby_controller.policy.guards import Guards
from shared.errors import SourceShrank
from shared.replication.model import TableMode
from shared.replication.plan import PlannedTable, list_mostly_changed
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

ROWS = 2 * BULK_ROWS + 5_000
SCHEMA = f"""
CREATE TABLE large (id int PRIMARY KEY, v int, tags int[], note text, hidden text);
CREATE TABLE busy (id int PRIMARY KEY, v int NOT NULL);
CREATE INDEX "Large by ü" ON large (v DESC NULLS LAST) INCLUDE (note) WITH (fillfactor = 70);
CREATE INDEX large_tags ON large USING gin (tags);
CREATE INDEX large_tail ON large (note) WHERE v > 10;
CREATE INDEX large_lower ON large (lower(note));
CREATE UNIQUE INDEX large_hidden ON large (hidden);
CREATE INDEX large_told ON large (v, id);
COMMENT ON INDEX large_told IS 'why it is there';
CREATE INDEX large_ordered ON large (note, v);
ALTER TABLE large CLUSTER ON large_ordered;
INSERT INTO large SELECT i, i % 100, ARRAY[i % 7, i % 11], 'note ' || i, 'h' || i FROM generate_series(1, {ROWS}) AS i;
INSERT INTO busy SELECT i, i FROM generate_series(1, 10) AS i;
"""
INDEXES = """
SELECT i.indexrelid::regclass, i.indisvalid, i.indisready, i.indisclustered, pg_get_indexdef(i.indexrelid),
       obj_description(i.indexrelid, 'pg_class'), c.reloptions, pg_get_userbyid(c.relowner)
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
 WHERE i.indrelid = 'large'::regclass ORDER BY c.relname
"""
FILES = """
SELECT c.relname, c.relfilenode FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
 WHERE i.indrelid = 'large'::regclass
"""
CHANGES = {
    "half of them updated": "UPDATE large SET v = v + 1, note = note || '!' WHERE id % 2 = 0",
    "updated": "UPDATE large SET v = v + 1, note = note || '!'",
    "deleted and inserted": f"DELETE FROM large WHERE id % 2 = 0;"
    f" INSERT INTO large SELECT i + {ROWS}, 1, '{{1}}', 'new', 'n' || i FROM generate_series(1, {ROWS}) AS i",
    "emptied and filled": "CREATE TEMP TABLE kept AS SELECT * FROM large; TRUNCATE large;"
    " INSERT INTO large SELECT * FROM kept",
}
PLAIN = {"Large by ü", "large_tags"}


@pytest.mark.parametrize("change", CHANGES)
async def test_indexes_come_back_as_they_were(world: World, change: str) -> None:
    """Those that their definition says completely are built anew; no other one is touched.

    All rows come in place of the changed ones where these are most of them.
    """
    world.sql("ANALYZE large")
    before, files = world.place.copy_sql(INDEXES), _files(world)
    world.sql(CHANGES[change])
    world.sql("UPDATE busy SET v = v + 1")
    await world.delta()
    assert _mode_of_large(world) is (TableMode.DELTA if change == "half of them updated" else TableMode.WHOLE)
    assert world.place.copy_sql(INDEXES) == before
    assert {name for name, file in _files(world).items() if files[name] != file} == PLAIN


async def test_a_table_that_grew_since_it_was_analyzed_is_counted(new_place: Callable[..., Place]) -> None:
    """More keys changed than it had rows then, and yet not most of its rows; one of unknown size goes by its keys."""
    place = new_place("CREATE TABLE large (id int PRIMARY KEY, v int) WITH (autovacuum_enabled = false);")
    async with place.open() as world:
        await world.seed()
        world.sql(f"INSERT INTO large SELECT i, 1 FROM generate_series(1, {BULK_ROWS}) AS i")
        assert (await world.delta()).keys == BULK_ROWS
        world.sql("ANALYZE large")
        world.sql(f"INSERT INTO large SELECT i, 1 FROM generate_series({BULK_ROWS + 1}, {3 * BULK_ROWS}) AS i")
        assert (await world.delta()).keys == 2 * BULK_ROWS
        world.sql(f"UPDATE large SET v = v + 1 WHERE id > {2 * BULK_ROWS}")
        assert (await world.delta()).keys == BULK_ROWS


async def test_what_a_table_loses_is_counted_by_its_copy(new_place: Callable[..., Place]) -> None:
    """It comes whole, and its copy was analyzed when it held little: nine of ten rows do not go without a word."""
    place = new_place("CREATE TABLE large (id int PRIMARY KEY, v int) WITH (autovacuum_enabled = false);")
    fill = "INSERT INTO large SELECT i, 1 FROM generate_series"
    async with place.open() as world:
        world.sql(f"{fill}(1, {BULK_ROWS}) AS i; ANALYZE large")
        await world.seed()
        world.sql(f"{fill}({BULK_ROWS + 1}, {10 * BULK_ROWS}) AS i")
        await world.delta()
        world.sql(f"DELETE FROM large WHERE id > {BULK_ROWS}")
        with pytest.raises(SourceShrank):
            await world.target.sync(Guards())
        assert _mode_of_large(world) is TableMode.WHOLE


async def test_a_table_that_is_renamed_before_it_is_counted_comes_by_its_new_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sql("ANALYZE large; UPDATE large SET v = v + 1")
    renamed: list[str] = []

    def rename(planned: Sequence[PlannedTable], rows: Mapping[int, int]) -> list[int]:
        found = list_mostly_changed(planned, rows)
        if found and not renamed:
            renamed.append(world.sql("ALTER TABLE large RENAME TO huge"))
        return found

    monkeypatch.setattr(opening, "list_mostly_changed", rename)
    await world.sync()
    assert renamed
    world.sql("ALTER TABLE huge RENAME TO large")
    await world.sync()


async def test_a_reader_of_the_copy_is_not_waited_for(world: World) -> None:
    """Somebody reads the table on the standby, and goes on to: then every index takes its entries one by one."""
    files = _files(world)
    look = "SELECT sum(v), max(note) FROM large"
    reader: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(world.place.copy_dsn)
    try:
        async with reader.transaction(isolation="repeatable_read"):
            before = await reader.fetchrow(look)
            world.sql(CHANGES["updated"])
            await world.delta()
            assert await reader.fetchrow(look) == before
        assert await reader.fetchrow(look) != before
    finally:
        await reader.close()
    assert _files(world) == files


def _mode_of_large(world: World) -> TableMode:
    """Return how the last sync carried the table."""
    (mode,) = [table.mode for table in world.target.client.manifests[-1].tables if table.name == "large"]
    return mode


def _files(world: World) -> dict[str, str]:
    """Return the file of each index of the copy."""
    rows = (line.rsplit("|", 1) for line in world.place.copy_sql(FILES).splitlines())
    return dict(rows)
