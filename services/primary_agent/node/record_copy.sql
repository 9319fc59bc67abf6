-- The second copy of the node's record, in the node's own database: it tells a file that was rolled back.

-- name: find_copy
-- Say whether the table is there; a node that never captured has none yet.
SELECT to_regclass('agent.record_copy') IS NOT NULL

-- name: read_copy
-- Return the serial number that the record had when it was copied last.
SELECT serial FROM agent.record_copy WHERE pair_id = $1 AND node_id = $2

-- name: write_copy
-- Keep a copy; an older one never replaces a newer.
INSERT INTO agent.record_copy (pair_id, node_id, serial, document) VALUES ($1, $2, $3, $4::text::jsonb)
ON CONFLICT (pair_id, node_id) DO UPDATE SET serial = excluded.serial, document = excluded.document, written_at = now()
 WHERE record_copy.serial < excluded.serial
