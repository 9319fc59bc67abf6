-- The DDL guard: a table that loses its usable identity leaves our publication in the same transaction, so that the
-- application's next UPDATE or DELETE works as it did before we came. It looks at the catalog, never at the query text,
-- does nothing for a table that keeps its key, waits for nobody, and never raises.

-- name: list_lost
-- Return the published tables (those put in) of which the server refuses UPDATE and DELETE, or whose key we cannot read.
-- From version 18 on a replica identity may hold no generated column, and FULL holds them all.
SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS name
  FROM pg_publication AS p
  JOIN pg_publication_rel AS r ON r.prpubid = p.oid
  JOIN pg_class AS c ON c.oid = r.prrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_index AS i
    ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
   AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
 WHERE p.pubname = 'warmstandby' AND r.prrelid {wanted}
   AND CASE WHEN c.relreplident = 'f'
            THEN current_setting('server_version_num')::int >= 180000
             AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attgenerated <> '')
            ELSE i.indrelid IS NULL
              OR EXISTS (SELECT FROM pg_attribute AS a
                          WHERE a.attrelid = c.oid AND a.attgenerated <> ''
                            AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
       END

-- name: has_lent
-- Say whether a table was lent an identity.
SELECT EXISTS (SELECT FROM warmstandby.lent_identity);

-- name: list_lent
-- Return the published tables that were lent an identity.
SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS name
  FROM warmstandby.lent_identity AS l
  JOIN pg_class AS c ON c.oid = l.relid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_publication_rel AS r ON r.prrelid = c.oid
  JOIN pg_publication AS p ON p.oid = r.prpubid AND p.pubname = 'warmstandby';

-- name: list_returnable
-- Return the tables that can have their own identity again, as they left the publication; is_lent is false for those that
-- are gone, or that the application has set to something else.
SELECT l.relid AS oid, n.nspname::text AS schema_name, c.relname::text AS name,
       coalesce(c.relreplident = 'f', false) AS is_lent,
       CASE l.identity WHEN 'd' THEN 'DEFAULT' ELSE 'NOTHING' END AS identity
  FROM warmstandby.lent_identity AS l
  LEFT JOIN pg_class AS c ON c.oid = l.relid
  LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT EXISTS (SELECT FROM pg_publication_rel AS r
                     JOIN pg_publication AS p ON p.oid = r.prpubid
                    WHERE r.prrelid = l.relid AND p.pubname = 'warmstandby');

-- name: hold_table
-- Take a table if nobody else has it.
LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE NOWAIT;

-- name: give_back
-- Set a table's identity.
ALTER TABLE ONLY {table} REPLICA IDENTITY {identity};

-- name: forget_lent
-- Note that a table has its own identity again.
DELETE FROM warmstandby.lent_identity WHERE relid = $1;

-- name: try_gate
-- Take, to the end of the transaction, the right to change the publication, unless somebody has it: who takes a table out
-- of a publication holds all of it until the commit, and migrations of different tables must not wait for each other.
SELECT pg_try_advisory_xact_lock(hashtextextended('warmstandby.publication', 0))

-- name: find_guard
-- Return the definition that the installed guard was made from, and whether only we can change what it calls.
SELECT (SELECT obj_description(min(e.evtfoid::bigint)::oid, 'pg_proc') FROM pg_event_trigger AS e
         WHERE e.evtname IN ('warmstandby_guard', 'warmstandby_guard_drop') AND e.evtenabled = 'A'
        HAVING count(*) = 2 AND count(DISTINCT e.evtfoid) = 1) AS digest,
       EXISTS (SELECT FROM pg_namespace AS n
                WHERE n.nspname = 'warmstandby' AND pg_has_role(n.nspowner, current_user, 'MEMBER')
                  AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) AS a
                                   WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner)) AS is_ours;

-- name: install_guard
-- Install the guard (superusers only).
CREATE OR REPLACE FUNCTION warmstandby.run_quietly(statement text) RETURNS void
LANGUAGE plpgsql SET {quiet} AS $$
BEGIN
    EXECUTE statement;  -- event triggers of the application do not see it
END
$$;
REVOKE ALL ON FUNCTION warmstandby.run_quietly(text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION warmstandby.guard_publication() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$
DECLARE
    dropped text[];
    touched oid[];
    oids    oid[];
    names   text[];
BEGIN
    IF tg_event = 'sql_drop' AND tg_tag = 'ALTER TABLE' THEN
        RETURN;  -- it comes again at its end
    END IF;
    IF tg_event = 'ddl_command_end' THEN
        WITH RECURSIVE altered (relid) AS (
            SELECT d.objid FROM pg_event_trigger_ddl_commands() AS d WHERE d.classid = 'pg_class'::regclass
             UNION
            SELECT h.inhrelid FROM altered JOIN pg_inherits AS h ON h.inhparent = altered.relid
        )
        SELECT array_agg(relid) INTO touched FROM altered;
    ELSE
        -- Not what went with its table; an index of a primary key goes with its constraint only.
        SELECT array_agg(DISTINCT d.object_type) INTO dropped
          FROM pg_event_trigger_dropped_objects() AS d
         WHERE NOT d.is_temporary
           AND (d.object_type = 'table column' OR d.object_type IN ('index', 'table constraint') AND (d.original OR d.normal));
        IF dropped IS NULL THEN
            RETURN;
        END IF;
        SELECT array_agg(c.oid) INTO touched
          FROM pg_publication_rel AS r
          JOIN pg_class AS c ON c.oid = r.prrelid
         WHERE dropped <> '{index}' OR c.relreplident = 'i';
    END IF;
    SELECT array_agg(lost.oid ORDER BY lost.oid), array_agg(format('ONLY %I.%I', lost.schema_name, lost.name) ORDER BY lost.oid)
      INTO oids, names
      FROM ({lost}) AS lost;
    IF oids IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        IF ({gate}) THEN
            PERFORM warmstandby.run_quietly('ALTER PUBLICATION warmstandby DROP TABLE ' || array_to_string(names, ', '));
            RETURN;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;  -- an administrator holds the publication
    END;
    -- Another migration holds the publication until its end: UPDATE and DELETE work with FULL too, the agent mends it soon.
    FOR place IN 1 .. cardinality(oids) LOOP
        BEGIN
            INSERT INTO warmstandby.lent_identity (relid, identity)
            SELECT c.oid, c.relreplident FROM pg_class AS c WHERE c.oid = oids[place] AND c.relreplident <> 'f'
                ON CONFLICT (relid) DO UPDATE SET identity = excluded.identity;
            PERFORM warmstandby.run_quietly(format('ALTER TABLE %s REPLICA IDENTITY FULL', names[place]));
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- the agent takes the table out at its next look
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    NULL;  -- the application's statement comes first
END
$$;
REVOKE ALL ON FUNCTION warmstandby.guard_publication() FROM PUBLIC;
COMMENT ON FUNCTION warmstandby.guard_publication() IS {digest};

DROP EVENT TRIGGER IF EXISTS warmstandby_guard;
CREATE EVENT TRIGGER warmstandby_guard ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION warmstandby.guard_publication();
ALTER EVENT TRIGGER warmstandby_guard ENABLE ALWAYS;
DROP EVENT TRIGGER IF EXISTS warmstandby_guard_drop;
CREATE EVENT TRIGGER warmstandby_guard_drop ON sql_drop EXECUTE FUNCTION warmstandby.guard_publication();
ALTER EVENT TRIGGER warmstandby_guard_drop ENABLE ALWAYS;

-- name: remove_guard
-- Take the guard away (its functions go with the schema).
DROP EVENT TRIGGER IF EXISTS warmstandby_guard;
DROP EVENT TRIGGER IF EXISTS warmstandby_guard_drop;
