"""Digests of tables: equal where the rows are, on every major; any difference of one row is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from lab.cluster import Cluster
from lab.database import Database
from shared.postgres.catalog import list_columns
from shared.postgres.digest import Digest, digest_rows
from shared.postgres.sessions import open_session
from tests.conftest import PairOfClusters
from tests.tier import in_full_tier

TABLE: Final = """
CREATE TABLE thing (
    id bigint, name text, code char(5), raw bytea, note jsonb, at timestamptz, cost float8, spans int8range[]
);
"""
ROWS: Final = """
INSERT INTO thing
SELECT i, nullif('name ' || i % 13, 'name 7'), chr(65 + i % 26), sha256(i::text::bytea),
       jsonb_build_object('i', i, 'b', NULL), timestamptz '2024-03-31 01:59:59.123456+01' + i * interval '1 hour',
       CASE i % 7 WHEN 0 THEN 'NaN' ELSE i / 3.0 END, ARRAY[int8range(i, i + 2), 'empty']
  FROM generate_series(1, 500) AS i ORDER BY {order};
"""


async def digest(database: Database, rows: str = "ONLY thing AS t") -> Digest:
    """Return the digest of the test's table."""
    async with open_session(database.dsn) as session:
        oid = await session.fetchval("SELECT 'public.thing'::regclass::oid")
        columns = (await list_columns(session, [oid]))[oid]
        await session.execute("SET search_path = public")
        return await digest_rows(session, rows, columns)


async def test_order_places_and_major_do_not_matter(
    pair_of_clusters: PairOfClusters, database: Callable[..., Database]
) -> None:
    one, other = database(pair_of_clusters.source), database(pair_of_clusters.target)
    one.psql(TABLE + ROWS.format(order="i"))
    columns = "ALTER TABLE thing DROP COLUMN id; ALTER TABLE thing RENAME TO old; " + TABLE
    other.psql("CREATE TABLE thing (id int); " + columns + ROWS.format(order="md5(i::text)"))
    whole = await digest(one)
    assert whole == await digest(other)
    halves = [await digest(other, f"ONLY thing AS t WHERE id % 2 = {rest}") for rest in (0, 1)]
    assert halves[0] + halves[1] == whole


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE thing SET name = '' WHERE id = 7 AND name IS NULL",
        "UPDATE thing SET raw = NULL WHERE id = 8",
        "UPDATE thing SET note = 'null' WHERE id = 9",
        "UPDATE thing SET cost = cost + 1e-9 WHERE id = 10",
        "UPDATE thing SET spans = spans || '[1,2)'::int8range WHERE id = 500",
        "DELETE FROM thing WHERE id = 11",
        "INSERT INTO thing SELECT * FROM thing WHERE id = 12",
        "UPDATE thing SET id = CASE id WHEN 1 THEN 2 ELSE 1 END WHERE id IN (1, 2)",
    ],
)
async def test_one_row_is_enough(cluster: Cluster, database: Callable[..., Database], change: str) -> None:
    place = database(cluster)
    place.psql(TABLE + ROWS.format(order="i"))
    before = await digest(place)
    place.psql(change)
    assert await digest(place) != before


@in_full_tier
async def test_values_of_hundreds_of_megabytes_have_a_digest(
    cluster: Cluster, database: Callable[..., Database]
) -> None:
    """Their text in one row would be over 1 GB."""
    place = database(cluster)
    place.psql(TABLE + "INSERT INTO thing (id, name, raw) SELECT 1, v, v::bytea FROM repeat('x', 300000000) AS v")
    assert (await digest(place)).row_count == 1


async def test_an_empty_table_has_one_too(cluster: Cluster, database: Callable[..., Database]) -> None:
    place = database(cluster)
    place.psql(TABLE)
    assert await digest(place) == Digest(0, "0")
