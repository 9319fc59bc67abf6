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

-- name: count_rows
-- Return the number of rows as one part, in the columns of digest_parts.
SELECT 0 AS part, count(*) AS row_count, '' AS hash_sum FROM {rows}

-- name: digest_parts
-- Return the digests of the parts into which rows are divided, of those parts that have a row.
SELECT {part} AS part, count(*) AS row_count, sum(hashtextextended({row}, 0))::text AS hash_sum FROM {rows} GROUP BY 1

-- name: write_part
-- The part of a row: so many bits of a hash of its key's text.
(hashtextextended({key}, 0) & {mask})::integer

-- name: hash_rows
-- Return key and hash of each row of some parts; the key's bytes are those that are captured of a change.
SELECT {key_bytes} AS key, hashtextextended({row}, 0) AS hash FROM {rows} WHERE {condition}

-- name: write_key_piece
-- One piece of a captured key: a byte, the length of the value as the server writes it, and the value.
'\x74'::bytea || int4send(octet_length({value})) || {value}

-- name: write_key_value
-- A key's value as the server writes it; a cast to text would write some types otherwise (char(n), boolean, inet).
convert_to(format('%s', t.{column}), getdatabaseencoding())
