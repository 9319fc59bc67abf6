"""Traps of replicating by keys: what changed arrives, once, and nothing else is touched. One source, deltas only."""

from __future__ import annotations

import asyncpg
import pytest

from tests.replication.world import World

SCHEMA = r"""
CREATE EXTENSION citext;
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL);
INSERT INTO account SELECT n, 'owner ' || n, 100 FROM generate_series(1, 200) AS n;

CREATE TABLE by_number (key numeric PRIMARY KEY, note text);
INSERT INTO by_number VALUES (1.0, 'one'), (2.00, 'two'), (3, 'three');
CREATE TABLE by_word (key citext PRIMARY KEY, note text);
INSERT INTO by_word VALUES ('Straße', 'one'), ('word', 'two'), ('UPPER', 'three');
CREATE TABLE by_number_and_unique (key numeric PRIMARY KEY, code text UNIQUE);
INSERT INTO by_number_and_unique VALUES (1.0, 'a'), (2.00, 'b'), (3, 'c');

CREATE TABLE by_long_key (key text PRIMARY KEY, note int);
INSERT INTO by_long_key SELECT string_agg(md5(n || '/' || m), '' ORDER BY m), n
  FROM generate_series(1, 5) AS n, generate_series(1, 62) AS m GROUP BY n;
INSERT INTO by_long_key SELECT repeat(chr(96 + n), 100000), 10 + n FROM generate_series(1, 3) AS n;
INSERT INTO by_long_key  -- compressed, too long for its page: it lies outside of the row, and still fits the index
SELECT repeat(string_agg(md5(n || '!' || m), '' ORDER BY m), 20), 20 + n
  FROM generate_series(1, 2) AS n, generate_series(1, 55) AS m GROUP BY n;

CREATE TABLE by_settings (
    at timestamptz, day date, span interval, ratio double precision, raw bytea, price money, kind regclass,
    note text, PRIMARY KEY (at, day, span, ratio, raw, price, kind)
);
INSERT INTO by_settings
SELECT timestamptz '2026-03-29 00:30:00+00' + n * interval '1 hour', date '2026-02-01' + n,
       make_interval(years => 1, days => -n, secs => n / 7.0), n / 3.0, decode(md5(n::text), 'hex'),
       (n * 1234.56)::numeric::money, 'public.account', 'before'
  FROM generate_series(1, 20) AS n;

CREATE TABLE by_collation (key text COLLATE "POSIX" PRIMARY KEY, note text);
INSERT INTO by_collation SELECT 'key ' || n, 'before' FROM generate_series(1, 20) AS n;

CREATE TABLE seat (id int PRIMARY KEY, place int NOT NULL UNIQUE, guest text);
INSERT INTO seat SELECT n, n, 'guest ' || n FROM generate_series(1, 20) AS n;

CREATE TABLE leaf (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE leaf_north PARTITION OF leaf FOR VALUES IN ('north');
CREATE TABLE leaf_south PARTITION OF leaf FOR VALUES IN ('south') PARTITION BY RANGE (id);
CREATE TABLE leaf_south_low PARTITION OF leaf_south FOR VALUES FROM (0) TO (100);
CREATE TABLE leaf_south_high PARTITION OF leaf_south FOR VALUES FROM (100) TO (1000);
CREATE UNIQUE INDEX ON leaf_north (note);
INSERT INTO leaf SELECT n, (ARRAY['north', 'south'])[1 + n % 2], 'row ' || n FROM generate_series(1, 200) AS n;

CREATE TABLE by_full_row (note text, a int, b text, PRIMARY KEY (a, b));
ALTER TABLE by_full_row REPLICA IDENTITY FULL;
CREATE TABLE by_index (note text, a int NOT NULL, b text NOT NULL, id int PRIMARY KEY);
CREATE UNIQUE INDEX by_index_identity ON by_index (b, a);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_identity;
INSERT INTO by_full_row SELECT 'row ' || n, n, md5(n::text) FROM generate_series(1, 20) AS n;
INSERT INTO by_index SELECT 'row ' || n, n, md5(n::text), 100 - n FROM generate_series(1, 20) AS n;
"""


async def begin(world: World) -> asyncpg.Connection[asyncpg.Record]:
    """Open a session of the application inside a transaction."""
    session = await asyncpg.connect(world.place.dsn)
    await session.execute("BEGIN")
    return session


async def test_a_lower_transaction_id_that_commits_later_is_not_lost(world: World) -> None:
    """Ids do not tell the order of commits: the older transaction's rows come with the next sync."""
    older = await begin(world)
    await older.execute("UPDATE account SET balance = balance - 1 WHERE id = 1")
    world.sql("UPDATE account SET balance = balance - 2 WHERE id = 2")
    await world.delta()
    await older.execute("COMMIT")
    await older.close()
    assert (await world.delta()).rows == 1


@pytest.mark.parametrize("is_redelivered", [False, True], ids=["drained once", "drained again"])
async def test_of_two_writers_of_one_key_the_last_in_commit_order_counts(world: World, is_redelivered: bool) -> None:
    """A snapshot may see the higher id and not the lower one, which then writes the same key."""
    older = await begin(world)
    await older.fetchval("SELECT pg_current_xact_id()")
    world.sql("UPDATE account SET balance = 1 WHERE id = 10")
    world.target.client.confirms = False
    await world.delta()
    await older.execute("UPDATE account SET balance = 2 WHERE id = 10")
    await older.execute("COMMIT")
    await older.close()
    if is_redelivered:
        world.sql("UPDATE account SET balance = 3 WHERE id = 11")
    await world.delta()
    world.target.client.confirms = True
    await world.delta()


async def test_numbers_equal_but_written_differently_are_one_key(world: World) -> None:
    """1.0 and 1.00 are one key to the index and two to the log: shipped once, and the copy takes the new spelling."""
    world.sql(
        """
        UPDATE by_number SET key = 1.00 WHERE key = 1;
        UPDATE by_number SET note = 'again' WHERE key = 2;
        DELETE FROM by_number WHERE key = 3; INSERT INTO by_number VALUES (3.000, 'three again');
        UPDATE by_number_and_unique SET key = 1.00 WHERE key = 1;
        DELETE FROM by_number_and_unique WHERE key = 3; INSERT INTO by_number_and_unique VALUES (3.000, 'c');
        """
    )
    await world.delta()
    world.sql("DELETE FROM by_number WHERE key = 1; DELETE FROM by_number_and_unique")
    await world.delta()


async def test_words_equal_but_written_differently_are_one_key(world: World) -> None:
    """The same with citext, whose equality lives in a schema of the application."""
    world.sql(
        """
        UPDATE by_word SET key = 'STRAßE' WHERE key = 'straße';
        DELETE FROM by_word WHERE key = 'WORD'; INSERT INTO by_word VALUES ('Word', 'again');
        UPDATE by_word SET note = 'again' WHERE key = 'upper';
        """
    )
    await world.delta()
    world.sql("DELETE FROM by_word WHERE key = 'wORD'")
    await world.delta()


@pytest.mark.parametrize(
    "keys",
    ["note < 10", "note BETWEEN 10 AND 19", "note > 19"],
    ids=["2,000 bytes", "100 kB that compress", "stored outside of the row"],
)
async def test_long_keys(world: World, keys: str) -> None:
    """A key goes into the spool whole, and is found there by its digest."""
    for change in (
        f"UPDATE by_long_key SET note = note WHERE {keys}",
        f"UPDATE by_long_key SET key = key || 'x' WHERE {keys}",
        f"DELETE FROM by_long_key WHERE {keys} AND note % 10 <> 1",
    ):
        world.sql(change)
        assert (await world.delta()).keys > 0


async def test_text_of_keys_does_not_depend_on_settings_of_database_or_role(world: World) -> None:
    """Each of these settings changes how a key is written, on the source, and on the copy too after a seed."""
    name = world.place.component
    for who in (f"DATABASE {name}", f"ROLE postgres IN DATABASE {name}"):
        for setting in (
            "DateStyle = 'German, DMY'",
            "IntervalStyle = 'sql_standard'",
            "extra_float_digits = -5",
            "bytea_output = 'escape'",
            "TimeZone = 'Asia/Kolkata'",
            "lc_monetary = 'C.utf8'",
            "search_path = 'public'",
        ):
            world.sql(f"ALTER {who} SET {setting}")
    await world.source.capture.drainer.close()
    world.sql("UPDATE by_settings SET note = 'after' WHERE ratio < 2")
    assert (await world.delta()).rows == 5
    world.sql(
        """
        UPDATE by_settings SET at = at + interval '1 microsecond' WHERE ratio BETWEEN 2 AND 3;
        DELETE FROM by_settings WHERE ratio > 5;
        UPDATE by_settings SET ratio = ratio + 1e-15 WHERE ratio BETWEEN 3 AND 4;
        """
    )
    await world.delta()


async def test_a_key_column_of_another_collation(world: World) -> None:
    """Keys are compared as the key's index compares them."""
    world.sql(
        "UPDATE by_collation SET note = 'after' WHERE key < 'key 2'; DELETE FROM by_collation WHERE key > 'key 5'"
    )
    await world.delta()


async def test_a_swap_of_unique_values(world: World) -> None:
    """Row by row the copy would meet its own unique index."""
    world.sql(
        """
        BEGIN;
        UPDATE seat SET place = -1 WHERE id = 1; UPDATE seat SET place = 1 WHERE id = 2;
        UPDATE seat SET place = 2 WHERE id = 1;
        COMMIT;
        """
    )
    await world.delta()
    world.sql("BEGIN; UPDATE seat SET place = -place; UPDATE seat SET place = place + 21; COMMIT")
    assert (await world.delta()).rows == 40, "each of 20 rows deleted and inserted"


async def test_moves_from_leaf_to_leaf(world: World) -> None:
    """A row that moves is a delete in one table and an insert in another: both in one commit, whatever the order."""
    world.sql("UPDATE leaf SET region = 'south' WHERE region = 'north' AND id % 4 = 0")
    await world.delta()
    world.sql("UPDATE leaf SET region = 'north' WHERE region = 'south' AND id BETWEEN 90 AND 110")
    await world.delta()
    world.sql("UPDATE leaf SET id = id + 500 WHERE region = 'south' AND id < 20; DELETE FROM leaf WHERE id = 31")
    await world.delta()


@pytest.mark.parametrize("separator", [";", "; COMMIT; BEGIN;"], ids=["one transaction", "three transactions"])
async def test_a_key_that_changes_and_comes_back(world: World, separator: str) -> None:
    """k1 → k2 → k1: k2 must not stay on the copy."""
    steps = separator.join(
        ["UPDATE account SET id = 1001 WHERE id = 20", "UPDATE account SET id = 20, owner = 'back' WHERE id = 1001"]
    )
    world.sql(f"BEGIN; {steps}; COMMIT")
    await world.delta()
    world.sql("UPDATE account SET id = 1001 WHERE id = 20")
    await world.delta()
    world.sql("UPDATE account SET id = 20 WHERE id = 1001")
    await world.delta()


async def test_keys_that_change_places(world: World) -> None:
    """Two rows swap their keys, and a ring of three."""
    world.sql(
        """
        BEGIN;
        UPDATE account SET id = -id WHERE id IN (30, 31); UPDATE account SET id = 61 + id WHERE id < 0;
        UPDATE account SET id = -id WHERE id BETWEEN 40 AND 42; UPDATE account SET id = 40 + (2 - id) % 3 WHERE id < 0;
        COMMIT;
        """
    )
    await world.delta()


async def test_a_row_deleted_and_inserted_again(world: World) -> None:
    """The last word counts, also when the new row is the old one."""
    world.sql("DELETE FROM account WHERE id = 50; INSERT INTO account VALUES (50, 'owner 50', 100)")
    await world.delta()
    world.sql("DELETE FROM account WHERE id = 50")
    await world.delta()
    world.sql(
        "INSERT INTO account VALUES (50, 'new', 0);"
        "DELETE FROM account WHERE id = 51; INSERT INTO account VALUES (51, 'new', 1)"
    )
    await world.delta()
    world.sql("INSERT INTO account VALUES (5000, 'short', 0); DELETE FROM account WHERE id = 5000")
    await world.delta()


async def test_rolled_back_prepared_and_nested_transactions(world: World) -> None:
    """What was rolled back does not arrive, what was prepared arrives when it is committed."""
    world.sql(
        """
        BEGIN;
        UPDATE account SET balance = 7 WHERE id = 60;
        SAVEPOINT inner_one; UPDATE account SET balance = 8 WHERE id = 61; ROLLBACK TO inner_one;
        UPDATE account SET balance = 9 WHERE id = 62;
        COMMIT;
        BEGIN; UPDATE account SET balance = 7 WHERE id = 63; ROLLBACK;
        BEGIN; UPDATE account SET balance = 7, id = 1064 WHERE id = 64; PREPARE TRANSACTION 'trap';
        """
    )
    assert (await world.delta()).rows == 2
    world.sql("UPDATE account SET balance = 7 WHERE id = 65")
    await world.delta()
    world.sql("COMMIT PREPARED 'trap'")
    assert (await world.delta()).rows == 2


async def test_identity_by_the_full_row_and_by_an_index_that_is_not_the_key(world: World) -> None:
    """The replica identity, not the primary key, tells what the log carries."""
    world.sql(
        """
        UPDATE by_full_row SET note = NULL WHERE a < 5; UPDATE by_full_row SET b = b || 'x' WHERE a = 5;
        DELETE FROM by_full_row WHERE a = 6; INSERT INTO by_full_row VALUES (NULL, 100, 'new');
        UPDATE by_index SET note = NULL WHERE a < 5; UPDATE by_index SET b = b || 'x' WHERE a = 5;
        UPDATE by_index SET id = id + 1000 WHERE a BETWEEN 10 AND 12; DELETE FROM by_index WHERE a = 6;
        BEGIN;
        UPDATE by_index SET id = -id WHERE a IN (7, 8); UPDATE by_index SET id = 185 + id WHERE a IN (7, 8);
        COMMIT;
        """
    )
    await world.delta()


async def test_truncate_between_two_syncs(world: World) -> None:
    """A truncated table comes over whole, with what was inserted since."""
    world.sql("TRUNCATE by_number; INSERT INTO by_number VALUES (5, 'five'); TRUNCATE leaf_south_low")
    await world.delta()
    world.sql(
        "BEGIN; TRUNCATE leaf; ROLLBACK; BEGIN; INSERT INTO by_number VALUES (6, 'six'); TRUNCATE by_number; COMMIT"
    )
    await world.delta()


@pytest.mark.parametrize("command", ["VACUUM FULL account", "CLUSTER account USING account_pkey"])
async def test_a_table_written_anew_without_a_change_is_not_copied_whole(world: World, command: str) -> None:
    """VACUUM FULL and CLUSTER give a table a new file and change nothing in it."""
    world.sql(f"UPDATE account SET balance = 1 WHERE id = 70; {command}")
    outcome = await world.delta()
    assert outcome.keys <= 1
    assert outcome.rows <= 1
    assert (await world.delta()).rows == 0
