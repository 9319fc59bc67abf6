-- Subscribers that were not seen for long.

-- name: drop_absent
-- Hold nothing any more for subscribers that were not seen for so many days; return those, and the ones of before.
WITH fresh AS (
    UPDATE agent.subscribers SET dropped_at = now()
     WHERE capture = $1 AND dropped_at IS NULL AND last_seen_at < now() - make_interval(days => $2)
    RETURNING node_id, last_seen_at
)
SELECT node_id, last_seen_at, true AS is_new FROM fresh
UNION ALL
SELECT node_id, last_seen_at, false FROM agent.subscribers WHERE capture = $1 AND dropped_at IS NOT NULL
 ORDER BY node_id;
