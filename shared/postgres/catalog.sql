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
                                            a.attidentity, a.attcollation, a.attisdropped, g.adbin::text), 0)) AS shape,
           bit_xor(hash_record_extended(ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attidentity,
                                            a.attcollation, a.attisdropped, g.adbin::text), 0)) AS columns
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
       concat_ws(':', md5(concat_ws('|', c.relkind, c.relpersistence, array_to_string(a.key, ','), a.is_usable)), a.columns) AS columns_shape,
       c.relnatts AS column_count,
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

-- name: list_shapes_before
-- Return what `columns_shape` ends with for the first so many columns, of tables by oid, and whether those that came after
-- are empty in every row that was there before them.
SELECT a.attrelid AS table_oid,
       bit_xor(hash_record_extended(ROW(a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attidentity,
                                        a.attcollation, a.attisdropped, g.adbin::text), 0))
           FILTER (WHERE a.attnum <= t.column_count)::text AS columns,
       bool_and(a.attnum <= t.column_count OR a.attisdropped
                OR NOT a.atthasmissing AND a.attgenerated = '' AND a.attidentity = '') AS is_empty_after
  FROM unnest($1::oid[], $2::integer[]) AS t(oid, column_count)
  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef AS g ON g.adrelid = a.attrelid AND g.adnum = a.attnum AND a.attgenerated <> ''
 GROUP BY a.attrelid;

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

-- name: read_definitions_token
-- Return a token of all that pg_dump writes besides what list_tables tells of tables: one that changed says that a dump
-- may differ, one that did not that it cannot. Rows by oid and xmin, but of pg_class only what no TRUNCATE or VACUUM sets.
WITH relation AS (
    SELECT c.oid, c.relkind, c.relname, c.relnamespace, c.relowner, c.relacl, c.reloptions, c.relreplident, c.relrowsecurity,
           c.relforcerowsecurity, c.reltablespace, c.relam, c.relispartition, c.relpartbound
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_'
), publication AS (
    SELECT p.oid, p.xmin FROM pg_publication AS p WHERE p.pubname <> 'warmstandby'
), part (catalog, object, place, version) AS (
    SELECT 'pg_class', r.oid, 0,
           hashtextextended(concat_ws('|', r.relkind, r.relname, r.relnamespace, r.relowner, r.relacl, r.reloptions, r.relreplident,
                                      r.relrowsecurity, r.relforcerowsecurity, r.reltablespace, r.relam, r.relispartition,
                                      r.relpartbound), 0)
      FROM relation AS r
     UNION ALL SELECT 'pg_attribute', a.attrelid, a.attnum, a.xmin::text::bigint
      FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid AND r.relkind NOT IN ('r', 'm', 'f', 'i', 'I')
     UNION ALL SELECT 'pg_attrdef', d.oid, 0, d.xmin::text::bigint FROM pg_attrdef AS d JOIN relation AS r ON r.oid = d.adrelid
     UNION ALL SELECT 'pg_constraint', c.oid, 0, c.xmin::text::bigint
      FROM pg_constraint AS c
     WHERE c.oid >= 16384 AND (c.contypid <> 0 OR c.conrelid IN (SELECT r.oid FROM relation AS r))
     UNION ALL SELECT 'pg_index', i.indexrelid, 0, i.xmin::text::bigint FROM pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
     UNION ALL SELECT 'pg_trigger', t.oid, 0, t.xmin::text::bigint
      FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
     UNION ALL SELECT 'pg_rewrite', w.oid, 0, w.xmin::text::bigint FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
     UNION ALL SELECT 'pg_policy', p.oid, 0, p.xmin::text::bigint FROM pg_policy AS p
     UNION ALL SELECT 'pg_inherits', h.inhrelid, h.inhseqno, h.inhparent::bigint
      FROM pg_inherits AS h JOIN relation AS r ON r.oid = h.inhrelid
     UNION ALL SELECT 'pg_sequence', s.seqrelid, 0, s.xmin::text::bigint
      FROM pg_sequence AS s JOIN relation AS r ON r.oid = s.seqrelid
     UNION ALL SELECT 'pg_statistic_ext', x.oid, 0, x.xmin::text::bigint
      FROM pg_statistic_ext AS x JOIN relation AS r ON r.oid = x.stxrelid
     UNION ALL SELECT 'pg_namespace', n.oid, 0, n.xmin::text::bigint
      FROM pg_namespace AS n WHERE n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_'
     UNION ALL SELECT 'pg_proc', f.oid, 0, f.xmin::text::bigint
      FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
     WHERE f.oid >= 16384 AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_temp'
     UNION ALL SELECT 'pg_type', t.oid, 0, t.xmin::text::bigint
      FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
     WHERE t.oid >= 16384 AND n.nspname <> 'warmstandby' AND n.nspname !~ '^pg_'
     UNION ALL SELECT 'pg_enum', e.oid, 0, e.xmin::text::bigint FROM pg_enum AS e
     UNION ALL SELECT 'pg_description', d.objoid, d.objsubid, hashtextextended(concat_ws('|', d.classoid, d.description), 0)
      FROM pg_description AS d
     WHERE d.objoid >= 16384 AND (d.classoid <> 'pg_class'::regclass OR d.objoid IN (SELECT r.oid FROM relation AS r))
     UNION ALL SELECT 'pg_seclabel', l.objoid, l.objsubid, l.xmin::text::bigint FROM pg_seclabel AS l
     UNION ALL SELECT 'pg_default_acl', d.oid, 0, d.xmin::text::bigint FROM pg_default_acl AS d
     UNION ALL SELECT 'pg_extension', x.oid, 0, x.xmin::text::bigint FROM pg_extension AS x
     UNION ALL SELECT 'pg_cast', c.oid, 0, c.xmin::text::bigint FROM pg_cast AS c WHERE c.oid >= 16384
     UNION ALL SELECT 'pg_operator', o.oid, 0, o.xmin::text::bigint FROM pg_operator AS o WHERE o.oid >= 16384
     UNION ALL SELECT 'pg_opclass', o.oid, 0, o.xmin::text::bigint FROM pg_opclass AS o WHERE o.oid >= 16384
     UNION ALL SELECT 'pg_opfamily', o.oid, 0, o.xmin::text::bigint FROM pg_opfamily AS o WHERE o.oid >= 16384
     UNION ALL SELECT 'pg_amop', o.oid, 0, o.xmin::text::bigint FROM pg_amop AS o WHERE o.oid >= 16384
     UNION ALL SELECT 'pg_amproc', o.oid, 0, o.xmin::text::bigint FROM pg_amproc AS o WHERE o.oid >= 16384
     UNION ALL SELECT 'pg_aggregate', a.aggfnoid::oid, 0, a.xmin::text::bigint FROM pg_aggregate AS a WHERE a.aggfnoid::oid >= 16384
     UNION ALL SELECT 'pg_collation', c.oid, 0, c.xmin::text::bigint FROM pg_collation AS c WHERE c.oid >= 16384
     UNION ALL SELECT 'pg_conversion', c.oid, 0, c.xmin::text::bigint FROM pg_conversion AS c WHERE c.oid >= 16384
     UNION ALL SELECT 'pg_language', l.oid, 0, l.xmin::text::bigint FROM pg_language AS l
     UNION ALL SELECT 'pg_am', a.oid, 0, a.xmin::text::bigint FROM pg_am AS a WHERE a.oid >= 16384
     UNION ALL SELECT 'pg_transform', t.oid, 0, t.xmin::text::bigint FROM pg_transform AS t
     UNION ALL SELECT 'pg_ts_config', t.oid, 0, t.xmin::text::bigint FROM pg_ts_config AS t WHERE t.oid >= 16384
     UNION ALL SELECT 'pg_ts_config_map', m.mapcfg, m.maptokentype * 100 + m.mapseqno, m.mapdict::bigint
      FROM pg_ts_config_map AS m WHERE m.mapcfg >= 16384
     UNION ALL SELECT 'pg_ts_dict', t.oid, 0, t.xmin::text::bigint FROM pg_ts_dict AS t WHERE t.oid >= 16384
     UNION ALL SELECT 'pg_ts_parser', t.oid, 0, t.xmin::text::bigint FROM pg_ts_parser AS t WHERE t.oid >= 16384
     UNION ALL SELECT 'pg_ts_template', t.oid, 0, t.xmin::text::bigint FROM pg_ts_template AS t WHERE t.oid >= 16384
     UNION ALL SELECT 'pg_foreign_data_wrapper', f.oid, 0, f.xmin::text::bigint FROM pg_foreign_data_wrapper AS f
     UNION ALL SELECT 'pg_foreign_server', f.oid, 0, f.xmin::text::bigint FROM pg_foreign_server AS f
     UNION ALL SELECT 'pg_foreign_table', f.ftrelid, 0, f.xmin::text::bigint FROM pg_foreign_table AS f
     UNION ALL SELECT 'pg_event_trigger', t.oid, 0, t.xmin::text::bigint
      FROM pg_event_trigger AS t WHERE t.evtname NOT IN ('warmstandby_guard', 'warmstandby_guard_drop')
     UNION ALL SELECT 'pg_publication', p.oid, 0, p.xmin::text::bigint FROM publication AS p
     UNION ALL SELECT 'pg_publication_rel', m.oid, 0, m.xmin::text::bigint
      FROM pg_publication_rel AS m JOIN publication AS p ON p.oid = m.prpubid
     UNION ALL SELECT 'pg_publication_namespace', m.oid, 0, m.xmin::text::bigint
      FROM pg_publication_namespace AS m JOIN publication AS p ON p.oid = m.pnpubid
)
SELECT count(*) || ':' || coalesce(bit_xor(hash_record_extended(ROW(p.catalog, p.object, p.place, p.version), 0)), 0)
  FROM part AS p;

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
