-- Named queries of outbox.py.

-- name: has_work
-- Say whether there is anything to sort or to fold.
SELECT EXISTS (SELECT FROM control.outbox_unsorted) AS has_new, EXISTS (
    SELECT FROM control.outbox WHERE state = 'held' AND next_attempt_at <= $1) AS has_held

-- name: take_unsorted
-- Read events of which nobody has said to whom they go, as they came, and keep others from doing so.
SELECT e.* FROM control.outbox_unsorted u JOIN control.events e USING (node, seq)
ORDER BY e.change LIMIT $1 FOR UPDATE OF u SKIP LOCKED

-- name: forget_unsorted
-- Note that it was said of these.
DELETE FROM control.outbox_unsorted WHERE node = $1 AND seq = ANY($2::bigint[])

-- name: read_incidents
-- Read what the channels were told last of each topic.
SELECT * FROM control.incidents

-- name: write_incident
-- Note what a channel was told last of a topic.
INSERT INTO control.incidents (channel, topic, id, is_open, begun_at, last_at, window_ends_at, kinds)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (channel, topic) DO UPDATE SET id = excluded.id, is_open = excluded.is_open, begun_at = excluded.begun_at,
    last_at = excluded.last_at, window_ends_at = excluded.window_ends_at, kinds = excluded.kinds

-- name: add_delivery
-- Queue an event for a channel, unless it is queued already.
INSERT INTO control.outbox (node, seq, channel, incident, state, queued_at, next_attempt_at, attempts, sent_at, problem,
    delivered, refused, repeats)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::jsonb, $12::jsonb, $13::jsonb)
ON CONFLICT (node, seq, channel) DO NOTHING

-- name: find_event
-- Find an event by its key.
SELECT * FROM control.events WHERE node = $1 AND key = $2

-- name: fold_held
-- Make of what was held of an incident, whose window is over, one delivery: the newest carries the others.
WITH ended AS (
    SELECT channel, incident FROM control.outbox WHERE state = 'held'
    GROUP BY channel, incident HAVING min(next_attempt_at) <= $1
), members AS (
    SELECT o.id, o.channel, o.incident, e.kind, max(o.id) OVER (PARTITION BY o.channel, o.incident) AS carrier
    FROM control.outbox o JOIN ended USING (channel, incident) JOIN control.events e ON (e.node, e.seq) = (o.node, o.seq)
    WHERE o.state = 'held'
), counts AS (
    SELECT carrier, jsonb_object_agg(kind, number) AS repeats FROM (
        SELECT carrier, kind, count(*) AS number FROM members GROUP BY carrier, kind) counted
    GROUP BY carrier HAVING sum(number) > 1
), windows AS (
    UPDATE control.incidents i SET window_ends_at = $2 FROM ended
    WHERE i.channel = ended.channel AND i.id = ended.incident
)
UPDATE control.outbox o SET
    state = CASE WHEN o.id = m.carrier THEN 'waiting' ELSE 'folded' END,
    next_attempt_at = $1,
    queued_at = CASE WHEN o.id = m.carrier THEN $1 ELSE o.queued_at END,
    repeats = CASE WHEN o.id = m.carrier THEN coalesce(c.repeats, '{}') ELSE '{}' END
FROM members m LEFT JOIN counts c USING (carrier) WHERE o.id = m.id

-- name: list_due
-- List what a channel has to send now; what was never tried comes first.
SELECT o.*, row_to_json(e)::text AS event FROM control.outbox o JOIN control.events e USING (node, seq)
WHERE o.channel = $1 AND o.state = 'waiting' AND o.next_attempt_at <= $2
ORDER BY (o.attempts > 0), o.id LIMIT $3

-- name: write_delivery
-- Note how a delivery stands; what was taken away meanwhile stays away.
UPDATE control.outbox SET state = $2, queued_at = $3, next_attempt_at = $4, attempts = $5, sent_at = $6, problem = $7,
    delivered = $8::jsonb, refused = $9::jsonb WHERE id = $1

-- name: find_by_key
-- Find the delivery of an event to a channel.
SELECT o.id FROM control.outbox o JOIN control.events e USING (node, seq)
WHERE e.node = $1 AND e.key = $2 AND o.channel = $3

-- name: hasten
-- Try again now what waits for a channel that works.
UPDATE control.outbox SET next_attempt_at = $2 WHERE channel = $1 AND state = 'waiting' AND next_attempt_at > $2

-- name: drop_unsent
-- Forget what waits for channels that there are no more.
DELETE FROM control.outbox WHERE state IN ('held', 'waiting') AND channel <> ALL($1::text[])

-- name: drop_incidents
-- Forget what channels were told that there are no more.
DELETE FROM control.incidents WHERE channel <> ALL($1::text[])

-- name: trim_incidents
-- Forget stories in which nothing has happened for long.
DELETE FROM control.incidents WHERE last_at < $1

-- name: list_deliveries
-- List deliveries newest first, before a number, by what is asked for (NULL asks for anything).
SELECT o.*, row_to_json(e)::text AS event FROM control.outbox o JOIN control.events e USING (node, seq)
WHERE ($1::bigint IS NULL OR o.id < $1)
  AND ($2::text[] IS NULL OR o.state = ANY($2))
  AND ($3::text IS NULL OR o.channel = $3)
ORDER BY o.id DESC LIMIT $4

-- name: find_delivery
-- Find one delivery.
SELECT o.*, row_to_json(e)::text AS event FROM control.outbox o JOIN control.events e USING (node, seq) WHERE o.id = $1

-- name: lock_delivery
-- Find one delivery and keep others from changing it.
SELECT o.*, row_to_json(e)::text AS event FROM control.outbox o JOIN control.events e USING (node, seq) WHERE o.id = $1
FOR UPDATE OF o

-- name: count_by_channel
-- Count what waits and what is dead for each of these channels, and say when it last delivered.
SELECT c.channel, coalesce(u.waiting, 0) AS waiting, coalesce(u.dead, 0) AS dead, (
    SELECT o.sent_at FROM control.outbox o WHERE o.channel = c.channel AND o.sent_at IS NOT NULL
    ORDER BY o.sent_at DESC LIMIT 1) AS sent_at
FROM unnest($1::text[]) c (channel) LEFT JOIN (
    SELECT channel, count(*) FILTER (WHERE state <> 'dead') AS waiting, count(*) FILTER (WHERE state = 'dead') AS dead
    FROM control.outbox WHERE state IN ('held', 'waiting', 'dead') GROUP BY channel) u USING (channel)
