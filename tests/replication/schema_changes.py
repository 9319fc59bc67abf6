"""A database with an object of each kind, and what applications do to its definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.tier import rounds

LARGE: Final = rounds(5_000, 200_000)
BASE: Final = f"""
CREATE TABLE large (id int PRIMARY KEY, note text NOT NULL, amount numeric NOT NULL DEFAULT 0);
INSERT INTO large SELECT n, repeat('n', 50) || n, n FROM generate_series(1, {LARGE}) AS n;
CREATE TABLE city (id serial PRIMARY KEY, name text UNIQUE, note text, large_id int REFERENCES large);
INSERT INTO city (name, large_id) SELECT 'city ' || n, n FROM generate_series(1, 50) AS n;
CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE couple AS (a int, b text);
CREATE TABLE diary (id int PRIMARY KEY, felt mood NOT NULL, score positive, both_of couple);
INSERT INTO diary SELECT n, 'calm'::mood, n, ROW(n, 'x')::couple FROM generate_series(1, 20) AS n;
CREATE VIEW rich AS SELECT id, note FROM large WHERE amount > 10;
CREATE VIEW richer AS SELECT r.id, c.name FROM rich AS r JOIN city AS c ON c.large_id = r.id;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum(amount) AS amount FROM large;
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2';
CREATE FUNCTION cities() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM city; END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name; RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON city FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE reading (at int, sensor int, value float8, PRIMARY KEY (at, sensor)) PARTITION BY RANGE (at);
CREATE TABLE reading_low PARTITION OF reading FOR VALUES FROM (0) TO (100);
CREATE TABLE reading_high PARTITION OF reading FOR VALUES FROM (100) TO (200);
CREATE TABLE reading_old PARTITION OF reading FOR VALUES FROM (-100) TO (0);
ALTER TABLE reading DETACH PARTITION reading_old; -- from version 18 on it has the names of the other's NOT NULL
CREATE INDEX reading_sensor ON reading (sensor);
INSERT INTO reading SELECT n, n % 7, n FROM generate_series(0, 199) AS n;
CREATE SEQUENCE ticket;
CREATE FUNCTION nine() RETURNS int LANGUAGE sql AS 'SELECT 9';
CREATE TABLE spare (id int PRIMARY KEY, size int NOT NULL DEFAULT nine(), note int);
ALTER TABLE spare ADD CONSTRAINT positive CHECK (note > 0);
COMMENT ON CONSTRAINT positive ON spare IS 'said';
INSERT INTO spare SELECT n + 1, n, n FROM generate_series(1, 9) AS n;
CREATE SEQUENCE a_ticket OWNED BY spare.id;
CREATE TABLE named (id int PRIMARY KEY, size int NOT NULL DEFAULT 8);
INSERT INTO named SELECT n, n FROM generate_series(1, 9) AS n;
ALTER TABLE named RENAME TO named_renamed;
CREATE TABLE base (id int PRIMARY KEY, name text);
CREATE TABLE derived (PRIMARY KEY (id)) INHERITS (base);
INSERT INTO derived SELECT n, 'd' FROM generate_series(1, 10) AS n;
CREATE TABLE loop_a (id int PRIMARY KEY, b int); CREATE TABLE loop_b (id int PRIMARY KEY, a int REFERENCES loop_a);
ALTER TABLE loop_a ADD FOREIGN KEY (b) REFERENCES loop_b DEFERRABLE;
INSERT INTO loop_a VALUES (1); INSERT INTO loop_b VALUES (1, 1); UPDATE loop_a SET b = 1;
"""


@dataclass(frozen=True)
class Change:
    """What the application does, and whose rows are all brought for it."""

    name: str
    sql: str
    copied: frozenset[str] = frozenset()


def change(name: str, sql: str, *copied: str) -> Change:
    return Change(name, sql, frozenset(f"public.{table}" for table in copied))


_ALL: Final = (
    change(
        "column added",
        "ALTER TABLE large ADD COLUMN mayor text, ADD COLUMN mood mood; COMMENT ON COLUMN large.mayor IS 'who'; "
        "UPDATE large SET mayor = 'ann' WHERE id = 7; CREATE INDEX ON large (mayor)",
    ),
    change(
        "column added and its default later",
        "ALTER TABLE large ADD COLUMN size int; ALTER TABLE large ALTER COLUMN size SET DEFAULT 7; "
        "INSERT INTO large (id, note) VALUES (900000, 'x'); GRANT SELECT (size) ON large TO {role}",
    ),
    change(
        "column added whose default is gone",
        "ALTER TABLE city ADD x int DEFAULT 7; ALTER TABLE city ALTER x DROP DEFAULT",
        "city",
    ),
    change(
        "column added and dropped",
        "ALTER TABLE large ADD COLUMN size int DEFAULT 3; ALTER TABLE large DROP COLUMN size",
    ),
    change(
        "column dropped and made again",
        "ALTER TABLE city DROP COLUMN note; ALTER TABLE city ADD COLUMN note text",
        "city",
    ),
    change(
        "column added that is shown",
        "ALTER TABLE city ADD COLUMN mayor text; "
        "CREATE OR REPLACE VIEW richer AS SELECT r.id, name, mayor FROM rich AS r JOIN city AS c ON c.large_id = r.id",
        "city",
    ),
    change("column of a new type", "CREATE TYPE kind AS ENUM ('a'); ALTER TABLE large ADD COLUMN kind kind"),
    change("column added to partitions", "ALTER TABLE reading ADD COLUMN note text", "reading_low", "reading_high"),
    change(
        "column generated", "ALTER TABLE city ADD COLUMN loud text GENERATED ALWAYS AS (upper(name)) STORED", "city"
    ),
    change("column added with a default", "ALTER TABLE city ADD COLUMN size int NOT NULL DEFAULT 7", "city"),
    change("column dropped", "ALTER TABLE city DROP COLUMN note", "city"),
    change("column renamed", "ALTER TABLE city RENAME COLUMN name TO title", "city"),
    change("column of another type", "ALTER TABLE city ALTER COLUMN note TYPE varchar(80)", "city"),
    change("column rewritten", "ALTER TABLE diary ALTER COLUMN id TYPE bigint", "diary"),
    change("default changed", "ALTER TABLE city ALTER COLUMN name SET DEFAULT 'none'"),
    change("default dropped", "ALTER TABLE large ALTER COLUMN amount DROP DEFAULT"),
    change(
        "not null",
        "INSERT INTO city (name) VALUES (NULL); UPDATE city SET name = 'named' WHERE name IS NULL; "
        "ALTER TABLE city ALTER COLUMN name SET NOT NULL",
    ),
    change(
        "null allowed", "ALTER TABLE large ALTER COLUMN note DROP NOT NULL; UPDATE large SET note = NULL WHERE id = 1"
    ),
    change(
        "default of a sorted column",
        "ALTER TABLE diary ADD COLUMN plain text COLLATE \"C\"; ALTER TABLE diary ALTER COLUMN plain SET DEFAULT 'x'",
    ),
    change(
        "default of a column whose NOT NULL has a name",
        "ALTER TABLE named_renamed ALTER COLUMN size SET DEFAULT 9; ALTER TABLE named_renamed ADD COLUMN more int",
    ),
    change(
        "default that depends on its table",
        "CREATE OR REPLACE FUNCTION nine() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT count(*)::int FROM spare; END",
    ),
    change(
        "identity in the place of a default",
        "ALTER TABLE spare ALTER COLUMN size DROP DEFAULT; "
        "ALTER TABLE spare ALTER COLUMN size ADD GENERATED BY DEFAULT AS IDENTITY",
        "spare",
    ),
    change(
        "identity of a column that was allowed to be empty",
        "ALTER TABLE spare ALTER COLUMN note SET NOT NULL; "
        "ALTER TABLE spare ALTER COLUMN note ADD GENERATED BY DEFAULT AS IDENTITY",
        "spare",
    ),
    change(
        "sequence of an added column",
        "ALTER TABLE large ADD COLUMN number int; ALTER SEQUENCE ticket OWNED BY large.number",
    ),
    change(
        "owner of a table and its sequence",
        "ALTER TABLE spare OWNER TO {role}",
    ),
    change(
        "function that reads an added column",
        "ALTER TABLE large ADD COLUMN more int; "
        "CREATE OR REPLACE FUNCTION nine() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT max(more) FROM large; END",
    ),
    change(
        "check that is commented",
        "ALTER TABLE diary ADD CONSTRAINT c CHECK (id > 0); COMMENT ON CONSTRAINT c ON diary IS 'c'",
    ),
    change(
        "check made again under its comment",
        "ALTER TABLE spare DROP CONSTRAINT positive; ALTER TABLE spare ADD CONSTRAINT positive CHECK (id > 1); "
        "COMMENT ON CONSTRAINT positive ON spare IS 'said'",
    ),
    change("table made", "CREATE TABLE fresh AS SELECT n AS id FROM generate_series(1, 9) AS n", "fresh"),
    change("table made with key and view", "CREATE TABLE f2 (id int PRIMARY KEY); CREATE VIEW v2 AS TABLE f2"),
    change("table dropped", "DROP TABLE diary"),
    change("table renamed", "ALTER TABLE diary RENAME TO journal", "journal"),
    change(
        "table dropped and made again",
        "DROP TABLE diary; "
        "CREATE TABLE diary (id int PRIMARY KEY, felt mood NOT NULL, score positive, both_of couple); "
        "INSERT INTO diary VALUES (1, 'glad', 1, NULL)",
        "diary",
    ),
    change(
        "primary key changed",
        "ALTER TABLE diary DROP CONSTRAINT diary_pkey; ALTER TABLE diary ADD PRIMARY KEY (id, felt)",
        "diary",
    ),
    change("label added", "ALTER TYPE mood ADD VALUE 'sad' BEFORE 'glad'; UPDATE diary SET felt = 'glad' WHERE id < 3"),
    change("label renamed", "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'", "diary"),
    change("domain changed", "ALTER DOMAIN positive ADD CONSTRAINT small CHECK (VALUE < 1000)", "diary"),
    change("attribute added", "ALTER TYPE couple ADD ATTRIBUTE c int", "diary"),
    change("view changed", "CREATE OR REPLACE VIEW rich AS SELECT id, note, amount FROM large WHERE amount > 20"),
    change("view dropped", "DROP VIEW richer"),
    change("materialized view made", "CREATE MATERIALIZED VIEW m2 AS SELECT max(id) FROM large WITH DATA"),
    change(
        "materialized view changed", "DROP MATERIALIZED VIEW totals; CREATE MATERIALIZED VIEW totals AS SELECT 1 AS n"
    ),
    change("function changed", "CREATE OR REPLACE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT i + i'"),
    change(
        "function made and dropped", "DROP FUNCTION cities(); CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1"
    ),
    change(
        "function of another result",
        "DROP FUNCTION twice(int); CREATE FUNCTION twice(i int) RETURNS bigint LANGUAGE sql RETURN i",
    ),
    change(
        "trigger changed",
        "DROP TRIGGER touched ON city; CREATE TRIGGER t2 AFTER INSERT ON city EXECUTE FUNCTION touch()",
    ),
    change("trigger off", "ALTER TABLE city DISABLE TRIGGER touched"),
    change("index made", "CREATE INDEX large_note ON large (note) WHERE amount > 5"),
    change("index dropped", "DROP INDEX reading_sensor"),
    change("index of a partition changed", "ALTER INDEX reading_low_sensor_idx SET (fillfactor = 60)"),
    change("index of a partition renamed", "ALTER INDEX reading_low_sensor_idx RENAME TO low_sensor"),
    change(
        "key of a partition changed",
        "ALTER INDEX reading_low_pkey SET (fillfactor = 60)",
        "reading_low",
        "reading_high",
    ),
    change(
        "key of a partition changed that leaves",
        "ALTER TABLE reading DETACH PARTITION reading_low; ALTER INDEX reading_low_pkey SET (fillfactor = 60)",
        "reading_low",
        "reading_high",
    ),
    change(
        "key of a partitioned table dropped",
        "ALTER TABLE reading DROP CONSTRAINT reading_pkey",
        "reading_low",
        "reading_high",
    ),
    change("index of a partitioned table renamed", "ALTER INDEX reading_sensor RENAME TO by_sensor"),
    change("unique constraint", "ALTER TABLE large ADD UNIQUE (note)"),
    change(
        "check constraint",
        "UPDATE city SET name = 'short' WHERE id = 1; UPDATE city SET name = 'tall' WHERE id > 1 AND name = 'short'; "
        "ALTER TABLE city ADD CHECK (name <> 'city 1')",
    ),
    change("foreign key dropped", "ALTER TABLE city DROP CONSTRAINT city_large_id_fkey"),
    change("foreign key made", "ALTER TABLE diary ADD FOREIGN KEY (id) REFERENCES large"),
    change(
        "partition made",
        "CREATE TABLE reading_new PARTITION OF reading FOR VALUES FROM (200) TO (300); "
        "INSERT INTO reading VALUES (250, 1, 1)",
        "reading_new",
    ),
    change("partition detached", "ALTER TABLE reading DETACH PARTITION reading_low"),
    change("partition dropped", "DROP TABLE reading_high"),
    change(
        "partition attached",
        "CREATE TABLE ready (at int NOT NULL, sensor int NOT NULL, value float8); "
        "INSERT INTO ready VALUES (400, 1, 1); "
        "ALTER TABLE reading ATTACH PARTITION ready FOR VALUES FROM (400) TO (500)",
        "ready",
    ),
    change("column of a partitioned table", "ALTER TABLE reading ADD COLUMN unit text", "reading_low", "reading_high"),
    change("column of a parent", "ALTER TABLE base ADD COLUMN extra int DEFAULT 1", "derived"),
    change(
        "schema made",
        "CREATE SCHEMA side; CREATE TABLE side.thing (id int PRIMARY KEY); CREATE TABLE side.log (line text)",
    ),
    change("extension", "CREATE EXTENSION hstore; ALTER TABLE diary ADD COLUMN tags hstore"),
    change("sequence changed", "ALTER SEQUENCE ticket INCREMENT BY 5 MAXVALUE 1000 CYCLE; SELECT nextval('ticket')"),
    change("sequence of a column", "ALTER SEQUENCE city_id_seq INCREMENT BY 3; INSERT INTO city (name) VALUES ('new')"),
    change("sequence of another type", "ALTER SEQUENCE city_id_seq AS bigint; ALTER SEQUENCE a_ticket AS smallint"),
    change("identity", "ALTER TABLE diary ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY", "diary"),
    change(
        "comments",
        "COMMENT ON TABLE large IS 'big'; COMMENT ON COLUMN city.name IS 'it''s; a IS ''name'''; "
        "COMMENT ON VIEW rich IS 'r'",
    ),
    change(
        "rights",
        "GRANT SELECT ON large TO {role}; GRANT SELECT (name), UPDATE (name) ON city TO {role}; "
        "REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC",
    ),
    change(
        "rights that were given before",
        "GRANT SELECT ON city TO {role}; GRANT UPDATE (name) ON city TO {role}",
    ),
    change(
        "default rights",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}; CREATE TABLE given (id int PRIMARY KEY)",
    ),
    change(
        "owner",
        "ALTER TABLE large OWNER TO {role}; ALTER TABLE city OWNER TO {role}; "
        "ALTER FUNCTION twice(int) OWNER TO {role}; ALTER VIEW rich OWNER TO {role}",
    ),
    change("row security", "ALTER TABLE large ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON large USING (id < 9)"),
    change("rule", "CREATE RULE quiet AS ON DELETE TO diary DO INSTEAD NOTHING"),
    change("extended statistics", "CREATE STATISTICS joint ON id, amount FROM large"),
    change("replica identity", "ALTER TABLE diary REPLICA IDENTITY FULL", "diary"),
    change("clustered", "ALTER TABLE large CLUSTER ON large_pkey"),
    change(
        "key that includes more",
        "ALTER TABLE diary DROP CONSTRAINT diary_pkey; ALTER TABLE diary ADD PRIMARY KEY (id) INCLUDE (score)",
        "diary",
    ),
    change("cycle of references", "ALTER TABLE loop_a ADD COLUMN note text NOT NULL DEFAULT ''", "loop_a"),
    change(
        "event trigger",
        "CREATE FUNCTION heard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "CREATE EVENT TRIGGER ears ON ddl_command_end EXECUTE FUNCTION heard()",
    ),
    change(
        "storage parameters", "ALTER TABLE large SET (fillfactor = 70); ALTER TABLE city SET (autovacuum_enabled = off)"
    ),
)

# One of each kind in the normal tier.
_SOME: Final = frozenset(
    {
        "column added",
        "table made",
        "table dropped and made again",
        "primary key changed",
        "label added",
        "domain changed",
        "view changed",
        "materialized view made",
        "function changed",
        "trigger changed",
        "index made",
        "foreign key dropped",
        "partition detached",
        "partition attached",
        "column of a partitioned table",
        "sequence of a column",
        "comments",
        "rights",
        "default rights",
        "cycle of references",
    }
)
CHANGES: Final = rounds(tuple(one for one in _ALL if one.name in _SOME), _ALL)
