-- What a database holds, read from its catalogs; the same on source and target.

-- name: list_tables
-- Return every table with rows of its own: token and shape tell rewrites from changed definitions.
-- The shape names no index and no constraint by its oid: one that is built anew (REINDEX CONCURRENTLY) changes nothing.
-- Both fold hashes of rows: text of every column of a large catalog would take twice the time.
-- A table's key is its replica identity: the primary key, or the chosen index; under FULL the primary key, if any.
WITH member AS (
    SELECT d.objid, coalesce(x.extconfig @> ARRAY[d.objid], false) AS is_configuration
      FROM pg_depend AS d
      JOIN pg_extension AS x ON x.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
), identity AS (
    SELECT DISTINCT ON (i.indrelid) i.indrelid, i.indexrelid, (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns
      FROM pg_index AS i
      JOIN pg_class AS t ON t.oid = i.indrelid
     WHERE i.indrelid >= 16384 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND ((t.relreplident IN ('d', 'f') AND i.indisprimary) OR (t.relreplident = 'i' AND i.indisreplident))
     ORDER BY i.indrelid, i.indexrelid
), attribute AS (
    SELECT a.attrelid, bool_or(a.attgenerated <> '') AS has_generated,
           array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (k.columns)) AS key,
           bool_and(a.attnotnull AND a.attgenerated = '') FILTER (WHERE a.attnum = ANY (k.columns)) AS is_usable,
           bit_xor(hash_record_extended(ROW(a.attnum, a.xmin), 0))::text AS token,
           bit_xor(hash_record_extended(ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated,
                                            a.attidentity, a.attcollation, a.attisdropped, g.adbin::text), 0)) AS shape
      FROM pg_attribute AS a
      JOIN pg_class AS t ON t.oid = a.attrelid AND t.relkind IN ('r', 'm', 'f')
      LEFT JOIN identity AS k ON k.indrelid = a.attrelid
      LEFT JOIN pg_attrdef AS g ON g.adrelid = a.attrelid AND g.adnum = a.attnum AND a.attgenerated <> ''
     WHERE a.attnum > 0 AND a.attrelid >= 16384
     GROUP BY a.attrelid
), restriction AS (
    SELECT c.conrelid,
           bit_xor(hash_record_extended(ROW(c.conname, c.contype, c.conkey, c.confrelid, c.confkey, c.conbin::text), 0)) AS shape
      FROM pg_constraint AS c
     WHERE c.conrelid >= 16384 AND c.contype <> 'n'
     GROUP BY c.conrelid
), uniqueness AS (
    SELECT i.indrelid,
           count(*) AS unique_count,
           bool_or(i.indisexclusion) AS has_exclusion,
           md5(string_agg(d.text, ',' ORDER BY d.text) FILTER (WHERE i.indisvalid)) AS shape
      FROM pg_index AS i
      CROSS JOIN LATERAL concat_ws(':', i.indkey, i.indclass, i.indcollation, i.indexprs, i.indpred, i.indisexclusion,
                                   i.indnullsnotdistinct) AS d(text)
     WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid >= 16384
     GROUP BY i.indrelid
)
SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS name,
       c.relkind::text AS kind, c.relpersistence::text AS persistence, c.relreplident::text AS replica_identity,
       c.relispartition AS is_partition,
       c.relfilenode AS filenode,
       a.token,
       md5(concat_ws('|', n.nspname, c.relname, c.relkind, c.relpersistence, a.shape, r.shape, u.shape,
                     array_to_string(a.key, ','), a.is_usable, pg_get_expr(c.relpartbound, c.oid), h.inhparent)) AS shape,
       k.indexrelid AS key_index,
       CASE WHEN a.is_usable THEN a.key ELSE '{}' END AS key,
       coalesce(u.unique_count, 0) > CASE WHEN a.is_usable THEN 1 ELSE 0 END OR coalesce(u.has_exclusion, false) AS has_more_unique,
       greatest(c.reltuples, 0)::bigint AS estimated_rows,
       c.relpages::bigint * current_setting('block_size')::bigint AS estimated_bytes,
       p.oid AS publication_entry,
       p.prqual IS NOT NULL OR p.prattrs IS NOT NULL AS is_filtered,
       coalesce(m.is_configuration, false) AS is_extension_configuration,
       c.relreplident = 'f' AND current_setting('server_version_num')::int >= 180000 AND a.has_generated AS refuses_updates
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN attribute AS a ON a.attrelid = c.oid
  LEFT JOIN restriction AS r ON r.conrelid = c.oid
  LEFT JOIN uniqueness AS u ON u.indrelid = c.oid
  LEFT JOIN identity AS k ON k.indrelid = c.oid
  LEFT JOIN pg_inherits AS h ON h.inhrelid = c.oid AND c.relispartition
  LEFT JOIN pg_publication_rel AS p ON p.prrelid = c.oid
       AND p.prpubid = (SELECT oid FROM pg_publication WHERE pubname = $1)
  LEFT JOIN member AS m ON m.objid = c.oid
 WHERE c.relkind IN ('r', 'm', 'f') AND c.relpersistence <> 't' AND c.oid >= 16384
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'warmstandby') AND n.nspname !~ '^pg_'
   AND (m.objid IS NULL OR m.is_configuration)
 ORDER BY n.nspname, c.relname;

-- name: list_columns
-- Return the columns of tables by oid, in order, generated ones included.
SELECT a.attrelid AS table_oid, a.attname::text AS name,
       convert_to(a.attname::text, getdatabaseencoding()::text) AS raw_name, a.atttypid AS type_oid,
       format_type(a.atttypid, a.atttypmod) AS type,
       a.attgenerated <> '' AS is_generated, a.attidentity = 'a' AS is_identity_always
  FROM pg_attribute AS a
 WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum;

-- name: list_key_operators
-- Return, for key indexes by oid, each key column's equality operator, schema-qualified.
SELECT i.indrelid AS table_oid, a.attname::text AS name,
       format('OPERATOR(%I.%s)', n.nspname, o.oprname) AS operator
  FROM pg_index AS i
  CROSS JOIN LATERAL generate_series(0, i.indnkeyatts - 1) AS place
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place]
  JOIN pg_opclass AS c ON c.oid = i.indclass[place]
  JOIN pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3
       AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
  JOIN pg_operator AS o ON o.oid = m.amopopr
  JOIN pg_namespace AS n ON n.oid = o.oprnamespace
 WHERE i.indexrelid = ANY ($1::oid[]);

-- name: read_shape_tokens
-- Return tokens of what data depends on besides its tables: types and sequences.
SELECT (SELECT md5(coalesce(string_agg(concat_ws(':', e.enumtypid, e.enumsortorder, e.enumlabel), ',' ORDER BY e.enumtypid, e.enumsortorder), ''))
          FROM pg_enum AS e) AS enums,
       (SELECT md5(coalesce(string_agg(concat_ws(':', t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull), ',' ORDER BY t.oid), ''))
          FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
         WHERE t.oid >= 16384 AND t.typtype IN ('d', 'e', 'r', 'm', 'b') AND t.typelem = 0
           AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_') AS types,
       (SELECT md5(coalesce(string_agg(concat_ws(':', c.contypid, c.conname, c.conbin), ',' ORDER BY c.oid), ''))
          FROM pg_constraint AS c WHERE c.contypid <> 0) AS domains,
       (SELECT md5(coalesce(string_agg(concat_ws(':', a.attrelid, a.attnum, a.attname, a.atttypid, a.attisdropped), ',' ORDER BY a.attrelid, a.attnum), ''))
          FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
         WHERE c.relkind = 'c' AND c.oid >= 16384) AS composites,
       (SELECT md5(coalesce(string_agg(concat_ws(':', s.seqrelid, c.relnamespace, c.relname, s.seqtypid, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle), ',' ORDER BY s.seqrelid), ''))
          FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
         WHERE c.relpersistence <> 't') AS sequences;

-- name: read_object_tokens
-- Return tokens of objects without data: what a delta does not carry is told by comparing them.
SELECT (SELECT md5(coalesce(string_agg(p.oid || ':' || p.xmin::text, ',' ORDER BY p.oid), ''))
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE p.oid >= 16384 AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_temp') AS functions,
       (SELECT md5(coalesce(string_agg(r.ev_class || ':' || r.xmin::text, ',' ORDER BY r.oid), ''))
          FROM pg_rewrite AS r WHERE r.ev_class >= 16384) AS views,
       (SELECT md5(coalesce(string_agg(t.oid || ':' || t.xmin::text || ':' || t.tgenabled::text, ',' ORDER BY t.oid), ''))
          FROM pg_trigger AS t WHERE NOT t.tgisinternal) AS triggers,
       (SELECT md5(coalesce(string_agg(i.indexrelid::text, ',' ORDER BY i.indexrelid), ''))
          FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE i.indexrelid >= 16384 AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_') AS indexes,
       (SELECT md5(coalesce(string_agg(p.oid || ':' || p.xmin::text, ',' ORDER BY p.oid), ''))
          FROM pg_policy AS p) AS policies;

-- name: count_large_objects
-- Return how many large objects there are.
SELECT count(*) FROM pg_largeobject_metadata;

-- name: describe_server
-- Return what an export tells of its server and database.
SELECT current_setting('server_version_num')::int AS version,
       pg_encoding_to_char(d.encoding) AS encoding, d.oid AS database_oid
  FROM pg_database AS d
 WHERE d.datname = current_database();

-- name: describe_database
-- Return what the database has besides its content; the locale's column has another name since version 17.
SELECT pg_get_userbyid(d.datdba)::text AS owner, d.datcollate::text AS collate, d.datctype::text AS ctype,
       d.datlocprovider::text AS locale_provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       d.datconnlimit AS connection_limit, shobj_description(d.oid, 'pg_database') AS comment, d.datacl IS NOT NULL AS has_grants
  FROM pg_database AS d
 WHERE d.datname = current_database();

-- name: list_database_grants
-- Return who may do what with the database.
SELECT CASE WHEN g.grantee = 0 THEN NULL ELSE pg_get_userbyid(g.grantee)::text END AS grantee,
       g.privilege_type AS privilege, g.is_grantable
  FROM pg_database AS d
  CROSS JOIN LATERAL aclexplode(d.datacl) AS g
 WHERE d.datname = current_database()
 ORDER BY 1 NULLS FIRST, 2;

-- name: list_database_settings
-- Return the database's settings, for all roles and for single ones.
SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole)::text END AS role, unnest(s.setconfig) AS assignment
  FROM pg_db_role_setting AS s
  JOIN pg_database AS d ON d.oid = s.setdatabase
 WHERE d.datname = current_database();

-- name: list_populated_views
-- Return the materialized views that hold rows.
SELECT n.nspname::text AS schema_name, c.relname::text AS name
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND c.relispopulated
 ORDER BY c.oid;
