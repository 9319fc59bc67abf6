"""What captured keys do not tell of, and the words by which people are told of what a delta leaves behind."""

from __future__ import annotations

from typing import Final

from tests.replication.case import Case

LEFT_BEHIND: Final = Case(
    name="left behind",
    setup="""
        CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('a'), ('a'), (NULL);
        CREATE TABLE only_unique (k int UNIQUE, v text); INSERT INTO only_unique VALUES (NULL, 'a'), (1, 'b');
        CREATE TABLE deferrable_key (id int PRIMARY KEY DEFERRABLE, v text); INSERT INTO deferrable_key VALUES (1, 'a');
        CREATE TABLE generated_key (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY);
        INSERT INTO generated_key VALUES (1), (2);
        CREATE TABLE no_identity (id int PRIMARY KEY, v text); ALTER TABLE no_identity REPLICA IDENTITY NOTHING;
        INSERT INTO no_identity VALUES (1, 'a');
        CREATE TABLE whole_row (v text); ALTER TABLE whole_row REPLICA IDENTITY FULL;
        INSERT INTO whole_row VALUES ('a'), ('a');
        CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
        CREATE TABLE only_computed (v int GENERATED ALWAYS AS (7) STORED); INSERT INTO only_computed DEFAULT VALUES;
        CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY, v text); INSERT INTO fleeting VALUES (1, 'a');
        CREATE TABLE event (at date NOT NULL, v text) PARTITION BY RANGE (at);
        CREATE TABLE event_default PARTITION OF event DEFAULT;
        CREATE TABLE event_2024 PARTITION OF event (PRIMARY KEY (at)) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        INSERT INTO event VALUES ('2024-01-01', 'kept'), ('2030-01-01', 'left'), ('2030-01-01', 'left');
        CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (v text) INHERITS (parent);
        INSERT INTO child VALUES (1, 'a'), (1, 'b');
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, max(v) AS v FROM keyless;
        CREATE MATERIALIZED VIEW counted_again AS SELECT n + 1 AS n FROM counted;
        CREATE MATERIALIZED VIEW empty_view AS SELECT 1 AS n WITH NO DATA;
        CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
        CREATE FOREIGN TABLE far (id int, v text) SERVER nowhere;
        SELECT lo_from_bytea(424242, decode(repeat('00ff5c', 10000), 'hex')), lo_from_bytea(424243, '');
        COMMENT ON LARGE OBJECT 424242 IS 'large';""",
    rounds=(
        """
        INSERT INTO keyless VALUES ('b'); UPDATE only_unique SET v = 'c' WHERE k IS NULL;
        UPDATE deferrable_key SET id = 2; UPDATE generated_key SET a = 3 WHERE a = 2; DELETE FROM no_identity;
        INSERT INTO whole_row VALUES ('a'); INSERT INTO no_columns DEFAULT VALUES;
        INSERT INTO only_computed DEFAULT VALUES; UPDATE fleeting SET v = 'b'; UPDATE event SET v = 'moved';
        UPDATE child SET v = NULL WHERE v = 'b'; REFRESH MATERIALIZED VIEW counted;
        SELECT lo_put(424242, 3, 'changed'), lo_from_bytea(424244, 'new');""",
        """
        DELETE FROM keyless WHERE v = 'a'; TRUNCATE only_unique, fleeting, no_columns; DELETE FROM child;
        REFRESH MATERIALIZED VIEW counted; REFRESH MATERIALIZED VIEW counted_again;
        REFRESH MATERIALIZED VIEW empty_view; SELECT lo_unlink(424243);""",
        """
        INSERT INTO only_unique VALUES (NULL, 'a'), (NULL, 'a'); INSERT INTO fleeting VALUES (1, 'again');
        UPDATE event SET at = '2024-05-05' WHERE at = (SELECT max(at) FROM event) AND ctid = (
            SELECT min(ctid) FROM event_default); REFRESH MATERIALIZED VIEW empty_view WITH NO DATA;
        COMMENT ON LARGE OBJECT 424242 IS 'changed';""",
    ),
)
FULL_WITH_GENERATED: Final = Case(
    name="left behind from 18 on",
    setup="""
        CREATE TABLE full_generated (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);
        ALTER TABLE full_generated REPLICA IDENTITY FULL;
        INSERT INTO full_generated VALUES (1, 1);""",
    rounds=(
        "UPDATE full_generated SET n = 2",
        "INSERT INTO full_generated VALUES (2, 2)",
        "DELETE FROM full_generated WHERE id = 1",
    ),
    since=18,
)
CASES: Final = (LEFT_BEHIND, FULL_WITH_GENERATED)


def expected_reasons() -> dict[str, str]:
    """Return what people must be told of, by name."""
    return {f"{LEFT_BEHIND.name}.far": "foreign table"}
