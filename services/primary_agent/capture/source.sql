-- Publication, slot, barrier and decoding, in the application's database.

-- name: check_server
-- Return what capture needs to know of the server and of our role.
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
       current_setting('wal_level') AS wal_level, current_user::text AS role,
       (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) AS is_superuser,
       (SELECT r.rolsuper OR r.rolreplication FROM pg_roles AS r WHERE r.rolname = current_user) AS may_replicate,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AS database_oid,
       pg_is_in_recovery() AS is_in_recovery;

-- name: identify_publication
-- Return a token of our publication that changes when it is altered or made again; nothing where it does not tell of all
-- operations on just the tables that we chose.
SELECT p.oid || ':' || p.xmin::text
  FROM pg_publication AS p
 WHERE p.pubname = $1
   AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT p.pubviaroot AND NOT p.puballtables
   AND NOT EXISTS (SELECT FROM pg_publication_namespace AS n WHERE n.pnpubid = p.oid);

-- name: find_slot
-- Return our slot's position and health.
SELECT s.plugin, s.database, s.wal_status, s.confirmed_flush_lsn::text AS confirmed_lsn, s.restart_lsn::text AS restart_lsn,
       s.active, s.active_pid,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint AS kept_bytes
  FROM pg_replication_slots AS s
 WHERE s.slot_name = $1;

-- name: create_slot
-- Make the slot; waits for every transaction open in the whole cluster.
SELECT lsn::text AS lsn FROM pg_create_logical_replication_slot($1, 'pgoutput', false, false);

-- name: drop_slot
-- Drop the slot if it is there.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1;

-- name: end_slot_user
-- End the session that holds the slot (left behind by an agent that was killed).
SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL;

-- name: current_xid
-- Assign and return a transaction id: snapshots past it have seen the end of everything older.
SELECT pg_current_xact_id()::text;

-- name: list_blockers
-- Name the transactions up to this id that are still open, for people.
SELECT format('pid %s (%s%s, open for %s s)', a.pid, a.usename, nullif(' ' || a.application_name, ' '),
              extract(epoch FROM now() - a.xact_start)::int) AS blocker
  FROM pg_stat_activity AS a
 WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid() AND age(a.backend_xid) >= age($1::text::xid)
UNION ALL
SELECT format('prepared transaction %L (%s, since %s)', p.gid, p.owner, p.prepared::timestamptz(0))
  FROM pg_prepared_xacts AS p;

-- name: take_barrier
-- Write a record that is flushed before it returns, so that all that is visible now is decodable.
SELECT pg_logical_emit_message(true, 'warmstandby', 'barrier');

-- name: may_log_snapshot
-- Say whether the server can note, on request, which transactions run (from version 16, where our role may).
SELECT coalesce(has_function_privilege(to_regprocedure('pg_log_standby_snapshot()'), 'EXECUTE'), false);

-- name: log_snapshot
-- Note in the log which transactions run: the slot's start can move up to there, so that less is read again.
SELECT pg_log_standby_snapshot();

-- name: read_oldest_xid
-- Return the oldest transaction that is still open, prepared ones included, or else the next one.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text;

-- name: read_flush_lsn
-- Return how far the log is on disk.
SELECT pg_current_wal_flush_lsn()::text;

-- name: advance_slot
-- Let the server forget what is stored; a step back is no step.
SELECT CASE WHEN s.confirmed_flush_lsn < $2::text::pg_lsn
            THEN (SELECT end_lsn::text FROM pg_replication_slot_advance(s.slot_name, $2::text::pg_lsn)) END
  FROM pg_replication_slots AS s
 WHERE s.slot_name = $1;

-- name: use_memory
-- Let decoding and folding take what the server can spare, half of its buffers and at most 256 MB: what does not fit
-- is written to its disk and read again.
SELECT set_config('work_mem', '64MB', false),
       set_config('logical_decoding_work_mem', greatest(own.kilobytes, least(262144, buffers.kilobytes / 2)) || 'kB', false)
  FROM (SELECT setting::bigint AS kilobytes FROM pg_settings WHERE name = 'logical_decoding_work_mem') AS own,
       (SELECT setting::bigint * 8 AS kilobytes FROM pg_settings WHERE name = 'shared_buffers') AS buffers;

-- name: copy_changes
-- Decode up to a position and ship each changed key once, with its last transaction in decode order.
-- Binary COPY into agent.spool's landing table: bytes of a relation id are an oid, a bigint is an xid8.
-- A change whose table has no layout ships a mark of its transaction instead of a key. Where the first change of a key is
-- an insert (or its row came to the key by an update, the second key of one), the last column is its transaction.
WITH layout (number, relid, positions, is_leading) AS (
    SELECT l.number, l.relid, l.positions::int[], l.positions = '{{1}}'
      FROM unnest({numbers}::int[], {relids}::bytea[], {positions}::text[]) AS l(number, relid, positions)
), change AS (
    SELECT m.ord, m.xid::text::bigint AS xid, m.data, get_byte(m.data, 0) AS kind, substr(m.data, 2, 4) AS relid
      FROM ROWS FROM (pg_logical_slot_peek_binary_changes({slot}, {upto}, NULL,
                          'proto_version', '1', 'publication_names', {publication}))
           WITH ORDINALITY AS m(lsn, xid, data, ord)
     WHERE get_byte(m.data, 0) IN (68, 73, 82, 84, 85)
), cut AS (
    SELECT CASE WHEN c.kind IN (82, 84) THEN c.kind ELSE 75 END AS kind,
           CASE WHEN c.kind = 84 THEN '\x00000000'::bytea ELSE c.relid END AS relid,
           CASE WHEN c.kind IN (82, 84) THEN c.data
                ELSE coalesce(k.key, '\x54'::bytea || int8send(c.xid)) END AS key,
           (c.ord << 32) | c.xid AS place, CASE WHEN k.key IS NULL THEN NULL ELSE l.number END AS number,
           CASE WHEN c.kind = 73 OR k.place = 2 THEN 0 ELSE 1 END::bigint AS is_old
      FROM change AS c
      LEFT JOIN layout AS l ON l.relid = c.relid
      CROSS JOIN LATERAL unnest(
          CASE WHEN c.kind IN (82, 84) OR l.number IS NULL THEN ARRAY[NULL::bytea]
               WHEN l.is_leading AND (c.kind <> 85 OR get_byte(c.data, 5) = 78) AND get_byte(c.data, 8) = 116
               THEN ARRAY[substr(c.data, 9, 5 + ((get_byte(c.data, 10) << 16) | (get_byte(c.data, 11) << 8) | get_byte(c.data, 12)))]
               ELSE warmstandby.cut_keys(c.data, l.positions) END) WITH ORDINALITY AS k(key, place)
), folded AS (
    SELECT kind, relid, key, max(place) & 4294967295 AS xid, max(number) AS number, min((place << 1) | is_old) AS first
      FROM cut
     GROUP BY kind, relid, key
)
SELECT kind::"char", relid, key,
       {reference} + (((xid - {reference}) & 4294967295) # 2147483648) - 2147483648 AS xid,
       coalesce(number, 0)::int4, coalesce(({definitions}::bigint[])[number], 0),
       CASE WHEN first & 1 = 0 AND kind = 75 AND number IS NOT NULL
            THEN {reference} + (((((first >> 1) & 4294967295) - {reference}) & 4294967295) # 2147483648) - 2147483648 END
  FROM folded

-- name: begin_look
-- Begin the transaction whose snapshot everything is read at.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: take_snapshot
-- Take the snapshot, export it, and say who it can see.
SELECT pg_current_snapshot()::text AS snapshot, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin,
       pg_export_snapshot() AS snapshot_id;
