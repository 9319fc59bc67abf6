-- What a node that came back has alone, compared with what has landed of the other node's rows. Names are put in.

-- name: make_raw
-- Make the landing table of the keys that this node had changed alone, with their birth.
CREATE TEMP TABLE {raw} (key bytea NOT NULL, is_inserted boolean NOT NULL);

-- name: make_keys
-- Read those keys as values of the key's types.
CREATE TEMP TABLE {mine} AS
SELECT k.*, true AS is_inserted FROM ({inserted}) AS k
UNION ALL
SELECT k.*, false AS is_inserted FROM ({others}) AS k;
ANALYZE {mine};

-- name: raw_part
-- Return the keys of one birth, as a table.
(SELECT key FROM pg_temp.{raw} WHERE is_inserted = {is_inserted})

-- name: make_pairs
-- Find each key's row here and there. Several texts may be one key (1.0 and 1.00): a row counts once.
CREATE TEMP TABLE {pairs} AS
SELECT here, there, bool_and(is_inserted) AS is_inserted, row_number() OVER () AS place
  FROM (SELECT t.ctid AS here, r.ctid AS there, m.is_inserted
          FROM pg_temp.{mine} AS m
          LEFT JOIN ONLY {table} AS t ON {own_match}
          LEFT JOIN pg_temp.{rows} AS r ON {other_match}) AS found
 WHERE here IS NOT NULL OR there IS NOT NULL
 GROUP BY here, there;

-- name: forget_equal
-- Leave out the rows that are the same on both sides, to the byte.
DELETE FROM pg_temp.{pairs} AS p
 USING ONLY {table} AS t, pg_temp.{rows} AS r
 WHERE t.ctid = p.here AND r.ctid = p.there
   AND NOT ROW({own})::record OPERATOR(pg_catalog.*<>) ROW({other})::record;

-- name: count_pairs
-- Count what is left.
SELECT count(*) FILTER (WHERE is_inserted AND there IS NULL) AS inserted,
       count(*) FILTER (WHERE NOT is_inserted AND here IS NOT NULL) AS changed,
       count(*) FILTER (WHERE here IS NULL) AS deleted,
       count(*) FILTER (WHERE is_inserted AND here IS NOT NULL AND there IS NOT NULL) AS same_key
  FROM pg_temp.{pairs};

-- name: copy_pairs
-- Write the rows, the two versions of one beside each other. Columns are numbered inside: theirs may have any name.
SELECT change AS {change_column}, side AS {side_column}, {named}
  FROM (SELECT p.place, 1,
               CASE WHEN NOT p.is_inserted THEN 'changed' WHEN p.there IS NULL THEN 'inserted' ELSE 'same_key' END,
               {own_node}, {own}
          FROM pg_temp.{pairs} AS p JOIN ONLY {table} AS t ON t.ctid = p.here
        UNION ALL
        SELECT p.place, 2,
               CASE WHEN p.here IS NULL THEN 'deleted' WHEN p.is_inserted THEN 'same_key' ELSE 'changed' END,
               {other_node}, {other}
          FROM pg_temp.{pairs} AS p JOIN pg_temp.{rows} AS r ON r.ctid = p.there) AS saved (place, turn, change, side, {numbered})
 ORDER BY place, turn

-- name: lock_table
-- Let nobody write to a table between its rescue and its overwriting.
LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE;

-- name: make_images
-- Number the rows of both sides that look the same, so that each is paired off once.
CREATE TEMP TABLE {images} AS
SELECT here.place AS here, there.place AS there
  FROM (SELECT t.ctid AS place, ROW({own})::text AS image, row_number() OVER (PARTITION BY ROW({own})::text) AS number
          FROM ONLY {table} AS t) AS here
  FULL JOIN (SELECT r.ctid AS place, ROW({other})::text AS image,
                    row_number() OVER (PARTITION BY ROW({other})::text) AS number
               FROM pg_temp.{rows} AS r) AS there
    ON there.image = here.image AND there.number = here.number
 WHERE here.place IS NULL OR there.place IS NULL;

-- name: count_images
-- Count the rows that only one side has.
SELECT count(here) AS different, count(there) AS only_there FROM pg_temp.{images};

-- name: copy_images
-- Write the rows that only this side has.
SELECT 'different' AS {change_column}, {own_node} AS {side_column}{listed}
  FROM pg_temp.{images} AS i JOIN ONLY {table} AS t ON t.ctid = i.here

-- name: count_objects
-- Count the large objects whose content only one side has.
SELECT count(*) FILTER (WHERE is_here AND is_readable) AS different,
       count(*) FILTER (WHERE NOT is_here) AS only_there
  FROM pg_temp.objects_changed;

-- name: name_different_objects
-- The large objects of this side that are not the other side's, as a FROM clause.
(SELECT oid FROM pg_temp.objects_changed WHERE is_here AND is_readable ORDER BY oid)

-- name: copy_objects
-- Write the content of large objects, in pieces.
SELECT 'different' AS {change_column}, {own_node} AS {side_column}, c.oid, c.place, c.data FROM ({contents}) AS c

-- name: drop_tables
-- Drop the session's tables of one comparison.
DROP TABLE IF EXISTS {tables};
