-- Captured keys read as values. A captured key is, for each key column in the table's column order, the byte 't', the
-- length (4 bytes, network order) and the value's text in the database's encoding, as pgoutput sent it.
-- The encoding's name would lend the value its own collation, "C": then an index of another one could not be used, or the
-- comparison not be made at all. With the default one, that of the table's column counts.

-- name: length_at
-- The length of the piece at an offset.
((get_byte(key, {at} + 1) << 24) | (get_byte(key, {at} + 2) << 16) | (get_byte(key, {at} + 3) << 8) | get_byte(key, {at} + 4))

-- name: first_offset
-- Begin with the first piece.
SELECT key, 0 AS at1 FROM {key_table} AS s

-- name: next_offset
-- Go on to the next piece; OFFSET 0 keeps the planner from writing every offset out again in each use.
SELECT {carried}, at{before} + 5 + {length} AS at{place} FROM ({source}) AS s OFFSET 0

-- name: only_value
-- Read the value of a key of one column.
(convert_from(substr(key, 6), {encoding}) COLLATE "default")::{type} AS k1

-- name: value_at
-- Read one value of a key of several columns.
(convert_from(substr(key, at{place} + 6, {length}), {encoding}) COLLATE "default")::{type} AS k{place}

-- name: read_keys
-- Read keys as typed columns k1, k2 and so on.
SELECT {values} FROM ({source}) AS keys

-- name: match_column
-- Compare one key column by the key index's own operator.
{table}.{column} {operator} {keys}.k{place}
