-- Secondary indexes of the copy: those that a delta may drop and build again. Names are put in, values are bound.

-- name: list_plain_indexes
-- Return the indexes that their definition says completely: what else an index may have would not come back with it.
SELECT i.indrelid AS table_oid, format('%I.%I', n.nspname, c.relname) AS sql_name,
       pg_get_indexdef(i.indexrelid) AS definition
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE i.indrelid = ANY ($1::oid[])
   AND i.indisvalid AND i.indisready AND NOT (i.indisunique OR i.indisexclusion OR i.indisclustered OR i.indisreplident)
   AND i.indexprs IS NULL AND i.indpred IS NULL AND c.reltablespace = 0 AND NOT c.relispartition
   AND has_schema_privilege(c.relnamespace, 'CREATE')
   AND NOT EXISTS (SELECT FROM pg_description AS d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype NOT IN ('n', 'a'))
 ORDER BY i.indrelid, n.nspname, c.relname;

-- name: lock_table
-- Have a table for ourselves, now or not at all.
LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE NOWAIT;

-- name: drop_index
-- Drop an index; the transaction builds it again.
DROP INDEX {index};

-- name: use_default_tablespace
-- Build indexes where the database lies, whatever its settings say.
SELECT set_config('default_tablespace', '', true);
