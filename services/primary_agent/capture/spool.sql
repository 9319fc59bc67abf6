-- The spool, its subscribers and its sync points, in the node's own database.

-- name: find_capture
-- Return the capture of a component; one whose spool somebody dropped is none, for its keys are gone.
SELECT number, capture_id, database_oid, slot_name, drained_lsn::text AS drained_lsn, ready_xid::text AS ready_xid,
       trimmed_seq, last_seq, is_ahead
  FROM agent.captures
 WHERE component = $1 AND to_regclass('agent.spool_' || number) IS NOT NULL;

-- name: create_capture
-- Record a new capture.
INSERT INTO agent.captures (component, capture_id, database_oid, slot_name, drained_lsn, ready_xid, is_ahead)
VALUES ($1, $2, $3, $4, $5::text::pg_lsn, $6::text::xid8, $7)
RETURNING number;

-- name: delete_capture
-- Forget a capture with its subscribers and points.
DELETE FROM agent.captures WHERE component = $1 RETURNING number;

-- name: set_ready_xid
-- Count only snapshots past this transaction from now on.
UPDATE agent.captures SET ready_xid = $2::text::xid8 WHERE number = $1;

-- name: create_partition
-- Make the spool of a capture (its number is put in).
CREATE TABLE agent.spool_{capture} PARTITION OF agent.spool FOR VALUES IN ({capture});

-- name: drop_partition
-- Drop the spool of a capture.
DROP TABLE IF EXISTS agent.spool_{capture};

-- name: create_stage
-- Make the session's landing table for decoded keys; COPY fills it and the commit empties it.
CREATE TEMP TABLE IF NOT EXISTS drain_stage (
    kind        "char" NOT NULL,
    relid       oid    NOT NULL,
    key         bytea,
    xid         xid8   NOT NULL,
    layout      int4   NOT NULL,
    definition  int8   NOT NULL,
    inserted    xid8
) ON COMMIT DELETE ROWS;

-- name: read_messages
-- Return the relation and truncate messages of the landing table.
SELECT kind::text AS kind, key AS message, xid::text AS xid
  FROM pg_temp.drain_stage
 WHERE kind IN ('R', 'T');

-- name: count_stage
-- Return how many changes landed.
SELECT count(*) FROM pg_temp.drain_stage WHERE kind = 'K';

-- name: mark_relations
-- Replace the keys of tables whose layout was not the one assumed by marks of their transactions.
WITH misread AS (
    DELETE FROM pg_temp.drain_stage WHERE kind = 'K' AND relid = ANY ($1::oid[]) RETURNING relid, xid
)
INSERT INTO pg_temp.drain_stage (kind, relid, key, xid, layout, definition)
SELECT DISTINCT 'K'::"char", relid, '\x54'::bytea || int8send(xid::text::bigint), xid, 0, 0 FROM misread;

-- name: mark_truncated
-- Mark tables that a transaction truncated.
INSERT INTO pg_temp.drain_stage (kind, relid, key, xid, layout, definition)
SELECT 'K', truncated.relid, '\x54'::bytea || int8send($2::text::bigint), $2::text::xid8, 0, 0
  FROM unnest($1::oid[]) AS truncated (relid)
 WHERE NOT EXISTS (SELECT FROM pg_temp.drain_stage AS s
                    WHERE s.relid = truncated.relid AND s.key = '\x54'::bytea || int8send($2::text::bigint));

-- name: is_empty
-- Say whether nothing is in the spool of a capture.
SELECT NOT EXISTS (SELECT FROM agent.spool WHERE capture = $1);

-- name: store_first_keys
-- Put the landing table, which holds each key once, into an empty spool; in the order of its index that is much faster.
INSERT INTO agent.spool (capture, relid, digest, key, xid, definition, inserted)
SELECT $1, relid, digest, long_key, xid, definition, inserted
  FROM (SELECT relid, xid, definition, inserted,
               CASE WHEN octet_length(key) < 32 THEN key ELSE sha256(key) END AS digest,
               CASE WHEN octet_length(key) < 32 THEN NULL ELSE key END AS long_key
          FROM pg_temp.drain_stage WHERE kind = 'K') AS stage
 ORDER BY relid, digest;

-- name: store_keys
-- Fold the landing table into the spool: the change that comes last in decode order gives the transaction. An insert of a
-- key that is there already begins a new life of it only where the newest sync point ($2) has seen the end of the last.
INSERT INTO agent.spool AS spool (capture, relid, digest, key, xid, definition, inserted)
SELECT $1, relid, digest, long_key, xid, definition, inserted
  FROM (SELECT relid, xid, definition, inserted,
               CASE WHEN octet_length(key) < 32 THEN key ELSE sha256(key) END AS digest,
               CASE WHEN octet_length(key) < 32 THEN NULL ELSE key END AS long_key
          FROM pg_temp.drain_stage WHERE kind = 'K') AS stage
 ORDER BY relid, digest
    ON CONFLICT (capture, relid, digest)
    DO UPDATE SET xid = excluded.xid, definition = excluded.definition,
                  inserted = CASE WHEN excluded.inserted IS NOT NULL AND pg_visible_in_snapshot(spool.xid, $2::text::pg_snapshot)
                                  THEN excluded.inserted ELSE spool.inserted END;

-- name: find_newest_snapshot
-- Return the snapshot of the newest sync point.
SELECT snapshot::text FROM agent.sync_points WHERE capture = $1 ORDER BY seq DESC LIMIT 1;

-- name: set_served
-- Note that a capture made ahead collects from now on.
UPDATE agent.captures SET is_ahead = false WHERE number = $1 AND is_ahead;

-- name: set_drained
-- Record how far the slot was read.
UPDATE agent.captures SET drained_lsn = $2::text::pg_lsn WHERE number = $1;

-- name: insert_state
-- Keep a table state unless it is there already.
INSERT INTO agent.table_states (capture, digest, document) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT DO NOTHING;

-- name: insert_point
-- Record a sync point under the next number of its capture.
WITH numbered AS (
    UPDATE agent.captures SET last_seq = last_seq + 1 WHERE number = $1 RETURNING last_seq
)
INSERT INTO agent.sync_points (capture, seq, nonce, snapshot, lsn, state_digest)
SELECT $1, last_seq, $2, $3::text::pg_snapshot, $4::text::pg_lsn, $5 FROM numbered
RETURNING seq;

-- name: find_point
-- Return a sync point by number and nonce.
SELECT p.seq, p.snapshot::text AS snapshot, s.document::text AS document
  FROM agent.sync_points AS p
  JOIN agent.table_states AS s ON s.capture = p.capture AND s.digest = p.state_digest
 WHERE p.capture = $1 AND p.seq = $2 AND p.nonce = $3;

-- name: count_keys
-- Return, for each table, the keys not visible in a snapshot, whether the whole table is marked, and their definitions.
SELECT relid, count(*) FILTER (WHERE definition <> 0) AS key_count, bool_or(definition = 0) AS is_marked,
       min(definition) FILTER (WHERE definition <> 0) AS lowest_definition,
       max(definition) FILTER (WHERE definition <> 0) AS highest_definition
  FROM agent.spool
 WHERE capture = $1 AND NOT pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
 GROUP BY relid;

-- name: copy_keys
-- Ship the keys of a table not visible in a snapshot (values are inlined: COPY takes no parameters).
SELECT coalesce(key, digest)
  FROM agent.spool
 WHERE capture = {capture} AND relid = {relid} AND definition <> 0
   AND NOT pg_visible_in_snapshot(xid, {snapshot}::pg_snapshot)

-- name: copy_keys_with_birth
-- Ship the keys of a table not visible in a snapshot, and whether each was inserted since (values are inlined).
SELECT coalesce(key, digest), inserted IS NOT NULL AND NOT pg_visible_in_snapshot(inserted, {snapshot}::pg_snapshot)
  FROM agent.spool
 WHERE capture = {capture} AND relid = {relid} AND definition <> 0
   AND NOT pg_visible_in_snapshot(xid, {snapshot}::pg_snapshot)

-- name: begin_seeding
-- Hold everything since a seed's point for a subscriber; the point it stood at before stays held, unless it was dropped.
INSERT INTO agent.subscribers AS s (capture, node_id, seeding_seq) VALUES ($1, $2, $3)
ON CONFLICT (capture, node_id)
DO UPDATE SET seeding_seq = excluded.seeding_seq, last_seen_at = now(), dropped_at = NULL,
              confirmed_seq = CASE WHEN s.dropped_at IS NULL THEN s.confirmed_seq END;

-- name: see_subscriber
-- Note that a subscriber asked from a point; one that is new here (it shares the point since a promotion) holds it, and
-- so does one that was dropped and comes back before anything it needs is gone.
INSERT INTO agent.subscribers AS s (capture, node_id, confirmed_seq) VALUES ($1, $2, $3)
ON CONFLICT (capture, node_id)
DO UPDATE SET last_seen_at = now(), dropped_at = NULL,
              confirmed_seq = CASE WHEN s.dropped_at IS NULL THEN s.confirmed_seq ELSE excluded.confirmed_seq END,
              seeding_seq = CASE WHEN s.dropped_at IS NULL THEN s.seeding_seq END;

-- name: confirm_point
-- Move a subscriber to the point that its copy stands at now.
UPDATE agent.subscribers
   SET confirmed_seq = greatest(confirmed_seq, $3), last_seen_at = now(), dropped_at = NULL,
       seeding_seq = CASE WHEN seeding_seq <= $3 THEN NULL ELSE seeding_seq END
 WHERE capture = $1 AND node_id = $2
RETURNING confirmed_seq;

-- name: find_floor
-- Return the oldest point that a subscriber may still ask from, and the number of subscribers.
SELECT (SELECT count(*) FROM agent.subscribers WHERE capture = $1 AND dropped_at IS NULL) AS subscribers,
       min(p.seq) AS seq
  FROM agent.subscribers AS s
  JOIN agent.sync_points AS p
    ON p.capture = s.capture AND p.seq = least(s.confirmed_seq, s.seeding_seq)
 WHERE s.capture = $1 AND s.dropped_at IS NULL;

-- name: find_snapshot
-- Return the snapshot of a point.
SELECT snapshot::text FROM agent.sync_points WHERE capture = $1 AND seq = $2;

-- name: take_snapshot
-- Return what is visible now.
SELECT pg_current_snapshot()::text;

-- name: raise_trimmed
-- Refuse points before this one from now on; written before the keys go.
UPDATE agent.captures SET trimmed_seq = $2 WHERE number = $1 AND trimmed_seq < $2;

-- name: trim_keys
-- Delete the keys that every subscriber has.
DELETE FROM agent.spool WHERE capture = $1 AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot);

-- name: trim_points
-- Delete the points that nobody may ask from, and the states that no point needs.
WITH gone AS (
    DELETE FROM agent.sync_points
     WHERE capture = $1 AND seq < (SELECT trimmed_seq FROM agent.captures WHERE number = $1)
)
DELETE FROM agent.table_states AS s
 WHERE s.capture = $1
   AND NOT EXISTS (SELECT FROM agent.sync_points AS p
                    WHERE p.capture = s.capture AND p.state_digest = s.digest
                      AND p.seq >= (SELECT trimmed_seq FROM agent.captures WHERE number = $1));

-- name: measure_spool
-- Return the spool's size: keys as last analysed, bytes on disk.
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint AS keys, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
  FROM pg_class AS c
 WHERE c.oid = to_regclass($1);

-- name: lock_capture
-- Let one agent at a time drain a component; true when the lock is ours.
SELECT pg_try_advisory_lock(hashtextextended('warmstandby.capture.' || $1, 0));
