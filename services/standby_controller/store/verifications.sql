-- Named queries of verifications.py.

-- name: begin_verification
-- Record that a sync is to compare; again changes nothing.
INSERT INTO control.verifications (node, seq, level, is_repairing, is_whole) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING

-- name: add_component
-- Record how the comparison of a component ended; no row when it is recorded already.
INSERT INTO control.verification_components (node, seq, component, ended_at, duration_seconds, snapshot_at, tables, rows,
    next_after, code, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING seq

-- name: close_differences
-- Close what a comparison looked at again: repaired where it found no difference. Counting sees no changed row.
UPDATE control.differences
SET is_open = false, repaired_at = CASE WHEN name = ANY ($4::text[]) THEN repaired_at ELSE $5 END
WHERE node = $1 AND component = $2 AND is_open
  AND (name = ANY ($3::text[]) OR kind IN ('sequence', 'file') OR (kind = 'strange' AND $6))
  AND (NOT $7 OR changed IS NULL)

-- name: add_difference
-- Record a difference.
INSERT INTO control.differences (node, seq, component, kind, name, detail, rows_here, rows_there, missing, extra, changed,
    first_key, last_key, is_expected, is_open, repaired_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::timestamptz IS NULL, $15::timestamptz)

-- name: list_verifications
-- List verifications newest first, after a key.
SELECT v.*, s.trigger, s.requested_by, s.source, s.started_at, s.ended_at, s.result, s.code, s.detail, s.hint,
    s.duration_seconds
FROM control.verifications v JOIN control.syncs s USING (node, seq)
WHERE ($1::timestamptz IS NULL OR (s.started_at, s.node, s.seq) < ($1, $2::text, $3::bigint))
ORDER BY s.started_at DESC, s.node DESC, s.seq DESC
LIMIT $4

-- name: read_verification
-- Read one verification.
SELECT v.*, s.trigger, s.requested_by, s.source, s.started_at, s.ended_at, s.result, s.code, s.detail, s.hint,
    s.duration_seconds
FROM control.verifications v JOIN control.syncs s USING (node, seq)
WHERE node = $1 AND seq = $2

-- name: read_components
-- Read the components of some verifications.
SELECT c.* FROM control.verification_components c
JOIN (SELECT pg_catalog.unnest($1::text[]) AS node, pg_catalog.unnest($2::bigint[]) AS seq) wanted USING (node, seq)
ORDER BY c.node, c.seq, c.ended_at, c.component

-- name: read_differences
-- Read the differences of some verifications.
SELECT d.* FROM control.differences d
JOIN (SELECT pg_catalog.unnest($1::text[]) AS node, pg_catalog.unnest($2::bigint[]) AS seq) wanted USING (node, seq)
ORDER BY d.component, d.kind, d.name

-- name: read_standings
-- Read of each component of a node when all of it was compared last, and how many differences are open.
SELECT wanted.component,
    (SELECT max(c.ended_at)
       FROM control.verification_components c JOIN control.verifications v USING (node, seq)
      WHERE c.node = $1 AND c.component = wanted.component AND v.level = 'full' AND v.is_whole
        AND c.next_after IS NULL AND c.code IS NULL) AS compared_at,
    (SELECT count(*) FROM control.differences d
      WHERE d.node = $1 AND d.component = wanted.component AND d.is_open AND NOT d.is_expected) AS open_count
FROM pg_catalog.unnest($2::text[]) AS wanted (component)
