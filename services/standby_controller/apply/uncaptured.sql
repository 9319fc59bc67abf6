-- What no captured key tells of, on the standby: materialized views and large objects. Names are put in, values are bound.

-- name: list_refusing
-- Return those of these tables (quoted names) that our role may not write to; what is not here is no matter of rights.
SELECT t.name
  FROM unnest($1::text[]) AS t (name)
 WHERE NOT (SELECT has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                   AND has_table_privilege(c.oid, 'DELETE')
              FROM to_regclass(t.name) AS c (oid) WHERE c.oid IS NOT NULL);

-- name: find_difference
-- Pair off the rows of the copy and the landed ones that look the same, each once; what is left is what differs.
CREATE TEMP TABLE {difference} ON COMMIT DROP AS
SELECT here.place AS here, there.place AS there, here.one
  FROM (SELECT t.ctid AS place, h.one, h.two, row_number() OVER (PARTITION BY h.one, h.two) AS number
          FROM ONLY {table} AS t
         CROSS JOIN LATERAL (SELECT {row} AS image OFFSET 0) AS i
         CROSS JOIN LATERAL (SELECT hashtextextended(i.image, 0) AS one, hashtextextended(i.image, 1) AS two OFFSET 0) AS h) AS here
  FULL JOIN (SELECT t.ctid AS place, h.one, h.two, row_number() OVER (PARTITION BY h.one, h.two) AS number
               FROM pg_temp.{rows} AS t
              CROSS JOIN LATERAL (SELECT {row} AS image OFFSET 0) AS i
              CROSS JOIN LATERAL (SELECT hashtextextended(i.image, 0) AS one, hashtextextended(i.image, 1) AS two OFFSET 0) AS h) AS there
    ON there.one = here.one AND there.two = here.two AND there.number = here.number
 WHERE here.place IS NULL OR there.place IS NULL;
ANALYZE {difference};

-- name: count_difference
-- Count what has to go and what has to come.
SELECT count(here) AS deleted, count(there) AS inserted FROM pg_temp.{difference};

-- name: delete_difference
-- Delete the rows that the source has not; each is looked at again, should its place be another row's by now.
DELETE FROM ONLY {table} AS t USING pg_temp.{difference} AS d
 WHERE t.ctid = d.here AND hashtextextended({row}, 0) = d.one;

-- name: insert_difference
-- Insert the rows that only the source has.
INSERT INTO {table} {listed} OVERRIDING SYSTEM VALUE
SELECT {columns} FROM pg_temp.{rows} AS t JOIN pg_temp.{difference} AS d ON t.ctid = d.there;

-- name: list_views
-- Return the materialized views, each after those that it reads, be it through ordinary views.
WITH RECURSIVE reads AS (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS read
      FROM pg_rewrite AS r
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')
     WHERE r.ev_type = '1' AND d.refobjid <> r.ev_class AND r.ev_class >= 16384
), reach AS (
    SELECT reader, read FROM reads
    UNION
    SELECT reach.reader, reads.read FROM reach JOIN reads ON reads.reader = reach.read
)
SELECT n.nspname::text AS schema_name, c.relname::text AS name, c.relispopulated AS is_populated
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm'
 ORDER BY (SELECT count(*) FROM reach JOIN pg_class AS m ON m.oid = reach.read AND m.relkind = 'm'
            WHERE reach.reader = c.oid), c.oid;

-- name: recall_views
-- Return the digests that the source's views had when ours were last filled.
SELECT manifest ->> 'views' FROM warmstandby.cursor WHERE component = $1;

-- name: remember_views
-- Keep those digests beside the cursor, in the transaction that moves it.
UPDATE warmstandby.cursor SET manifest = manifest || jsonb_build_object('views', $2::text::jsonb) WHERE component = $1;

-- name: recall_counters
-- Return what the source had counted of its tables when ours were last compared with them.
SELECT manifest ->> 'counters' FROM warmstandby.cursor WHERE component = $1;

-- name: remember_counters
-- Keep those counters beside the cursor, in the transaction that moves it.
UPDATE warmstandby.cursor SET manifest = manifest || jsonb_build_object('counters', $2::text::jsonb) WHERE component = $1;

-- name: refresh_view
-- Fill a materialized view.
REFRESH MATERIALIZED VIEW {view};

-- name: empty_view
-- Empty a materialized view.
REFRESH MATERIALIZED VIEW {view} WITH NO DATA;

-- name: count_own_objects
-- Return how many large objects there are here.
SELECT count(*) FROM pg_largeobject_metadata;

-- name: make_object_tables
-- Make the landing tables of large objects: what the source has, what is here, what has to come, what did not go well.
CREATE TEMP TABLE objects_there (
    oid oid PRIMARY KEY, owner text NOT NULL, rights text NOT NULL, comment text, size bigint, digest bytea
);
CREATE TEMP TABLE objects_content (oid oid NOT NULL, place bigint NOT NULL, data bytea NOT NULL);
ALTER TABLE pg_temp.objects_content ALTER data SET STORAGE EXTERNAL;
CREATE TEMP TABLE objects_trouble (oid oid NOT NULL, reason text NOT NULL);

-- name: find_changed_objects
-- Find the large objects whose content is not the same on both sides. What the source may not read stays as it is here.
CREATE TEMP TABLE objects_here AS {objects};
CREATE TEMP TABLE objects_changed AS
SELECT oid, h.oid IS NOT NULL AS is_here, t.oid IS NOT NULL AS is_there, h.digest IS NOT NULL AS is_readable,
       coalesce(t.size, 0) AS size
  FROM pg_temp.objects_here AS h FULL JOIN pg_temp.objects_there AS t USING (oid)
 WHERE t.oid IS NULL OR (t.digest IS NOT NULL AND h.digest IS DISTINCT FROM t.digest);
CREATE UNIQUE INDEX ON pg_temp.objects_changed (oid);
ANALYZE objects_changed;

-- name: list_wanted_objects
-- Return the next large objects whose content has to come.
SELECT oid FROM pg_temp.objects_changed WHERE is_there AND oid > $1 ORDER BY oid LIMIT $2;

-- name: count_changed_objects
-- Return how many large objects are to be made, changed or removed.
SELECT count(*) FROM pg_temp.objects_changed;

-- name: index_contents
-- Let each object's pieces be found.
CREATE INDEX ON pg_temp.objects_content (oid, place);
ANALYZE objects_content;

-- name: find_incomplete_object
-- Return a large object of which not all came.
SELECT c.oid
  FROM pg_temp.objects_changed AS c
  LEFT JOIN pg_temp.objects_content AS p ON p.oid = c.oid
 WHERE c.is_there
 GROUP BY c.oid, c.size
HAVING coalesce(sum(length(p.data)), 0) <> c.size
 LIMIT 1;

-- name: replace_objects
-- Make the contents the source's. What our role may not touch stays, and is told.
DO $do$
DECLARE
    changed record;
BEGIN
    FOR changed IN SELECT * FROM pg_temp.objects_changed LOOP
        BEGIN
            IF changed.is_here THEN
                PERFORM lo_unlink(changed.oid);
            END IF;
            IF changed.is_there THEN
                PERFORM lo_create(changed.oid);
                PERFORM lo_put(changed.oid, p.place, p.data)
                   FROM (SELECT * FROM pg_temp.objects_content AS c WHERE c.oid = changed.oid ORDER BY c.place) AS p;
            END IF;
        EXCEPTION WHEN insufficient_privilege OR unique_violation OR undefined_object THEN
            INSERT INTO pg_temp.objects_trouble VALUES (changed.oid, SQLERRM);
        END;
    END LOOP;
END
$do$;

-- name: set_object_properties
-- Make owners, rights and comments the source's. What our role may not give stays, and is told.
DO $do$
DECLARE
    wanted record;
    item record;
BEGIN
    FOR wanted IN
        SELECT t.oid, t.owner, t.rights, t.comment, pg_get_userbyid(m.lomowner) AS present_owner,
               obj_description(m.oid, 'pg_largeobject') AS present_comment
          FROM pg_temp.objects_there AS t
          JOIN pg_largeobject_metadata AS m ON m.oid = t.oid
         WHERE (t.owner, t.rights, t.comment)
               IS DISTINCT FROM (pg_get_userbyid(m.lomowner)::text, {rights}, obj_description(m.oid, 'pg_largeobject'))
    LOOP
        BEGIN
            IF wanted.comment IS DISTINCT FROM wanted.present_comment THEN
                EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', wanted.oid, wanted.comment);
            END IF;
            IF wanted.owner <> wanted.present_owner THEN
                EXECUTE format('ALTER LARGE OBJECT %s OWNER TO %I', wanted.oid, wanted.owner);
            END IF;
            IF wanted.rights IS DISTINCT FROM (SELECT {rights} FROM pg_largeobject_metadata AS m WHERE m.oid = wanted.oid) THEN
                FOR item IN
                    SELECT DISTINCT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS grantee
                      FROM pg_largeobject_metadata AS m
                     CROSS JOIN LATERAL aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS g
                     WHERE m.oid = wanted.oid
                LOOP
                    EXECUTE format('REVOKE ALL ON LARGE OBJECT %s FROM %s CASCADE', wanted.oid, item.grantee);
                END LOOP;
                FOR item IN
                    SELECT coalesce(quote_ident(g.value ->> 0), 'PUBLIC') AS grantee, g.value ->> 1 AS privilege,
                           CASE WHEN (g.value -> 2)::boolean THEN 'WITH GRANT OPTION' ELSE '' END AS addition
                      FROM jsonb_array_elements(wanted.rights::jsonb) AS g
                LOOP
                    EXECUTE format('GRANT %s ON LARGE OBJECT %s TO %s %s', item.privilege, wanted.oid, item.grantee, item.addition);
                END LOOP;
            END IF;
        EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
            INSERT INTO pg_temp.objects_trouble VALUES (wanted.oid, SQLERRM);
        END;
    END LOOP;
END
$do$;

-- name: list_trouble
-- Say what did not go well with large objects: how many, and one of them.
SELECT count(DISTINCT oid) AS count, min(oid::bigint) AS oid, (array_agg(reason ORDER BY oid))[1] AS reason
  FROM pg_temp.objects_trouble
HAVING count(*) > 0;
