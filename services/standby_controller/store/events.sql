-- Named queries of events.py.

-- name: add_event
-- Record an event.
INSERT INTO control.events (node, at, kind, severity, subject, text, data) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)

-- name: list_events
-- List events oldest first, after an id, by what is asked for (NULL asks for anything).
SELECT * FROM control.events e
WHERE ($1::text IS NULL OR (e.node = $1 AND e.seq > $2::bigint) OR e.node > $1)
  AND ($3::text IS NULL OR e.kind = $3)
  AND ($4::text IS NULL OR e.severity = $4)
  AND ($5::text IS NULL OR e.subject = $5)
ORDER BY e.node, e.seq
LIMIT $6

-- name: list_events_backwards
-- List events newest first, after a key, by what is asked for (NULL asks for anything).
SELECT * FROM control.events e
WHERE ($1::timestamptz IS NULL OR (e.at, e.node, e.seq) < ($1, $2::text, $3::bigint))
  AND ($4::text IS NULL OR e.kind = $4)
  AND ($5::text IS NULL OR e.severity = $5)
  AND ($6::text IS NULL OR e.subject = $6)
ORDER BY e.at DESC, e.node DESC, e.seq DESC
LIMIT $7

-- name: trim_events
-- Forget old events.
DELETE FROM control.events WHERE node = $1 AND at < $2
