"""Keys, types of keys and replica identities that change, or go, while tables are captured. Values only."""

from __future__ import annotations

from typing import Final

from tests.replication.both_ways import Case, T, U

KEYS: Final = (
    Case(
        "key_type_changed",
        T,
        """
a ALTER TABLE t ALTER id TYPE bigint
a UPDATE t SET v = v + 1
a BEGIN
a ALTER TABLE t ALTER id TYPE text USING 'k' || id
a UPDATE t SET v = v + 1 WHERE id = 'k2'
a DELETE FROM t WHERE id = 'k1'
a COMMIT
a UPDATE t SET id = id || 'x'
""",
    ),
    Case(
        "key_widened",
        T,
        """
a ALTER TABLE t DROP CONSTRAINT t_pkey, ALTER v SET NOT NULL, ADD PRIMARY KEY (id, v)
a UPDATE t SET v = v + 1
a BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
a ALTER TABLE t ADD PRIMARY KEY (v, id)
a UPDATE t SET v = v + 1
a COMMIT
a DELETE FROM t WHERE id = 1
a ALTER TABLE t DROP CONSTRAINT t_pkey
a ALTER TABLE t ADD PRIMARY KEY (id)
a UPDATE t SET v = 7
""",
    ),
    Case(
        "key_dropped",
        T + U,
        """
a BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
a UPDATE t SET v = 4 WHERE id = 1
a DELETE FROM t WHERE id = 2
a INSERT INTO t VALUES (3, 3)
a COMMIT
a UPDATE t SET v = 5
b DELETE FROM t
a ALTER TABLE u DROP CONSTRAINT u_pkey
b UPDATE u SET v = 5
b MERGE INTO u USING (VALUES (1), (9)) AS n (id) ON u.id = n.id
  WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (n.id, 0)
b INSERT INTO u VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 1
""",
        errors=("42P10",),
    ),
    Case(
        "key_drop_taken_back",
        T,
        """
a BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey
a UPDATE t SET v = 4
a ROLLBACK
a UPDATE t SET v = 5 WHERE id = 1
a BEGIN
a SAVEPOINT one
a ALTER TABLE t DROP CONSTRAINT t_pkey
a UPDATE t SET v = 6
a ROLLBACK TO one
a UPDATE t SET v = 7 WHERE id = 2
a COMMIT
b DELETE FROM t WHERE id = 3
b INSERT INTO t VALUES (1, 1)
""",
        errors=("23505",),
    ),
    Case(
        "key_column_dropped",
        T + "CREATE TABLE w (a int, b int, c int, PRIMARY KEY (a, b)); INSERT INTO w VALUES (1, 1, 1);",
        """
a BEGIN
a ALTER TABLE t DROP COLUMN id
a UPDATE t SET v = v + 1
a COMMIT
a DELETE FROM t WHERE v = 2
a ALTER TABLE w DROP COLUMN b
b UPDATE w SET c = 2
b DELETE FROM w
""",
    ),
    Case(
        "key_goes_with_its_type",
        """
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE e (id mood PRIMARY KEY, v int); INSERT INTO e VALUES ('good', 1);
CREATE DOMAIN code AS text; CREATE TABLE d (id code PRIMARY KEY, v int); INSERT INTO d VALUES ('x', 1);
CREATE TYPE pair AS (a int, b int); CREATE TABLE p (id pair PRIMARY KEY, v int); INSERT INTO p VALUES ((1, 2), 1);
CREATE TABLE other (x int); CREATE TABLE o (id other PRIMARY KEY, v int); INSERT INTO o VALUES (ROW(1), 1);
CREATE TABLE x (id citext PRIMARY KEY, v int); INSERT INTO x VALUES ('X', 1);
CREATE TYPE strip AS (id int, v int); CREATE TABLE l OF strip (PRIMARY KEY (id)); INSERT INTO l VALUES (1, 1);
CREATE COLLATION here (locale = 'C'); CREATE TABLE c (id text COLLATE here PRIMARY KEY, v int);
INSERT INTO c VALUES ('c', 1);
""",
        """
a BEGIN
a DROP TYPE mood CASCADE
a UPDATE e SET v = 2
a COMMIT
b DELETE FROM e
a DROP DOMAIN code CASCADE
a UPDATE d SET v = 2
a DROP TYPE pair CASCADE
a UPDATE p SET v = 2
a DROP TABLE other CASCADE
a UPDATE o SET v = 2
s DROP EXTENSION citext CASCADE
a UPDATE x SET v = 2
a ALTER TYPE strip DROP ATTRIBUTE id CASCADE
a UPDATE l SET v = 2
a DROP COLLATION here CASCADE
a UPDATE c SET v = 2
""",
        before="CREATE EXTENSION citext SCHEMA public",
    ),
    Case(
        "key_goes_with_its_operators",
        "CREATE TABLE t (id int NOT NULL, v int); INSERT INTO t VALUES (1, 1); CREATE UNIQUE INDEX i ON t (id own_ops);"
        "ALTER TABLE t REPLICA IDENTITY USING INDEX i;",
        """
s DROP OPERATOR CLASS own_ops USING btree CASCADE
a UPDATE t SET v = 2
""",
        before="""
CREATE OPERATOR CLASS key_goes_with_its_operators.own_ops FOR TYPE int USING btree AS
OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int)
""",
    ),
    Case(
        "key_of_a_partitioned_table",
        """
CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id);
CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20); CREATE TABLE p22 PARTITION OF p2 DEFAULT;
INSERT INTO p SELECT i, i FROM generate_series(1, 29, 7) AS i;
""",
        """
a BEGIN
a ALTER TABLE p DROP CONSTRAINT p_pkey
a UPDATE p SET v = v + 1
a DELETE FROM p22 WHERE id = 29
a COMMIT
b UPDATE p SET id = 12 WHERE id = 1
b DELETE FROM p
""",
    ),
    Case(
        "key_of_a_parent",
        """
CREATE TABLE parent (id int PRIMARY KEY, v int); CREATE TABLE child (w int, PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (1, 1); INSERT INTO child VALUES (2, 2, 2); INSERT INTO heir VALUES (3, 3);
""",
        """
a ALTER TABLE ONLY parent DROP CONSTRAINT parent_pkey
a UPDATE parent SET v = v + 1
a ALTER TABLE parent DROP COLUMN id
a UPDATE parent SET v = v + 1
a DELETE FROM parent
""",
    ),
    Case(
        "identity_changed",
        "CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL, v int); CREATE UNIQUE INDEX by_k ON t (k);"
        "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);" + U,
        """
a ALTER TABLE t REPLICA IDENTITY NOTHING
a UPDATE t SET v = v + 1
a ALTER TABLE t REPLICA IDENTITY FULL
a UPDATE t SET v = v + 1
a ALTER TABLE t REPLICA IDENTITY USING INDEX by_k
a UPDATE t SET v = v + 1
a ALTER TABLE t ALTER k DROP NOT NULL
a DROP INDEX by_k
a UPDATE t SET v = v + 1
a ALTER TABLE t REPLICA IDENTITY DEFAULT
a DELETE FROM t WHERE id = 1
a BEGIN
a ALTER TABLE u REPLICA IDENTITY NOTHING
a UPDATE u SET v = v + 1
a COMMIT
a ALTER TABLE u REPLICA IDENTITY DEFAULT
a DELETE FROM u WHERE id = 2
""",
        errors=("42P16",),
    ),
    Case(
        "identity_index_dropped",
        "CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL, v int); CREATE UNIQUE INDEX by_k ON t (k);"
        "ALTER TABLE t REPLICA IDENTITY USING INDEX by_k; INSERT INTO t VALUES (1, 1, 1), (2, 2, 2);"
        "CREATE TABLE u (id int PRIMARY KEY, k int NOT NULL, v int); CREATE UNIQUE INDEX u_by_k ON u (k);"
        "ALTER TABLE u REPLICA IDENTITY USING INDEX u_by_k; INSERT INTO u VALUES (1, 1, 1), (2, 2, 2);",
        """
a BEGIN
a DROP INDEX by_k
a UPDATE t SET v = v + 1
a COMMIT
a DELETE FROM t WHERE id = 1
a DROP INDEX CONCURRENTLY u_by_k
a UPDATE u SET v = v + 1
a DELETE FROM u WHERE id = 1
""",
    ),
    Case(
        "key_with_generated_columns",
        "CREATE TABLE t (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED);"
        "CREATE TABLE u (id int PRIMARY KEY, v int); ALTER TABLE u REPLICA IDENTITY FULL;"
        "CREATE TABLE w (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED);"
        "CREATE TABLE x (id int PRIMARY KEY, v int, g int GENERATED ALWAYS AS (v * 2) STORED);"
        "ALTER TABLE x REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 1);"
        "INSERT INTO w VALUES (1, 1); INSERT INTO x VALUES (1, 1);",
        """
a ALTER TABLE t REPLICA IDENTITY FULL
a UPDATE t SET v = v + 1
a ALTER TABLE u ADD g int GENERATED ALWAYS AS (v * 2) STORED
a UPDATE u SET v = v + 1
a ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (g)
a UPDATE w SET v = v + 1
a UPDATE x SET v = v + 1
""",
    ),
    Case(
        "no_key_at_all",
        "CREATE TABLE n (v int); INSERT INTO n VALUES (1), (1); CREATE TABLE f (id int PRIMARY KEY DEFERRABLE, v int);"
        "INSERT INTO f VALUES (1, 1), (2, 2); CREATE UNLOGGED TABLE q (id int PRIMARY KEY, v int);"
        "INSERT INTO q VALUES (1, 1); CREATE TABLE k (id int NOT NULL UNIQUE, v int); INSERT INTO k VALUES (1, 1);",
        """
a UPDATE n SET v = v + 1
a DELETE FROM n WHERE v = 2
a UPDATE f SET id = 3 - id
a BEGIN
a SET CONSTRAINTS ALL DEFERRED
a UPDATE f SET id = 3 - id
a COMMIT
a UPDATE q SET v = 2
a UPDATE k SET v = 2
a ALTER TABLE n ADD id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY
a UPDATE n SET v = 3
a ALTER TABLE q SET LOGGED
a UPDATE q SET v = 3
a ALTER TABLE q SET UNLOGGED
a DELETE FROM q
""",
    ),
    Case(
        "key_made_deferrable",
        T,
        """
a BEGIN
a ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED
a UPDATE t SET id = 4 - id
a COMMIT
a UPDATE t SET id = 4 - id
""",
    ),
)
