-- Comparing a copy with digests of its source: what arrives lands in temporary tables and is joined on the standby.

-- name: make_landing
-- Make the landing tables, emptied at the end of each transaction.
CREATE TEMP TABLE IF NOT EXISTS parts_there (part integer, row_count bigint, hash_sum text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS parts_here (part integer, row_count bigint, hash_sum text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS hashes_there (key bytea, hash bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS differing (key bytea, what text) ON COMMIT DELETE ROWS;

-- name: begin
-- Begin a look at the copy at one moment.
BEGIN ISOLATION LEVEL REPEATABLE READ;

-- name: read_guards
-- Say whether the copy may still be overwritten, and so is nobody else's.
SELECT accepts_apply FROM warmstandby.guard;

-- name: read_size
-- Return how large the copy is.
SELECT pg_database_size(current_database())

-- name: take_parts
-- Compute the parts here.
INSERT INTO pg_temp.parts_here {query}

-- name: sum_parts
-- Return how many rows each side has, and the parts that differ.
SELECT coalesce(sum(h.row_count), 0)::bigint AS here, coalesce(sum(t.row_count), 0)::bigint AS there,
       coalesce(array_agg(coalesce(h.part, t.part)) FILTER (
           WHERE (h.row_count, h.hash_sum) IS DISTINCT FROM (t.row_count, t.hash_sum)), '{}') AS parts
  FROM pg_temp.parts_here AS h FULL JOIN pg_temp.parts_there AS t USING (part)

-- name: find_differing
-- Keep the keys whose rows differ, and how.
INSERT INTO pg_temp.differing
SELECT coalesce(t.key, h.key),
       CASE WHEN h.key IS NULL THEN 'missing' WHEN t.key IS NULL THEN 'extra' ELSE 'changed' END
  FROM pg_temp.hashes_there AS t FULL JOIN ({query}) AS h ON h.key = t.key
 WHERE t.hash IS DISTINCT FROM h.hash

-- name: count_differing
-- Return how many rows differ, by how.
SELECT count(*) FILTER (WHERE what = 'missing') AS missing, count(*) FILTER (WHERE what = 'extra') AS extra,
       count(*) FILTER (WHERE what = 'changed') AS changed
  FROM pg_temp.differing

-- name: read_edge
-- Return the first key that differs in an order, as text for people.
SELECT left({text}, 200) FROM ({selection}) AS k ORDER BY {order} LIMIT 1

-- name: write_only_key
-- A key of one column for people.
format('%s', k1)

-- name: write_keys
-- A key of several columns for people.
ROW({keys})::text

-- name: write_bytes_key
-- A key of a database that knows no encoding, in ASCII.
encode(convert_to({text}, 'SQL_ASCII'), 'escape')

-- name: copy_differing
-- Ship the keys that differ.
SELECT key FROM pg_temp.differing
