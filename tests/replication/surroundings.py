"""Tables with something around them: partitions, parents, triggers, rules, sequences, names that must be quoted."""

from __future__ import annotations

from typing import Final

from tests.replication.case import Case

FAMILIES: Final = (
    Case(
        name="partitions",
        setup="""
            CREATE TABLE event (at date NOT NULL, region text, id int, body text, PRIMARY KEY (at, region,
                id)) PARTITION BY RANGE (at);
            CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
            CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
                PARTITION BY LIST (region);
            CREATE TABLE event_2024_eu PARTITION OF event_2024 FOR VALUES IN ('eu', 'uk') PARTITION BY HASH (id);
            CREATE TABLE event_2024_eu_0 PARTITION OF event_2024_eu FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE event_2024_eu_1 PARTITION OF event_2024_eu FOR VALUES WITH (MODULUS 2, REMAINDER 1);
            CREATE TABLE event_2024_rest PARTITION OF event_2024 DEFAULT;
            CREATE TABLE event_later (body text, id int NOT NULL, gone int, region text NOT NULL, at date NOT NULL);
            ALTER TABLE event_later DROP gone;
            ALTER TABLE event ATTACH PARTITION event_later FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
            INSERT INTO event SELECT date '2023-06-01' + n * 20, (ARRAY['eu', 'uk', 'us'])[n % 3 + 1], n,
                'body' FROM generate_series(1, 60) AS n;""",
        rounds=(
            "UPDATE event SET body = 'x' WHERE id IN (1, 60);",
            """UPDATE event SET at = at + 365 WHERE id % 2 = 0; UPDATE event SET region = 'us' WHERE id % 5 = 0;
               UPDATE event SET id = id + 1000 WHERE region = 'eu';
               DELETE FROM event WHERE id % 7 = 0;
               INSERT INTO event VALUES ('2024-02-29', 'ä', 1, 'new'), ('infinity', 'eu', 2, 'new');""",
            """TRUNCATE event_2024_eu; UPDATE event SET at = '2024-05-05' WHERE at > '2024-09-01';
               INSERT INTO event SELECT '2024-06-01', 'eu', n FROM generate_series(2000, 2009) AS n;""",
        ),
        single=("partitions.event_old", "partitions.event_later"),
    ),
    Case(
        name="truncated partitions",
        setup="""
            CREATE TABLE part (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
            CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (1) TO (10);
            CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (20);
            INSERT INTO part SELECT n, 'v' FROM generate_series(1, 19) AS n;""",
        rounds=(
            "UPDATE part SET v = 'x' WHERE id IN (1, 19);",
            "TRUNCATE part; INSERT INTO part VALUES (1, 'again');",
            "TRUNCATE part_1; INSERT INTO part VALUES (12, 'only');",
        ),
        single=("truncated partitions.part_1", "truncated partitions.part_2"),
    ),
    Case(
        name="temporal key",
        setup="""
            CREATE TABLE stay (room int, guest text, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
            INSERT INTO stay SELECT n % 2, 'g' || n, daterange('2024-01-01'::date + n * 10,
                '2024-01-01'::date + n * 10 + 9) FROM generate_series(1, 6) AS n;""",
        rounds=(
            "UPDATE stay SET guest = 'x' WHERE guest = 'g1';",
            """UPDATE stay SET during = daterange(lower(during) - 1, upper(during) - 3) WHERE guest IN ('x', 'g2');
               UPDATE stay SET room = 9 WHERE guest = 'g3';
               UPDATE stay SET during = daterange(lower(during), lower(during) + 2) WHERE guest = 'g4';
               INSERT INTO stay SELECT room, 'split', daterange(upper(during),
                   upper(during) + 5) FROM stay WHERE guest = 'g4';
               DELETE FROM stay WHERE guest = 'g5';""",
            "TRUNCATE stay; INSERT INTO stay VALUES (1, 'again', '(,)');",
        ),
        single=("temporal key.stay",),
        since=18,
        needs="btree_gist",
    ),
    Case(
        name="inheritance",
        setup="""
            CREATE TABLE parent (id int PRIMARY KEY, v text);
            CREATE TABLE child (extra text, PRIMARY KEY (id)) INHERITS (parent);
            CREATE TABLE base (a int PRIMARY KEY, v text);
            CREATE TABLE grown (own citext, PRIMARY KEY (own)) INHERITS (base);
            ALTER TABLE base ADD b int NOT NULL DEFAULT 0;
            ALTER TABLE grown DROP CONSTRAINT grown_pkey, ADD PRIMARY KEY (b, own);
            INSERT INTO parent SELECT n, 'parent' FROM generate_series(1, 6) AS n;
            INSERT INTO child SELECT n, 'child', 'x' FROM generate_series(1, 6) AS n;
            INSERT INTO grown SELECT n, 'v', 'Own' || n, n FROM generate_series(1, 6) AS n;""",
        rounds=(
            "UPDATE parent SET v = 'x' WHERE id = 1; UPDATE grown SET v = 'x' WHERE a = 1;",
            """UPDATE parent SET id = id + 10 WHERE id < 3; DELETE FROM ONLY parent WHERE id = 5;
               INSERT INTO child VALUES (5, 'both', 'y') ON CONFLICT DO NOTHING;
               UPDATE grown SET own = 'OWN2' WHERE a = 2; UPDATE grown SET b = -b WHERE a = 3;
               DELETE FROM grown WHERE a = 5; INSERT INTO grown VALUES (7, '', 'Ä', 7);""",
            """TRUNCATE ONLY parent; DELETE FROM child WHERE id = 6; TRUNCATE grown;
               INSERT INTO grown VALUES (1, 'v', 'again', 1);""",
        ),
        single=("inheritance.parent", "inheritance.child", "inheritance.grown"),
        needs="citext",
    ),
)

NAMED: Final = (
    Case(
        name="Größe \"of\" a.b 'c' %s {x} \\d $1 漢",
        setup="""
            CREATE TYPE "Größe ""t"" {x}" AS ENUM ('a', 'b'); CREATE SEQUENCE "Seq. ""ü"" {s}";
            CREATE TABLE "select" ("from" int, "WHERE" text, "order" int, "group by" "Größe ""t"" {x}",
                PRIMARY KEY ("order", "from"));
            CREATE TABLE "Upper.Dot" ("a.b" text PRIMARY KEY, "ÄÖ ""q"" {}" int, "new
line" int);
            CREATE TABLE "'; DROP TABLE x; --" ("{0} {name} %s %% $1 \\" int,
                "Größe 漢字" "Größe ""t"" {x}" PRIMARY KEY);
            INSERT INTO "select" SELECT n, 'w', n, 'a' FROM generate_series(1, 6) AS n;
            INSERT INTO "Upper.Dot" SELECT 'k' || n, n, n FROM generate_series(1, 6) AS n;
            INSERT INTO "'; DROP TABLE x; --" VALUES (1, 'a'); SELECT nextval('"Seq. ""ü"" {s}"');""",
        rounds=(
            """UPDATE "select" SET "WHERE" = 'x' WHERE "from" = 1; UPDATE "Upper.Dot" SET "new
line" = 9 WHERE "a.b" = 'k1'; UPDATE "'; DROP TABLE x; --" SET "{0} {name} %s %% $1 \\" = 2;
               SELECT nextval('"Seq. ""ü"" {s}"');""",
            """UPDATE "select" SET "from" = - "from", "group by" = 'b' WHERE "order" < 3;
               DELETE FROM "select" WHERE "order" = 5; DELETE FROM "Upper.Dot" WHERE "a.b" = 'k2';
               UPDATE "'; DROP TABLE x; --" SET "Größe 漢字" = 'b';""",
            """TRUNCATE "select", "Upper.Dot", "'; DROP TABLE x; --";
               INSERT INTO "select" VALUES (1, 'again', 1, 'b');""",
        ),
        single=("Größe \"of\" a.b 'c' %s {x} \\d $1 漢.select", "Größe \"of\" a.b 'c' %s {x} \\d $1 漢.Upper.Dot"),
    ),
    Case(
        name="table",
        setup="""CREATE TABLE "user" ("user" int PRIMARY KEY, "current_user" text);
           CREATE TABLE "warmstandby" (cursor int PRIMARY KEY, guard text);
            INSERT INTO "user" SELECT n, 'u' FROM generate_series(1, 6) AS n;
            INSERT INTO "warmstandby" SELECT n, 'u' FROM generate_series(1, 6) AS n;
            CREATE PUBLICATION "their own" FOR TABLE "user";""",
        rounds=(
            """UPDATE "user" SET "current_user" = 'x' WHERE "user" = 1;
               UPDATE warmstandby SET guard = 'x' WHERE cursor = 1;""",
            """UPDATE "user" SET "user" = - "user"; DELETE FROM warmstandby WHERE cursor = 2;""",
            """TRUNCATE "user"; INSERT INTO "user" VALUES (1, '');""",
        ),
        single=("table.user", "table.warmstandby"),
    ),
    Case(
        name="a",
        schemas=("a", "a.b"),
        setup="""
            CREATE TABLE a."b.c" (id int PRIMARY KEY, v int); CREATE TABLE "a.b".c (id int PRIMARY KEY, v int);
            INSERT INTO a."b.c" SELECT n, n FROM generate_series(1, 6) AS n;
            INSERT INTO "a.b".c SELECT n, n FROM generate_series(1, 9) AS n;""",
        rounds=(
            """UPDATE a."b.c" SET v = 0 WHERE id = 1; UPDATE "a.b".c SET v = 0 WHERE id = 9;""",
            """UPDATE a."b.c" SET id = -id; DELETE FROM "a.b".c WHERE id = 1;""",
            """TRUNCATE "a.b".c; DELETE FROM a."b.c" WHERE id = -6;""",
        ),
    ),
)

SECURED: Final = (
    Case(
        name="row security",
        setup="""
            CREATE TABLE note (id int PRIMARY KEY, v text);
            INSERT INTO note SELECT n, 'v' FROM generate_series(1, 6) AS n;
            INSERT INTO note VALUES (100, 'hidden'); CREATE POLICY shown ON note USING (v <> 'hidden');
            ALTER TABLE note ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;""",
        rounds=(
            "UPDATE note SET v = 'x' WHERE id = 1;",
            """ALTER TABLE note NO FORCE ROW LEVEL SECURITY; UPDATE note SET id = -id WHERE id IN (2, 100);
               INSERT INTO note VALUES (101, 'hidden'); DELETE FROM note WHERE id = 3;
               ALTER TABLE note FORCE ROW LEVEL SECURITY;""",
            "TRUNCATE note; INSERT INTO note VALUES (1, 'again');",
        ),
        single=("row security.note",),
    ),
)

FIRING: Final = (
    Case(
        name="triggers",
        setup="""
            CREATE TABLE log (id serial PRIMARY KEY, what text);
            CREATE TABLE watched (v text, id int PRIMARY KEY, stamp text);
            CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO triggers.log (what) VALUES (tg_name || ' ' || tg_op); RETURN NULL; END $$;
            CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stamp := coalesce(NEW.stamp,
                '') || tg_name; RETURN NEW; END $$;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
            CREATE TRIGGER ordinary AFTER INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION note();
            CREATE TRIGGER "Always ""on"" {}" AFTER INSERT OR UPDATE OR DELETE ON watched
                FOR EACH ROW EXECUTE FUNCTION note();
            CREATE TRIGGER always_statement AFTER INSERT OR UPDATE OR DELETE ON watched
                FOR EACH STATEMENT EXECUTE FUNCTION note();
            CREATE TRIGGER always_truncate AFTER TRUNCATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION note();
            CREATE TRIGGER on_replica BEFORE INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION stamp();
            CREATE TRIGGER on_replica_refused BEFORE INSERT OR UPDATE OR DELETE ON watched
                FOR EACH ROW EXECUTE FUNCTION refuse();
            CREATE TRIGGER switched_off BEFORE INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION refuse();
            ALTER TABLE watched ENABLE ALWAYS TRIGGER "Always ""on"" {}", ENABLE ALWAYS TRIGGER always_statement,
                ENABLE ALWAYS TRIGGER always_truncate,
                  ENABLE REPLICA TRIGGER on_replica, ENABLE REPLICA TRIGGER on_replica_refused,
                      DISABLE TRIGGER switched_off;
            INSERT INTO watched SELECT 'v', n FROM generate_series(1, 6) AS n;
            CREATE TABLE split (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
            CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (10);
            CREATE TABLE split_2 PARTITION OF split DEFAULT;
            CREATE TRIGGER of_all AFTER INSERT OR UPDATE OR DELETE ON split FOR EACH ROW EXECUTE FUNCTION note();
            ALTER TABLE split ENABLE ALWAYS TRIGGER of_all;
            INSERT INTO split SELECT n, n FROM generate_series(1, 20) AS n;""",
        rounds=(
            "UPDATE watched SET v = 'x' WHERE id = 1; UPDATE split SET v = 0 WHERE id IN (1, 20);",
            """UPDATE watched SET id = id + 10 WHERE id < 3; DELETE FROM watched WHERE id = 5;
               INSERT INTO watched VALUES ('new', 7); UPDATE split SET id = id + 100 WHERE id < 3;
            DELETE FROM split WHERE id = 15;""",
            "TRUNCATE watched; INSERT INTO watched VALUES ('again', 1); UPDATE log SET what = upper(what);",
        ),
        single=("triggers.watched", "triggers.split_1", "triggers.split_2"),
    ),
    Case(
        name="rules",
        setup="""
            CREATE TABLE log (id serial PRIMARY KEY, what text); CREATE TABLE ruled (id int PRIMARY KEY, v text);
            CREATE RULE on_insert AS ON INSERT TO ruled DO ALSO INSERT INTO log (what) VALUES ('insert ' || NEW.id);
            CREATE RULE on_update AS ON UPDATE TO ruled DO ALSO INSERT INTO log (what) VALUES ('update ' || NEW.id);
            CREATE RULE "on ""delete"" {}" AS ON DELETE TO ruled
                DO ALSO INSERT INTO log (what) VALUES ('delete ' || OLD.id);
            CREATE RULE kept AS ON DELETE TO ruled WHERE OLD.v = 'kept' DO INSTEAD NOTHING;
            CREATE RULE never AS ON INSERT TO ruled DO INSTEAD NOTHING;
            ALTER TABLE ruled ENABLE ALWAYS RULE on_insert; ALTER TABLE ruled ENABLE ALWAYS RULE "on ""delete"" {}";
            ALTER TABLE ruled ENABLE ALWAYS RULE kept; ALTER TABLE ruled ENABLE REPLICA RULE never;
            INSERT INTO ruled SELECT n, 'v' FROM generate_series(1, 6) AS n;""",
        rounds=(
            "UPDATE ruled SET v = 'kept' WHERE id = 1;",
            """UPDATE ruled SET id = id + 10 WHERE id < 3; DELETE FROM ruled WHERE id > 4;
               INSERT INTO ruled VALUES (7, 'kept'); UPDATE ruled SET v = 'w' WHERE id = 11;""",
            "TRUNCATE ruled; INSERT INTO ruled VALUES (1, 'again');",
        ),
        single=("rules.ruled",),
    ),
)

SEQUENCES: Final = (
    Case(
        name="sequences",
        setup="""
            CREATE SEQUENCE untouched; CREATE SEQUENCE started START 7; CREATE SEQUENCE put_back;
            CREATE SEQUENCE down INCREMENT -2 MAXVALUE 100 MINVALUE -100 START 50;
            CREATE SEQUENCE round_and_round MAXVALUE 5 CYCLE; CREATE SEQUENCE stocked CACHE 20;
            CREATE SEQUENCE small AS smallint MINVALUE -5; CREATE SEQUENCE far MINVALUE -9223372036854775808;
            CREATE SEQUENCE "Owned. ""by"" {}";
            CREATE TABLE owner (id int PRIMARY KEY DEFAULT nextval('"Owned. ""by"" {}"'), s serial, v text);
            ALTER SEQUENCE "Owned. ""by"" {}" OWNED BY owner.id;
            CREATE UNLOGGED SEQUENCE fleeting;
            SELECT setval('put_back', 40), setval('put_back', 30, false), nextval('stocked'), nextval('fleeting');
            SELECT nextval('down') FROM generate_series(1, 3);
            INSERT INTO owner (v) SELECT 'v' FROM generate_series(1, 6);""",
        rounds=(
            """SELECT nextval('started'), nextval('down'), nextval('stocked'), setval('put_back', 60, false),
                   nextval('fleeting'); SELECT nextval('round_and_round') FROM generate_series(1, 4);
            UPDATE owner SET v = 'x' WHERE id = 1;""",
            """SELECT nextval('round_and_round') FROM generate_series(1, 3);
               SELECT setval('put_back', 10), setval('far', -9223372036854775808), nextval('small');
            INSERT INTO owner (v) VALUES ('new');""",
            """ALTER SEQUENCE started RESTART;
               SELECT setval('down', -99), setval('small', 32767), setval('far', 9223372036854775807),
                setval('stocked', 5, false); TRUNCATE owner RESTART IDENTITY;""",
        ),
        single=("sequences.owner",),
    ),
)

CASES: Final[tuple[Case, ...]] = (*FAMILIES, *NAMED, *SECURED, *FIRING, *SEQUENCES)
