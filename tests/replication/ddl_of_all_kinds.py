"""What else applications do to tables that are captured, and what they may have around them. Values only."""

from __future__ import annotations

from typing import Final

from tests.replication.both_ways import Case, T, U

OTHER_DDL: Final = (
    Case(
        "partitions_come_and_go",
        """
CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, i FROM generate_series(1, 19, 6) AS i;
CREATE TABLE loose (id int PRIMARY KEY, v int); INSERT INTO loose VALUES (25, 1);
CREATE TABLE keyless (id int NOT NULL, v int); INSERT INTO keyless VALUES (35, 1);
""",
        """
a ALTER TABLE p ATTACH PARTITION loose FOR VALUES FROM (20) TO (30)
a ALTER TABLE p ATTACH PARTITION keyless FOR VALUES FROM (30) TO (40)
a UPDATE p SET v = v + 1
a UPDATE p SET id = id + 10 WHERE id < 20
a ALTER TABLE p DETACH PARTITION p1
a UPDATE p1 SET v = 0
a BEGIN
a UPDATE p SET v = 3 WHERE id = 25
b ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY
a COMMIT
b UPDATE p2 SET v = v + 1
b CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (40) TO (50)
b INSERT INTO p VALUES (41, 1)
b UPDATE p SET v = v + 1
b DROP TABLE p
b DELETE FROM p1
""",
        waits=1,
    ),
    Case(
        "tables_made_renamed_moved_dropped",
        T + U,
        """
a CREATE TABLE made AS SELECT * FROM t
a SELECT id, v INTO made_too FROM t
a UPDATE made SET v = v + 1
a ALTER TABLE made ADD PRIMARY KEY (id)
a DELETE FROM made WHERE id = 1
a ALTER TABLE t RENAME TO t_new
a ALTER TABLE t_new RENAME id TO number
a ALTER TABLE t_new RENAME CONSTRAINT t_pkey TO t_key
a ALTER INDEX t_key RENAME TO t_first
a UPDATE t_new SET v = v + 1 WHERE number = 1
s CREATE SCHEMA attic AUTHORIZATION application
a ALTER TABLE t_new SET SCHEMA attic
a UPDATE attic.t_new SET number = number + 10
a BEGIN
a DROP TABLE u
a CREATE TABLE u (id int, v int)
a INSERT INTO u VALUES (1, 1)
a UPDATE u SET v = 2
a COMMIT
a DELETE FROM u
a DROP SCHEMA attic CASCADE
a CREATE TEMP TABLE once (id int PRIMARY KEY) ON COMMIT DROP
a CREATE TEMP TABLE often (id int PRIMARY KEY, v int)
a INSERT INTO often VALUES (1, 1)
a ALTER TABLE often DROP CONSTRAINT often_pkey
a UPDATE often SET v = 2
a DROP TABLE often
""",
    ),
    Case(
        "files_written_anew",
        T + "CREATE INDEX by_v ON t (v);" + U,
        """
a CLUSTER t USING t_pkey
a VACUUM FULL t
a REINDEX TABLE t
a REINDEX TABLE CONCURRENTLY t
a UPDATE t SET v = v + 1
a CREATE UNIQUE INDEX CONCURRENTLY fresh ON t (id)
a ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX fresh
a UPDATE t SET v = v + 1
a DROP INDEX CONCURRENTLY by_v
a BEGIN
a UPDATE u SET v = v + 1
b CREATE INDEX CONCURRENTLY late ON u (v)
a COMMIT
a ALTER TABLE t ALTER v TYPE bigint
a ALTER TABLE t ADD stamp timestamptz NOT NULL DEFAULT clock_timestamp()
a ALTER TABLE t DROP stamp
a DELETE FROM t WHERE id = 1
""",
        waits=1,
    ),
    Case(
        "triggers_and_truncate",
        T
        + U
        + """
ALTER TABLE u ADD FOREIGN KEY (v) REFERENCES t;
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO log (what) VALUES (tg_op || tg_level); RETURN NULL; END $$;
CREATE TRIGGER row_note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER truncate_note AFTER TRUNCATE ON t EXECUTE FUNCTION note();
""",
        """
a UPDATE t SET v = v + 1
a ALTER TABLE t DISABLE TRIGGER row_note
a UPDATE t SET v = v + 1
a ALTER TABLE t ENABLE ALWAYS TRIGGER row_note
a ALTER TABLE t DROP CONSTRAINT t_pkey
a ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE
a UPDATE t SET v = v + 1
a BEGIN
a TRUNCATE t, u
b DELETE FROM t
a ROLLBACK
a TRUNCATE t RESTART IDENTITY CASCADE
a SELECT count(*), max(what) FROM log
a TRUNCATE log RESTART IDENTITY
a UPDATE log SET what = ''
""",
        errors=("2BP01",),
        waits=1,
    ),
)

SURROUNDINGS: Final = (
    Case(
        "names_that_shadow",
        T
        + U
        + """
CREATE TABLE spy (who text);
CREATE FUNCTION spy(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO names_that_shadow.spy VALUES (current_user); RETURN $1; END $$;
CREATE FUNCTION format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT names_that_shadow.spy($1)';
CREATE FUNCTION format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT names_that_shadow.spy($1)';
CREATE FUNCTION pg_event_trigger_ddl_commands() RETURNS TABLE (objid oid, classid oid) LANGUAGE sql AS $$
    SELECT names_that_shadow.spy('')::oid, 0::oid $$;
CREATE FUNCTION is_same(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT names_that_shadow.spy('') IS NULL $$;
CREATE OPERATOR = (LEFTARG = name, RIGHTARG = text, FUNCTION = is_same);
CREATE FUNCTION is_same("char", text) RETURNS boolean LANGUAGE sql AS $$ SELECT names_that_shadow.spy('') IS NULL $$;
CREATE OPERATOR = (LEFTARG = "char", RIGHTARG = text, FUNCTION = is_same);
""",
        """
a SET search_path = names_that_shadow, pg_catalog
a CREATE TEMP VIEW pg_publication AS SELECT p.*, names_that_shadow.spy(p.pubname) FROM pg_catalog.pg_publication AS p
a CREATE TEMP VIEW pg_publication_rel AS SELECT p.*, names_that_shadow.spy('') FROM pg_catalog.pg_publication_rel AS p
a CREATE TEMP VIEW pg_class AS SELECT c.*, names_that_shadow.spy('') FROM pg_catalog.pg_class AS c
a CREATE TEMP VIEW pg_index AS SELECT i.*, names_that_shadow.spy('') FROM pg_catalog.pg_index AS i
a CREATE TEMP VIEW pg_inherits AS SELECT i.*, names_that_shadow.spy('') FROM pg_catalog.pg_inherits AS i
a ALTER TABLE t DROP CONSTRAINT t_pkey
a UPDATE names_that_shadow.t SET v = 4
b SET search_path = ''
b ALTER TABLE names_that_shadow.u DROP COLUMN id
b DELETE FROM names_that_shadow.u
b SHOW search_path
a SELECT who FROM names_that_shadow.spy
""",
    ),
    Case(
        "ddl_that_is_watched",
        T
        + U
        + """
CREATE TABLE seen (place int GENERATED ALWAYS AS IDENTITY, tag text, what text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ddl_that_is_watched.seen (tag, what)
    SELECT tg_tag, string_agg(object_identity, ', ' ORDER BY object_identity) FROM pg_event_trigger_ddl_commands();
END $$;
CREATE FUNCTION see_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ddl_that_is_watched.seen (tag, what)
    SELECT tg_tag, string_agg(object_identity, ', ' ORDER BY object_identity) FROM pg_event_trigger_dropped_objects();
END $$;
""",
        """
s CREATE EVENT TRIGGER a_watch ON ddl_command_end EXECUTE FUNCTION see()
s CREATE EVENT TRIGGER z_watch ON sql_drop EXECUTE FUNCTION see_drop()
a BEGIN
b BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
b ALTER TABLE u DROP CONSTRAINT u_pkey
a UPDATE t SET v = 4
b UPDATE u SET v = 4
a COMMIT
b COMMIT
s DROP EVENT TRIGGER a_watch
s DROP EVENT TRIGGER z_watch
a SELECT tag, what FROM seen ORDER BY place
""",
    ),
    Case(
        "ddl_as_a_replica",
        T + U,
        """
s SET session_replication_role = replica
s ALTER TABLE t DROP CONSTRAINT t_pkey
s UPDATE t SET v = 4
s SHOW session_replication_role
s BEGIN
s ALTER TABLE u DROP COLUMN id
s DELETE FROM u
s COMMIT
""",
    ),
    Case(
        "an_owner_of_everything_goes",
        T + U,
        """
s CREATE ROLE leaver_:database
s GRANT ALL ON SCHEMA an_owner_of_everything_goes TO leaver_:database
s CREATE TYPE mark AS ENUM ('x')
s ALTER TYPE mark OWNER TO leaver_:database
s ALTER TABLE t OWNER TO leaver_:database
s ALTER TABLE u ADD m mark
s ALTER TABLE u DROP CONSTRAINT u_pkey, ADD PRIMARY KEY (m, id)
s DELETE FROM u
s ALTER TABLE u DROP CONSTRAINT u_pkey, ADD PRIMARY KEY (m, id)
s DROP OWNED BY leaver_:database CASCADE
s INSERT INTO u VALUES (1, 1)
s UPDATE u SET v = 2
s DROP ROLE leaver_:database
""",
        errors=("23502",),
    ),
    Case(
        "schema_dropped",
        T + U,
        """
a DROP TABLE t
a DROP SCHEMA schema_dropped CASCADE
a SELECT to_regclass('schema_dropped.u') IS NULL
""",
    ),
)
