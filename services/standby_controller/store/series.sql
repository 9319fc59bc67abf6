-- Named queries of series.py.

-- name: heartbeat_spans
-- Sum up the looks at some peers ($4) in spans of $3 seconds from $1 to $2; what is forgotten, by the hours that begin there.
WITH kept AS (  -- from where on each peer's looks are there, and the hours are not needed
    SELECT p.peer, coalesce(CASE WHEN h.looks > there.looks THEN h.hour + interval '1 hour' ELSE first.at END, 'infinity') AS since
    FROM unnest($4::text[]) AS p (peer)
    CROSS JOIN LATERAL (SELECT min(k.at) AS at FROM control.heartbeats k WHERE k.peer = p.peer) first
    LEFT JOIN control.heartbeat_hours h ON h.peer = p.peer AND h.hour = date_trunc('hour', first.at, 'UTC')
    LEFT JOIN LATERAL (
        SELECT count(*) AS looks FROM control.heartbeats k
        WHERE k.peer = p.peer AND k.at >= h.hour AND k.at < h.hour + interval '1 hour'
    ) there ON true
), parts AS (
    SELECT k.peer, date_bin(make_interval(secs => $3), k.at, $1) AS at, count(*) AS looks,
        count(*) FILTER (WHERE k.result = 'ok') AS answered, max(k.silent_seconds) AS silent_seconds,
        percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY k.round_trip_seconds) AS round_trips,
        max(k.round_trip_seconds) AS longest,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY (k.offset_low_seconds + k.offset_high_seconds) / 2) AS offset_seconds
    FROM control.heartbeats k JOIN kept ON kept.peer = k.peer AND k.at >= kept.since
    WHERE k.at >= $1 AND k.at < $2
    GROUP BY k.peer, 2
    UNION ALL
    SELECT h.peer, date_bin(make_interval(secs => $3), h.hour, $1), h.looks, h.answered, h.silent_seconds,
        ARRAY[h.round_trip_p50_seconds, h.round_trip_p95_seconds, h.round_trip_p99_seconds],
        h.round_trip_max_seconds, h.offset_seconds
    FROM control.heartbeat_hours h JOIN kept ON kept.peer = h.peer AND h.hour + interval '1 hour' <= kept.since
    WHERE h.hour >= $1 AND h.hour < $2
), sums AS (
    SELECT peer, at, sum(looks)::bigint AS looks, sum(answered)::bigint AS answered, max(silent_seconds) AS silent_seconds,
        sum(round_trips[1] * answered) / nullif(sum(answered), 0) AS round_trip_p50_seconds,
        sum(round_trips[2] * answered) / nullif(sum(answered), 0) AS round_trip_p95_seconds,
        sum(round_trips[3] * answered) / nullif(sum(answered), 0) AS round_trip_p99_seconds,
        max(longest) AS round_trip_max_seconds,
        sum(offset_seconds * answered) / nullif(sum(answered) FILTER (WHERE offset_seconds IS NOT NULL), 0) AS offset_seconds
    FROM parts GROUP BY peer, at
)
SELECT p.peer, span.at, coalesce(s.looks, 0) AS looks, coalesce(s.answered, 0) AS answered, s.silent_seconds,
    s.round_trip_p50_seconds, s.round_trip_p95_seconds, s.round_trip_p99_seconds, s.round_trip_max_seconds, s.offset_seconds
FROM unnest($4::text[]) AS p (peer)
CROSS JOIN generate_series($1::timestamptz, $2::timestamptz - interval '1 microsecond', make_interval(secs => $3)) AS span (at)
LEFT JOIN sums s ON s.peer = p.peer AND s.at = span.at
ORDER BY p.peer, span.at

-- name: sum_up_hours
-- Keep the sums of whole hours of looks; again for an hour that is partly forgotten changes nothing, late looks count.
INSERT INTO control.heartbeat_hours (peer, hour, looks, answered, silent_seconds, round_trip_p50_seconds,
    round_trip_p95_seconds, round_trip_p99_seconds, round_trip_max_seconds, offset_seconds)
SELECT k.peer, date_trunc('hour', k.at, 'UTC'), count(*), count(*) FILTER (WHERE k.result = 'ok'), max(k.silent_seconds),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY k.round_trip_seconds),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY k.round_trip_seconds),
    percentile_cont(0.99) WITHIN GROUP (ORDER BY k.round_trip_seconds),
    max(k.round_trip_seconds),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY (k.offset_low_seconds + k.offset_high_seconds) / 2)
FROM control.heartbeats k
LEFT JOIN (
    SELECT h.peer, max(h.hour) - interval '2 hours' AS since FROM control.heartbeat_hours h WHERE h.hour <= $1 GROUP BY h.peer
) done ON done.peer = k.peer
WHERE k.at < date_trunc('hour', $1::timestamptz, 'UTC') AND k.at >= coalesce(done.since, '-infinity')
GROUP BY k.peer, 2
ON CONFLICT (peer, hour) DO UPDATE SET looks = excluded.looks, answered = excluded.answered,
    silent_seconds = excluded.silent_seconds, round_trip_p50_seconds = excluded.round_trip_p50_seconds,
    round_trip_p95_seconds = excluded.round_trip_p95_seconds, round_trip_p99_seconds = excluded.round_trip_p99_seconds,
    round_trip_max_seconds = excluded.round_trip_max_seconds, offset_seconds = excluded.offset_seconds
WHERE excluded.looks > control.heartbeat_hours.looks

-- name: trim_hours
-- Forget old hours.
DELETE FROM control.heartbeat_hours WHERE hour < $1

-- name: sync_each
-- Read what the newest ended syncs of a time came to, newest first.
SELECT s.started_at, s.node, s.seq, 1::bigint AS syncs, s.result, (s.result = 'succeeded')::int::bigint AS succeeded,
    (s.result IN ('failed', 'interrupted'))::int::bigint AS failed,
    coalesce(s.duration_seconds, extract(epoch FROM s.ended_at - s.started_at)::float8) AS duration_seconds,
    coalesce(sums.rows, 0) AS rows, coalesce(sums.bytes, 0) AS bytes
FROM control.syncs s
CROSS JOIN LATERAL (
    SELECT sum(c.rows)::bigint AS rows, sum(c.bytes)::bigint AS bytes FROM control.sync_components c
    WHERE c.node = s.node AND c.seq = s.seq
) sums
WHERE s.started_at >= $1 AND s.started_at < $2 AND s.result <> 'running'
ORDER BY s.started_at DESC, s.node DESC, s.seq DESC
LIMIT $3

-- name: sync_spans
-- Sum up the ended syncs of a time in spans of $3 seconds.
WITH found AS (
    SELECT date_bin(make_interval(secs => $3), s.started_at, $1) AS at, s.started_at, s.result,
        coalesce(s.duration_seconds, extract(epoch FROM s.ended_at - s.started_at)::float8) AS seconds, sums.rows, sums.bytes
    FROM control.syncs s
    CROSS JOIN LATERAL (
        SELECT sum(c.rows) AS rows, sum(c.bytes) AS bytes FROM control.sync_components c
        WHERE c.node = s.node AND c.seq = s.seq
    ) sums
    WHERE s.started_at >= $1 AND s.started_at < $2 AND s.result <> 'running'
), sums AS (
    SELECT at, count(*) AS syncs, count(*) FILTER (WHERE result = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE result IN ('failed', 'interrupted')) AS failed,
        (array_agg(result ORDER BY array_position(ARRAY['failed', 'interrupted', 'cancelled'], result) NULLS LAST))[1] AS result,
        max(seconds) AS duration_seconds, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes
    FROM found GROUP BY at
)
SELECT span.at AS started_at, NULL AS node, NULL::bigint AS seq, coalesce(s.syncs, 0) AS syncs, s.result,
    coalesce(s.succeeded, 0) AS succeeded, coalesce(s.failed, 0) AS failed, s.duration_seconds,
    coalesce(s.rows, 0) AS rows, coalesce(s.bytes, 0) AS bytes
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 microsecond', make_interval(secs => $3)) AS span (at)
LEFT JOIN sums s ON s.at = span.at
ORDER BY span.at
