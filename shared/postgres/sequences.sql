-- Positions of sequences. Reading one takes a lock that ALTER SEQUENCE waits for: never inside a long transaction.

-- name: list_sequences
-- Return every sequence with its position; one never used yields no last value here.
SELECT s.seqrelid AS oid, n.nspname::text AS schema_name, c.relname::text AS name,
       pg_sequence_last_value(s.seqrelid) AS last_value, true AS is_called
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relpersistence <> 't' AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_'
   AND has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
 ORDER BY n.nspname, c.relname;

-- name: list_sequences_with_data
-- Return every sequence with its position, used or not (from version 18 on).
SELECT s.seqrelid AS oid, n.nspname::text AS schema_name, c.relname::text AS name, d.last_value, d.is_called
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL pg_get_sequence_data(s.seqrelid) AS d
 WHERE c.relpersistence <> 't' AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_'
   AND has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
 ORDER BY n.nspname, c.relname;

-- name: read_unused_sequences
-- Return the raw position of one sequence (its name is put in; the parts are joined by UNION ALL).
SELECT {oid}::oid AS oid, last_value, is_called FROM {sequence}

-- name: set_sequences
-- Bring sequences to positions.
SELECT setval(format('%I.%I', s.schema_name, s.name)::regclass, s.last_value, s.is_called)
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[]) AS s (schema_name, name, last_value, is_called);

-- name: list_ranges
-- Return how far each sequence may go.
SELECT n.nspname::text AS schema_name, c.relname::text AS name, s.seqincrement AS increment, s.seqcycle AS is_cyclic,
       CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END AS bound
  FROM pg_sequence AS s
  JOIN pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relpersistence <> 't' AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_';
