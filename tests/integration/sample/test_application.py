"""The generator makes the database that it promises."""

from __future__ import annotations

import pytest

from lab.cluster import Cluster
from lab.database import Database
from sample.application import install, measure_size
from sample.comparison import compare_databases

ROWS = 4000  # as in conftest.py


@pytest.mark.parametrize("rows", [2000, 20_000])
async def test_the_number_of_rows_is_the_one_asked_for(sample_cluster: Cluster, rows: int) -> None:
    """Whatever the size, all tables together hold it within 5 %."""
    database = Database.create(sample_cluster)
    try:
        installation = await install(database.dsn, rows=rows, seed=11)
        assert rows * 0.95 <= installation.size.rows <= rows * 1.05
        assert installation.size.size_bytes > 5_000_000
        assert installation.seconds > 0
    finally:
        database.drop()


async def test_every_table_has_rows_and_a_primary_key(installed: Database) -> None:
    """An empty table would be equal on both sides without any work; a table without a key would not be replicated."""
    assert (await measure_size(installed.dsn)).tables >= 30
    tables = installed.psql(
        """SELECT oid::regclass FROM pg_class c
           WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^pg_|^information_schema'"""
    ).split("\n")
    empty = [table for table in tables if installed.psql(f"SELECT count(*) FROM ONLY {table}") == "0"]
    assert empty == []
    without_key = installed.psql(
        """SELECT oid::regclass FROM pg_class c
           WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^pg_|^information_schema'
           AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"""
    )
    assert without_key == ""


def test_the_shapes_that_replication_finds_hard_are_there(installed: Database) -> None:
    """The demo shows little if its tables are simple: each kind of shape is counted in the catalog."""
    shapes = installed.psql(
        """SELECT concat_ws(' ',
               (SELECT count(*) FROM pg_attribute WHERE attgenerated = 's') > 0,
               (SELECT count(*) FROM pg_attribute WHERE attidentity = 'a') > 0,
               (SELECT count(*) FROM pg_attribute WHERE attidentity = 'd') > 0,
               (SELECT count(*) FROM pg_attribute WHERE attname ~ '[^[:ascii:]]') > 0,
               (SELECT count(*) FROM pg_partitioned_table WHERE partstrat = 'h') > 0,
               (SELECT count(*) FROM pg_partitioned_table p WHERE NOT EXISTS
                   (SELECT FROM pg_index WHERE indrelid = p.partrelid AND indisprimary)) > 0,
               (SELECT count(*) FROM pg_class t JOIN pg_class m ON m.reltoastrelid = t.oid WHERE t.relpages > 0) > 0,
               (SELECT count(*) FROM pg_sequence WHERE seqincrement < 0) > 0,
               (SELECT count(*) FROM pg_sequence WHERE seqcycle) > 0,
               (SELECT count(*) FROM pg_constraint WHERE contype = 'u' AND condeferrable) > 0,
               (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) > 0,
               (SELECT count(*) FROM pg_matviews WHERE ispopulated) > 0)"""
    )
    assert shapes == " ".join(["t"] * 12)


async def test_the_same_seed_makes_the_same_rows(sample_cluster: Cluster, installed: Database) -> None:
    """A failed demo can be repeated."""
    again, other = Database.create(sample_cluster), Database.create(sample_cluster)
    try:
        await install(again.dsn, rows=ROWS, seed=3)
        await install(other.dsn, rows=ROWS, seed=4)
        assert (await compare_databases(installed.dsn, again.dsn)).describe().startswith("equal")
        assert not (await compare_databases(installed.dsn, other.dsn)).equal
    finally:
        again.drop()
        other.drop()
