-- The small schema `warmstandby` that lives in every replicated database.

-- name: has_application_schema
-- Say whether the schema is there in its present form.
SELECT to_regclass('warmstandby.guard') IS NOT NULL AND to_regclass('warmstandby.cursor') IS NOT NULL
   AND to_regclass('warmstandby.lent_identity') IS NOT NULL AND to_regclass('warmstandby.definitions') IS NOT NULL
   AND to_regprocedure('warmstandby.cut_keys(bytea, integer[])') IS NOT NULL;

-- name: lock_installation
-- Let one installer at a time work in this database.
SELECT pg_advisory_xact_lock(hashtextextended('warmstandby.application', 0));

-- name: install_application_schema
-- Make the schema: guard row, cursor, and the function that cuts keys out of decoded messages.
CREATE SCHEMA IF NOT EXISTS warmstandby;

CREATE TABLE IF NOT EXISTS warmstandby.guard (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    accepts_apply  boolean NOT NULL
);
COMMENT ON TABLE warmstandby.guard IS 'Read FOR SHARE by each transaction that applies a sync; updated when the node starts or stops to serve.';
INSERT INTO warmstandby.guard (accepts_apply) VALUES (true) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS warmstandby.cursor (
    component    text        PRIMARY KEY,
    capture_id   text        NOT NULL,
    seq          bigint      NOT NULL,
    nonce        text        NOT NULL,
    source_node  text        NOT NULL,
    term_epoch   bigint      NOT NULL,
    seed_id      text        NOT NULL,
    snapshot_at  timestamptz NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    manifest     jsonb       NOT NULL
);
COMMENT ON TABLE warmstandby.cursor IS 'The sync point at which this copy stands, written in the transaction that applied the data.';

CREATE TABLE IF NOT EXISTS warmstandby.definitions (
    component  text   PRIMARY KEY,
    entries    bytea  NOT NULL
);
COMMENT ON TABLE warmstandby.definitions IS 'What this copy is made of, as the active node''s pg_dump named it; written with the cursor.';

CREATE TABLE IF NOT EXISTS warmstandby.lent_identity (
    relid     oid    PRIMARY KEY,
    identity  "char" NOT NULL
);
COMMENT ON TABLE warmstandby.lent_identity IS 'Tables whose replica identity the DDL guard set to FULL for a moment, and what it was.';

-- A pgoutput message (protocol 1) of an insert, update or delete: kind (1 byte), relation (4), then one or two tuples,
-- each a tag (K or O old, N new), a column count (2) and its columns: n (null), u (unchanged, not sent), or t, length (4), text.
-- Source of the format: PostgreSQL documentation, "Logical Replication Message Formats".
CREATE OR REPLACE FUNCTION warmstandby.cut_keys(message bytea, positions integer[]) RETURNS bytea[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
    at          integer := 8;
    last_wanted integer := positions[cardinality(positions)];
    is_lone     boolean := get_byte(message, 5) = 78 OR get_byte(message, 0) = 68;
    wanted      integer := 1;
    start       integer;
    tag         integer;
    key         bytea := '';
    old_key     bytea;
    old_chunks  bytea[] := '{}';
BEGIN
    -- The first tuple: the new row, or the old one of an update that changed its key or of a delete.
    FOR number IN 1 .. CASE WHEN is_lone THEN last_wanted ELSE (get_byte(message, 6) << 8) | get_byte(message, 7) END LOOP
        start := at;
        tag := get_byte(message, at);
        IF tag = 116 THEN
            at := at + 5 + ((get_byte(message, at + 1) << 24) | (get_byte(message, at + 2) << 16)
                          | (get_byte(message, at + 3) << 8) | get_byte(message, at + 4));
        ELSE
            at := at + 1;
        END IF;
        IF number = positions[wanted] THEN
            IF tag <> 116 THEN
                RETURN ARRAY[NULL::bytea];  -- a null is no key: the whole table is marked
            END IF;
            key := key || substr(message, start + 1, at - start);
            IF NOT is_lone THEN
                old_chunks := old_chunks || substr(message, start + 1, at - start);
            END IF;
            wanted := wanted + 1;
        END IF;
    END LOOP;
    IF wanted <= cardinality(positions) THEN
        RETURN ARRAY[NULL::bytea];
    ELSIF is_lone THEN
        RETURN ARRAY[key];
    END IF;
    -- The new row; a key column it does not send is unchanged.
    old_key := key;
    key := '';
    wanted := 1;
    at := at + 3;
    FOR number IN 1 .. last_wanted LOOP
        start := at;
        tag := get_byte(message, at);
        IF tag = 116 THEN
            at := at + 5 + ((get_byte(message, at + 1) << 24) | (get_byte(message, at + 2) << 16)
                          | (get_byte(message, at + 3) << 8) | get_byte(message, at + 4));
        ELSE
            at := at + 1;
        END IF;
        IF number = positions[wanted] THEN
            key := key || CASE tag WHEN 116 THEN substr(message, start + 1, at - start) WHEN 117 THEN old_chunks[wanted] END;
            wanted := wanted + 1;
        END IF;
    END LOOP;
    RETURN CASE WHEN key = old_key THEN ARRAY[key] ELSE ARRAY[old_key, key] END;
END
$$;
COMMENT ON FUNCTION warmstandby.cut_keys(bytea, integer[]) IS 'Cut the key columns at these positions out of a decoded change: one key, or old and new.';

-- name: set_application_guard
-- Say whether this database may be overwritten.
UPDATE warmstandby.guard SET accepts_apply = $1 WHERE accepts_apply <> $1;

-- name: read_standing
-- Return the sync point at which a copy stands.
SELECT capture_id, seq, nonce, source_node FROM warmstandby.cursor WHERE component = $1;

-- name: forget_cursor
-- Make a database nobody's copy: neither where it stands nor what it was made of counts any more.
WITH forgotten AS (DELETE FROM warmstandby.definitions WHERE component = $1)
DELETE FROM warmstandby.cursor WHERE component = $1;

-- name: set_node_guard
-- Say whether databases of this node may be swapped (in the node's own database).
UPDATE agent.guard SET accepts_apply = $1 WHERE accepts_apply <> $1;
