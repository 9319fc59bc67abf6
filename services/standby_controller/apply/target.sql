-- The standby's database: cursor, guard, staging and merge. Names and column lists are put in, values are bound.

-- name: lock_component
-- Let one controller at a time write to a component; true when the lock is ours.
SELECT pg_try_advisory_lock(hashtextextended('warmstandby.apply.' || $1, 0));

-- name: has_cursor
-- Say whether the database was made by a seed.
SELECT to_regclass('warmstandby.cursor') IS NOT NULL;

-- name: read_cursor
-- Return where the copy stands.
SELECT capture_id, seq, nonce, source_node, term_epoch, seed_id, snapshot_at, applied_at, manifest::text AS manifest
  FROM warmstandby.cursor
 WHERE component = $1;

-- name: is_superuser
-- Say whether our role is a superuser.
SELECT rolsuper FROM pg_roles WHERE rolname = current_user;

-- name: apply_as_replica
-- Let no trigger, rule or foreign key of the copy act: the active node's already did.
SET LOCAL session_replication_role = replica;

-- name: hold_guard
-- Read the guard row and keep it as it is until the end of the transaction.
SELECT accepts_apply FROM warmstandby.guard FOR SHARE;

-- name: hold_node_guard
-- Read the node's guard row and keep it as it is until the end of the transaction.
SELECT accepts_apply FROM agent.guard FOR SHARE;

-- name: write_cursor
-- Record where the copy stands.
INSERT INTO warmstandby.cursor (component, capture_id, seq, nonce, source_node, term_epoch, seed_id, snapshot_at, manifest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb)
ON CONFLICT (component) DO UPDATE
   SET capture_id = excluded.capture_id, seq = excluded.seq, nonce = excluded.nonce, source_node = excluded.source_node,
       term_epoch = excluded.term_epoch, seed_id = excluded.seed_id, snapshot_at = excluded.snapshot_at,
       applied_at = clock_timestamp(), manifest = excluded.manifest;

-- name: move_cursor
-- Move the cursor from the point the delta was asked from; no row when somebody else moved it.
UPDATE warmstandby.cursor
   SET seq = $4, nonce = $5, term_epoch = $6, snapshot_at = $7, applied_at = clock_timestamp(), manifest = $8::text::jsonb
 WHERE component = $1 AND seq = $2 AND nonce = $3
RETURNING seq;

-- name: may_use_origin
-- Say whether our role may mark what it writes.
SELECT has_function_privilege('pg_replication_origin_create(text)', 'EXECUTE')
   AND has_function_privilege('pg_replication_origin_session_setup(text)', 'EXECUTE');

-- name: find_origin
-- Return whether the replication origin exists.
SELECT EXISTS (SELECT FROM pg_replication_origin WHERE roname = $1);

-- name: create_origin
-- Make the replication origin.
SELECT pg_replication_origin_create($1);

-- name: use_origin
-- Mark everything this session writes as coming from the other node.
SELECT pg_replication_origin_session_setup($1);

-- name: list_traits
-- Return what decides how a table is merged: rules, and those rules and triggers that fire on replicated changes too.
WITH firing AS (
    SELECT t.tgrelid AS table_oid, format('TRIGGER %I', t.tgname) AS what, t.tgenabled AS enabled
      FROM pg_trigger AS t
     WHERE t.tgrelid = ANY ($1::oid[]) AND NOT t.tgisinternal
    UNION ALL
    SELECT r.ev_class, format('RULE %I', r.rulename), r.ev_enabled
      FROM pg_rewrite AS r
     WHERE r.ev_class = ANY ($1::oid[])
)
SELECT c.oid, c.relhasrules AS has_rules,
       (SELECT coalesce(array_agg(f.what ORDER BY f.what) FILTER (WHERE f.enabled = 'A'), '{}')
          FROM firing AS f WHERE f.table_oid = c.oid) AS always_firing,
       (SELECT coalesce(array_agg(f.what ORDER BY f.what) FILTER (WHERE f.enabled = 'R'), '{}')
          FROM firing AS f WHERE f.table_oid = c.oid) AS replica_firing
  FROM pg_class AS c
 WHERE c.oid = ANY ($1::oid[]);

-- name: use_memory
-- Give the session room to land and join in memory.
SELECT set_config('temp_buffers', '64MB', false), set_config('work_mem', '64MB', false);

-- name: stage_raw_keys
-- Make the landing table of a table's changed keys.
CREATE TEMP TABLE {raw} (key bytea NOT NULL);

-- name: stage_keys
-- Read the changed keys as values of the key's types.
CREATE TEMP TABLE {keys} AS {selection};
DROP TABLE {raw};

-- name: stage_rows
-- Make the landing table of a table's rows.
CREATE TEMP TABLE {rows} AS SELECT {columns} FROM ONLY {table} WITH NO DATA;

-- name: analyze
-- Let the planner know a landing table.
ANALYZE {table};

-- name: delete_keys
-- Delete every row with a changed key.
DELETE FROM ONLY {table} AS t USING pg_temp.{keys} AS k WHERE {match};

-- name: delete_vanished
-- Delete the rows whose key has no row any more.
DELETE FROM ONLY {table} AS t USING pg_temp.{keys} AS k
 WHERE {match} AND NOT EXISTS (SELECT FROM pg_temp.{rows} AS r WHERE {row_match});

-- name: delete_all
-- Empty a table; readers keep seeing their snapshot.
DELETE FROM ONLY {table};

-- name: insert_rows
-- Insert the landed rows.
INSERT INTO {table} {listed} OVERRIDING SYSTEM VALUE SELECT {columns} FROM pg_temp.{rows};

-- name: merge_rows
-- Update what differs to the byte, insert what is new; only where the key is the only unique index.
MERGE INTO ONLY {table} AS t USING pg_temp.{rows} AS r ON {row_match}
WHEN MATCHED AND ROW({old})::record OPERATOR(pg_catalog.*<>) ROW({new})::record THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}) OVERRIDING SYSTEM VALUE VALUES ({new});

-- name: holds_rows
-- Say whether the database was used: an application's table has a page.
SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
                  AND n.nspname NOT IN ('warmstandby', 'information_schema') AND n.nspname !~ '^pg_'
                  AND pg_relation_size(c.oid) > 0);

-- name: rollback_prepared
-- End a transaction that was prepared (its name is put in).
ROLLBACK PREPARED {gid};
