-- Named queries of history.py.

-- name: find_idempotent
-- Find the sync that an idempotency key started.
SELECT * FROM control.syncs WHERE node = $1 AND idempotency_key = $2

-- name: begin_sync
-- Begin a sync unless one runs; no row when one does.
INSERT INTO control.syncs (node, trigger, requested_by, idempotency_key, source, term_epoch, started_at, result,
    offset_low_seconds, offset_high_seconds, accepted)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10::text[])
ON CONFLICT DO NOTHING
RETURNING *

-- name: add_left_out
-- Record a run of the schedule that was left out.
INSERT INTO control.syncs (node, trigger, source, term_epoch, started_at, ended_at, result, code, detail, hint)
VALUES ($1, 'schedule', $2, $3, $4, $4, $5, $6, $7, $8)
RETURNING *

-- name: read_durations
-- Read how long syncs that succeeded took, each of the last ones, newest first; not those whose work was to compare.
SELECT coalesce(s.duration_seconds, extract(epoch FROM s.ended_at - s.started_at))::float8 AS seconds, s.started_at,
    EXISTS (SELECT FROM control.sync_components c WHERE c.node = s.node AND c.seq = s.seq AND c.kind = 'seed') AS is_seed
FROM control.syncs s
WHERE s.result = 'succeeded' AND s.started_at >= $1
  AND (s.trigger = 'schedule' OR NOT EXISTS (SELECT FROM control.verifications v WHERE v.node = s.node AND v.seq = s.seq))
ORDER BY s.started_at DESC
LIMIT $2

-- name: find_running
-- Find the sync that runs on a node.
SELECT * FROM control.syncs WHERE node = $1 AND result = 'running'

-- name: add_component
-- Record how one component's sync ended.
INSERT INTO control.sync_components (node, seq, component, result, kind, reason, started_at, ended_at, snapshot_at, point,
    rows, keys, bytes, rows_per_table, seconds_per_phase, unkept, definitions, code, detail, hint, duration_seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb,
    $11, $12, $13, $14::jsonb, $15::jsonb, $16::jsonb, $17::jsonb, $18, $19, $20, $21)
ON CONFLICT (node, seq, component) DO NOTHING

-- name: end_sync
-- Record how a running sync ended; touches nothing when it is recorded already.
UPDATE control.syncs SET result = $3, ended_at = $4, code = $5, detail = $6, hint = $7, duration_seconds = $8
WHERE node = $1 AND seq = $2 AND result = 'running'

-- name: interrupt_orphans
-- End the syncs that a dead controller of this node left running.
UPDATE control.syncs SET result = 'interrupted', ended_at = greatest($2, started_at), code = $3, detail = $4, hint = $5
WHERE node = $1 AND result = 'running'
RETURNING *

-- name: read_sync
-- Read one sync.
SELECT * FROM control.syncs WHERE node = $1 AND seq = $2

-- name: list_syncs
-- List syncs newest first, after a key, by what is asked for (NULL asks for anything).
SELECT s.* FROM control.syncs s
WHERE ($1::timestamptz IS NULL OR (s.started_at, s.node, s.seq) < ($1, $2::text, $3::bigint))
  AND ($4::text[] IS NULL OR s.result = ANY ($4))
  AND ($5::text IS NULL OR s.trigger = $5)
  AND ($6::timestamptz IS NULL OR s.started_at >= $6)
  AND ($7::timestamptz IS NULL OR s.started_at < $7)
  AND (($8::text IS NULL AND $9::text IS NULL) OR EXISTS (
        SELECT FROM control.sync_components c
        WHERE c.node = s.node AND c.seq = s.seq AND ($8 IS NULL OR c.component = $8) AND ($9 IS NULL OR c.kind = $9)))
ORDER BY s.started_at DESC, s.node DESC, s.seq DESC
LIMIT $10

-- name: read_components
-- Read the components of some syncs, with the rows of each table only where asked for.
SELECT c.node, c.seq, c.component, c.result, c.kind, c.reason, c.started_at, c.ended_at, c.snapshot_at, c.point, c.rows, c.keys,
    c.bytes, CASE WHEN $3 THEN c.rows_per_table ELSE '{}' END AS rows_per_table, c.seconds_per_phase, c.unkept, c.definitions,
    c.code, c.detail, c.hint, c.duration_seconds
FROM control.sync_components c
JOIN (SELECT pg_catalog.unnest($1::text[]) AS node, pg_catalog.unnest($2::bigint[]) AS seq) wanted USING (node, seq)
ORDER BY c.node, c.seq, c.started_at, c.component

-- name: last_successes
-- Read the last successful sync of each component of a node, with the term it was of and the node it came from.
SELECT last.* FROM pg_catalog.unnest($2::text[]) AS wanted (component)
CROSS JOIN LATERAL (
    SELECT c.*, s.term_epoch, s.source FROM control.sync_components c JOIN control.syncs s USING (node, seq)
    WHERE c.node = $1 AND c.component = wanted.component AND c.result = 'succeeded'
    ORDER BY c.ended_at DESC LIMIT 1
) last

-- name: trim_syncs
-- Forget old syncs, except those that say where each component stands.
DELETE FROM control.syncs s
WHERE s.started_at < $1 AND s.result <> 'running'
  AND NOT EXISTS (
    SELECT FROM control.sync_components c
    WHERE c.node = s.node AND c.seq = s.seq AND c.result = 'succeeded'
      AND NOT EXISTS (
        SELECT FROM control.sync_components later
        WHERE later.node = c.node AND later.component = c.component AND later.result = 'succeeded'
          AND later.ended_at > c.ended_at))
