-- Named queries of heartbeats.py.

-- name: add_heartbeats
-- Record some looks at peers (unnest of several arrays is known by its bare name alone).
INSERT INTO control.heartbeats (peer, at, result, state, term_epoch, round_trip_seconds, offset_low_seconds, offset_high_seconds,
    silent_seconds)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::float8[], $7::float8[], $8::float8[],
    $9::float8[])

-- name: list_heartbeats
-- List looks newest first, after an id, by what is asked for (NULL asks for anything).
SELECT * FROM control.heartbeats h
WHERE ($1::bigint IS NULL OR h.id < $1)
  AND ($2::text IS NULL OR h.peer = $2)
  AND ($3::text IS NULL OR h.result = $3)
  AND ($4::timestamptz IS NULL OR h.at >= $4)
  AND ($5::timestamptz IS NULL OR h.at < $5)
ORDER BY h.id DESC
LIMIT $6

-- name: trim_heartbeats
-- Forget looks that are older than a limit or beyond a number.
DELETE FROM control.heartbeats
WHERE at < $1 OR id <= (SELECT max(id) FROM control.heartbeats) - $2::bigint
