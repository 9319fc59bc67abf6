-- An export's workers: sessions with the application's database that import the leader's snapshot.

-- name: begin_worker
-- Begin a transaction on an exported snapshot and keep TRUNCATE and rewriting DDL away from a table, as a SELECT would.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT {snapshot_id};
LOCK TABLE ONLY {table} IN ACCESS SHARE MODE;

-- name: begin_reader
-- Begin a transaction on an exported snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT {snapshot_id};

-- name: begin_view
-- Begin a transaction on an exported snapshot and keep a materialized view from being filled anew, as a SELECT would.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT {snapshot_id};
SELECT FROM {table} LIMIT 0;

-- name: list_unreadable
-- Return those of these tables that our role may not read, or of which it would be shown a part.
SELECT c.oid
  FROM pg_class AS c
 WHERE c.oid = ANY ($1::oid[])
   AND (NOT has_schema_privilege(c.relnamespace, 'USAGE') OR NOT has_table_privilege(c.oid, 'SELECT')
        OR row_security_active(c.oid));

-- name: list_counters
-- Return what the server's statistics say of rows written to each table, and when they began anew: at each start of the
-- server, after a crash, or by hand. An unlogged table may be emptied by a crash of either side, so it is not told of.
-- A session reports what it wrote when it is idle again: nothing is told while one has been busy, or in a transaction, for
-- more than seconds (of other roles' sessions our role may not see that), nor where somebody's writes are not counted.
SELECT c.oid,
       concat_ws(':', pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid),
                 extract(epoch FROM pg_stat_get_db_stat_reset_time(d.oid)),
                 extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()),
                 extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM pg_conf_load_time())) AS counters
  FROM pg_class AS c
  JOIN pg_database AS d ON d.datname = current_database()
  JOIN pg_am AS m ON m.oid = c.relam AND m.amname = 'heap'
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 AND current_setting('track_counts')::boolean
   AND NOT EXISTS (SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS one (setting)
                    WHERE s.setdatabase IN (0, d.oid) AND lower(one.setting) LIKE 'track_counts=%')
   AND NOT EXISTS (
       SELECT FROM pg_stat_activity AS a
        WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()
          AND a.backend_type NOT IN ('walsender', 'autovacuum worker', 'parallel worker')
          AND (coalesce(a.state, 'disabled') = 'disabled' AND a.backend_type = 'client backend'
               OR least(a.xact_start, CASE WHEN a.state <> 'idle' THEN a.query_start END) < now() - interval '10 s'));

-- name: count_rows
-- Count a table's rows.
SELECT count(*) FROM ONLY {table};

-- name: make_key_table
-- Make the session's table for a table's changed keys, outside of any export's transaction.
CREATE TEMP TABLE IF NOT EXISTS export_keys (key bytea NOT NULL) ON COMMIT DELETE ROWS;

-- name: read_filenode
-- Return the file the table has now, whatever the snapshot says; nothing where its name is another table's by now.
SELECT pg_relation_filenode(c.oid)::bigint FROM to_regclass($2) AS c(oid) WHERE c.oid = $1::oid;

-- name: copy_keys
-- Ship the changed keys of a table.
SELECT key FROM pg_temp.export_keys

-- name: copy_changed_rows
-- Ship the rows that have a changed key, each once whatever the key's equality joins (1.0 and 1.00, citext).
SELECT {columns} FROM ONLY {table} AS t WHERE EXISTS (SELECT FROM ({keys}) AS k WHERE {match})

-- name: copy_all_rows
-- Ship a whole table.
SELECT {columns} FROM ONLY {table} AS t
