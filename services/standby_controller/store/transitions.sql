-- Named queries of transitions.py.

-- name: add_line
-- Record an entry of this node's journal; no row when it is there already.
INSERT INTO control.journal (node, seq, at, transition_id, kind, step, outcome, seconds, detail, data, monotonic_seconds)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11
WHERE NOT EXISTS (SELECT FROM control.journal WHERE node = $1 AND at = $3 AND seq = $2)
ON CONFLICT DO NOTHING
RETURNING seq

-- name: last_line
-- Find the transition that a node was last in, as far as its journal was read; hooks belong to it.
SELECT transition_id FROM control.journal WHERE node = $1 AND kind <> 'hook' ORDER BY at DESC, seq DESC LIMIT 1

-- name: has_lines
-- Say whether a node's journal has told of a transition.
SELECT EXISTS (SELECT FROM control.journal WHERE node = $1 AND transition_id = $2)

-- name: add_evidence
-- Record what this node knew of a transition; what is newer counts.
INSERT INTO control.evidence (node, transition_id, topic, at, data) VALUES ($1, $2, $3, $4, $5::jsonb)
ON CONFLICT (transition_id, node, topic) DO UPDATE SET at = excluded.at, data = excluded.data
WHERE control.evidence.at < excluded.at

-- name: read_lines
-- Read the journals' entries of some transitions.
SELECT * FROM control.journal WHERE transition_id = ANY ($1::text[]) ORDER BY at, node, seq

-- name: read_evidence
-- Read what was known of some transitions.
SELECT * FROM control.evidence WHERE transition_id = ANY ($1::text[]) ORDER BY at, node

-- name: find_superseded
-- Find the nodes of some transitions whose journal goes on with another one.
SELECT DISTINCT j.transition_id, j.node FROM control.journal j
WHERE j.transition_id = ANY ($1::text[]) AND EXISTS (
    SELECT FROM control.journal later
    WHERE later.node = j.node AND later.kind <> 'hook' AND later.transition_id <> j.transition_id
      AND (later.at, later.seq) > (
        SELECT last.at, last.seq FROM control.journal last
        WHERE last.node = j.node AND last.transition_id = j.transition_id ORDER BY last.at DESC, last.seq DESC LIMIT 1))

-- name: find_running
-- Find the transitions that are not over.
SELECT id FROM control.transitions WHERE result = 'running'

-- name: write_transition
-- Write how a transition stands.
INSERT INTO control.transitions (id, node, kind, result, term_epoch, started_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET node = excluded.node, kind = excluded.kind, result = excluded.result,
    term_epoch = excluded.term_epoch, started_at = excluded.started_at, ended_at = excluded.ended_at

-- name: find_transition
-- Find one transition.
SELECT id FROM control.transitions WHERE id = $1

-- name: find_by_epoch
-- Find the promotion that made a term.
SELECT id FROM control.transitions
WHERE term_epoch = $1 AND kind IN ('failover', 'switchover', 'failback', 'force') AND result = 'succeeded'
ORDER BY started_at DESC LIMIT 1

-- name: list_transitions
-- List transitions newest first, after a key, by what is asked for (NULL asks for anything).
SELECT id, started_at FROM control.transitions t
WHERE ($1::timestamptz IS NULL OR (t.started_at, t.id) < ($1, $2::text))
  AND ($3::text[] IS NULL OR t.kind = ANY ($3))
  AND ($4::text[] IS NULL OR t.result = ANY ($4))
  AND ($5::text IS NULL OR t.node = $5)
  AND ($6::timestamptz IS NULL OR t.started_at >= $6)
  AND ($7::timestamptz IS NULL OR t.started_at < $7)
ORDER BY t.started_at DESC, t.id DESC
LIMIT $8

-- name: find_unwitnessed
-- Find recent transitions before which this node's looks at its peers were not noted yet.
SELECT t.id, t.started_at FROM control.transitions t
WHERE t.started_at > $2 AND t.started_at < $3
  AND NOT EXISTS (SELECT FROM control.evidence e WHERE e.transition_id = t.id AND e.node = $1 AND e.topic = 'looks')
ORDER BY t.started_at LIMIT 20

-- name: find_returns
-- Find the failovers that this node has come back after, and for which it has not counted yet what it alone had.
SELECT t.id, t.term_epoch, max(j.at) AS at FROM control.journal j
JOIN control.transitions t ON t.term_epoch::text = j.data ->> 'epoch'
WHERE j.node = $1 AND j.kind = 'return' AND j.at < $2 AND t.node <> $1
  AND t.kind IN ('failover', 'force') AND t.result = 'succeeded'
  AND NOT EXISTS (SELECT FROM control.evidence e WHERE e.transition_id = t.id AND e.node = $1 AND e.topic = 'loss')
GROUP BY t.id, t.term_epoch

-- name: count_rescued
-- Count what this node alone had in a term, as the events of its rescues say; a whole database that was kept has no count.
SELECT coalesce(sum((data ->> 'rows')::bigint), 0)::bigint AS rows, count(*) AS rescues,
    count(*) FILTER (WHERE data ->> 'kept_database' IS NOT NULL) AS databases
FROM control.events WHERE node = $1 AND kind = 'rescue_saved' AND data ->> 'term_epoch' = $2

-- name: looks_before
-- Read this node's looks at its peers up to a moment, the newest first.
SELECT peer, at, result, state, term_epoch, round_trip_seconds FROM control.heartbeats
WHERE at > $1 AND at <= $2 ORDER BY at DESC LIMIT $3

-- name: read_place
-- Read how far another's history was read.
SELECT generation, value FROM control.history_read WHERE source = $1

-- name: write_place
-- Note how far another's history was read.
INSERT INTO control.history_read (source, generation, value) VALUES ($1, $2, $3)
ON CONFLICT (source) DO UPDATE SET generation = excluded.generation, value = excluded.value

-- name: read_begin
-- Read since when this database keeps history.
SELECT begun_at FROM control.history_clock

-- name: trim_transitions
-- Forget transitions that were over long ago.
WITH old AS (DELETE FROM control.transitions WHERE started_at < $1 RETURNING id),
    lines AS (DELETE FROM control.journal WHERE at < $1),
    known AS (DELETE FROM control.evidence WHERE at < $1)
SELECT pg_catalog.count(*) AS count FROM old
