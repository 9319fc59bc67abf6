-- Named queries of audit.py.

-- name: add_entry
-- Note who changed what.
INSERT INTO control.audit (node, at, who, action, subject, before, after) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb)

-- name: list_entries
-- List entries newest first, after a key, by what is asked for (NULL asks for anything).
SELECT * FROM control.audit a
WHERE ($1::timestamptz IS NULL OR (a.at, a.node, a.seq) < ($1, $2::text, $3::bigint))
  AND ($4::text IS NULL OR a.who = $4)
  AND ($5::text IS NULL OR a.action = $5)
  AND ($6::timestamptz IS NULL OR a.at >= $6)
  AND ($7::timestamptz IS NULL OR a.at < $7)
ORDER BY a.at DESC, a.node DESC, a.seq DESC
LIMIT $8

-- name: trim_entries
-- Forget old entries.
DELETE FROM control.audit WHERE at < $1
