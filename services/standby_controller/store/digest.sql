-- Named queries of digest.py.

-- name: count_syncs
-- Count the syncs of the pair that began since an instant, and say how long they took.
SELECT count(*) AS count, count(*) FILTER (WHERE result = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE result IN ('failed', 'interrupted')) AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - started_at)) AS median_seconds,
    max(extract(epoch FROM ended_at - started_at)) AS longest_seconds
FROM control.syncs WHERE started_at >= $1 AND result <> 'running'

-- name: has_key
-- Say whether an event was recorded.
SELECT EXISTS (SELECT FROM control.events WHERE node = $1 AND key = $2) AS is_there
