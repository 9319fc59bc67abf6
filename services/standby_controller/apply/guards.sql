-- What a guard counts in a copy.

-- name: note_rows
-- Return the rows of each table as the server noted them last; 0 where it never did.
SELECT format('%s.%s', n.nspname, c.relname) AS name, greatest(c.reltuples, 0)::bigint AS rows
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384
   AND n.nspname NOT IN ('warmstandby', 'information_schema') AND n.nspname !~ '^pg_';

-- name: estimate_rows
-- Return each table with its size, and its rows as far as the server can tell from its last count and the size now.
SELECT format('%s.%s', n.nspname, c.relname) AS name, format('%I.%I', n.nspname, c.relname) AS sql_name,
       s.bytes,
       CASE WHEN s.bytes = 0 THEN 0
            WHEN c.relpages > 0 AND c.reltuples > 0
            THEN ceil(c.reltuples::float8 / c.relpages * (s.bytes / current_setting('block_size')::int))::bigint END AS rows
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) AS bytes) AS s
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384
   AND n.nspname NOT IN ('warmstandby', 'information_schema') AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend AS d
                     JOIN pg_extension AS x ON x.oid = d.refobjid
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
                      AND NOT coalesce(x.extconfig @> ARRAY[c.oid], false));

-- name: count_rows
-- Count the rows of a table (one part of a statement about many; its number and name are put in).
SELECT {number}::int AS number, count(*) AS rows FROM ONLY {table}

-- name: count_present
-- Count the rows of the copy that have a changed key.
SELECT count(*) FROM ONLY {table} AS t WHERE EXISTS (SELECT FROM pg_temp.{keys} AS k WHERE {match})

-- name: database_bytes
-- Return the size of a database on disk.
SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1;

-- name: find_data_directory
-- Return the server's data folder where it runs on this machine and our role may know it.
SELECT current_setting('data_directory')
 WHERE pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
   AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1');
