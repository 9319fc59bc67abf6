-- Named queries of events.py.

-- name: add_event
-- Record an event that is not recorded yet, and that it has to be sorted for those who are told.
WITH added AS (
    INSERT INTO control.events (node, key, epoch, at, kind, severity, subject, text, data)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)
    ON CONFLICT (node, key) DO NOTHING
    RETURNING node, seq
)
INSERT INTO control.outbox_unsorted (node, seq) SELECT node, seq FROM added

-- name: find_place
-- Find the number of an event, else that of the last one of its node before it.
SELECT change FROM control.events WHERE node = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1

-- name: last_place
-- Read the number of the newest event.
SELECT max(change) AS change FROM control.events

-- name: list_events_after
-- List events as they came, after a number, by what is asked for (NULL asks for anything).
SELECT * FROM control.events e
WHERE e.change > $1
  AND ($2::text IS NULL OR e.kind = $2)
  AND ($3::text IS NULL OR e.severity = $3)
  AND ($4::text IS NULL OR e.subject = $4)
ORDER BY e.change
LIMIT $5

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
DELETE FROM control.events WHERE at < $1
