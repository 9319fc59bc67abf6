-- Digests of tables: equal on two servers where the rows are, whatever their order, the servers' majors and collations.

-- name: digest_rows
-- Return the number of rows and the exact sum of their 64-bit hashes.
SELECT count(*) AS row_count, coalesce(sum(hashtextextended({row}, 0)), 0)::text AS hash_sum
  FROM {rows};

-- name: write_row
-- The text of one row that is hashed.
ROW({values})::text

-- name: write_long_value
-- What stands for a value that may be long: its hash, so that the row's text stays far under 1 GB.
hashtextextended(t.{column}::text COLLATE "C", 0)

-- name: write_bytes
-- What stands for bytes, whose text takes twice their size.
md5(t.{column})

-- name: write_value
-- A value as its type writes it.
t.{column}
