"""Migrations beside other migrations, beside other work, and in places where they are not expected. Values only."""

from __future__ import annotations

from typing import Final

from tests.replication.both_ways import Case, T, U

MIGRATIONS: Final = (
    Case(
        "two_plain_migrations_at_once",
        T + U,
        """
a BEGIN
a ALTER TABLE t ADD w int
b BEGIN
b ALTER TABLE u ADD w int
a ALTER TABLE t ALTER w SET DEFAULT 3
b UPDATE u SET w = 1
a UPDATE t SET w = 1
a COMMIT
b COMMIT
""",
    ),
    Case(
        "two_keys_dropped_at_once",
        T + U + "CREATE TABLE w (id int PRIMARY KEY, v int); INSERT INTO w VALUES (1, 1);",
        """
a BEGIN
b BEGIN
c BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
b ALTER TABLE u DROP CONSTRAINT u_pkey
c ALTER TABLE w REPLICA IDENTITY NOTHING
a UPDATE t SET v = 4
b UPDATE u SET v = 4
c DELETE FROM w
b COMMIT
a COMMIT
c COMMIT
a UPDATE u SET v = 5
b DELETE FROM t
c INSERT INTO w VALUES (2, 2)
c UPDATE w SET v = 3
""",
    ),
    Case(
        "two_keys_changed_at_once",
        T + U,
        """
a BEGIN
b BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
b ALTER TABLE u DROP CONSTRAINT u_pkey
b UPDATE u SET v = id
a UPDATE t SET v = id
b ALTER TABLE u ADD PRIMARY KEY (v, id)
a ALTER TABLE t ADD PRIMARY KEY (v, id)
a UPDATE t SET v = v + 1
b UPDATE u SET v = v + 1
a COMMIT
b COMMIT
a UPDATE t SET v = v + 1
b UPDATE u SET v = v + 1
""",
    ),
    Case(
        "migrations_that_wait_for_each_other",
        T + U,
        """
a BEGIN
b BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
b ALTER TABLE u DROP CONSTRAINT u_pkey
a UPDATE u SET v = 4
b UPDATE u SET v = 5
b COMMIT
a UPDATE t SET v = 4
a COMMIT
""",
        waits=1,
    ),
    Case(
        "migrations_that_deadlock",
        T + U,
        """
a BEGIN
b BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
b ALTER TABLE u DROP CONSTRAINT u_pkey
a UPDATE u SET v = 4
b UPDATE t SET v = 5
a ROLLBACK
b COMMIT
a UPDATE t SET v = 6
a UPDATE u SET v = 6
""",
        errors=("40P01",),
        waits=2,
    ),
    Case(
        "a_migration_and_the_work_beside_it",
        T + U,
        """
a BEGIN
a UPDATE t SET v = 4 WHERE id = 1
b ALTER TABLE t DROP CONSTRAINT t_pkey
c UPDATE t SET v = 5 WHERE id = 2
d UPDATE u SET v = 5
a COMMIT
""",
        errors=(),
        waits=2,
    ),
    Case(
        "a_migration_that_gives_up",
        T,
        """
a BEGIN
a SELECT v FROM t WHERE id = 1
b SET lock_timeout = '300ms'
b ALTER TABLE t DROP CONSTRAINT t_pkey
b SHOW lock_timeout
b SET statement_timeout = '300ms'
b SET lock_timeout = 0
b ALTER TABLE t DROP COLUMN id
b SHOW statement_timeout
a COMMIT
b ALTER TABLE t DROP COLUMN id
b UPDATE t SET v = 1
b SHOW lock_timeout
b SHOW search_path
b SHOW session_replication_role
""",
        errors=("55P03", "57014"),
        waits=2,
    ),
    Case(
        "sql_made_by_functions",
        T
        + U
        + """
CREATE TABLE w1 (id int PRIMARY KEY, v int); CREATE TABLE w2 (id int PRIMARY KEY, v int); INSERT INTO w1 VALUES (1, 1);
CREATE FUNCTION migrate(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE changed int;
BEGIN
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', name, name || '_pkey');
    EXECUTE format('UPDATE %I SET v = v + 1', name);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN name || ' ' || changed;
END $$;
""",
        """
a SELECT migrate('t')
a DO $$ DECLARE name text; BEGIN
     FOR name IN SELECT relname FROM pg_class WHERE relname LIKE 'w_' AND relkind = 'r'
                  AND relnamespace = 'sql_made_by_functions'::regnamespace ORDER BY 1 LOOP
         PERFORM migrate(name);
     END LOOP; END $$
a UPDATE w1 SET v = 9
a SELECT migrate('u') FROM pg_class WHERE relname = 'pg_class'
a SELECT migrate('u')
b DELETE FROM u
a DO $$ BEGIN
     ALTER TABLE t ADD PRIMARY KEY (id); UPDATE t SET v = 0; RAISE 'no';
     EXCEPTION WHEN raise_exception THEN NULL; END $$
a UPDATE t SET v = 5
""",
        errors=("42704",),
    ),
    Case(
        "prepared_migrations",
        T + U + "CREATE TABLE w (id int PRIMARY KEY, v int); INSERT INTO w VALUES (1, 1);",
        """
a BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
a UPDATE t SET v = 4
a PREPARE TRANSACTION 'one :database'
b BEGIN
b ALTER TABLE u DROP CONSTRAINT u_pkey
b UPDATE u SET v = 4
b PREPARE TRANSACTION 'two :database'
a ALTER TABLE w DROP COLUMN id
a UPDATE w SET v = 4
a COMMIT PREPARED 'one :database'
a UPDATE t SET v = 5
a ROLLBACK PREPARED 'two :database'
a UPDATE u SET v = 5
a INSERT INTO u VALUES (1, 1)
""",
        errors=("23505",),
    ),
)

BESIDE_A_READER: Final = Case(
    "beside_a_reader",
    T + U + "CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY); CREATE SEQUENCE s;",
    """
r reads t
a UPDATE t SET v = v + 1
d UPDATE u SET v = v + 1
d ALTER TABLE u DROP CONSTRAINT u_pkey
d UPDATE u SET v = v + 1
d VACUUM FULL u
d ALTER SEQUENCE s INCREMENT 5 RESTART WITH 7
d ALTER TABLE i ALTER id RESTART WITH 100
d TRUNCATE i RESTART IDENTITY
d DROP SEQUENCE s
d CREATE INDEX CONCURRENTLY late ON u (v)
b ALTER TABLE t ADD w int
c UPDATE t SET v = v + 1
r ends
c DELETE FROM t
""",
    waits=3,
)
