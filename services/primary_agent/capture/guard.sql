-- The DDL guard: a table that loses its usable identity leaves our publication in the same transaction, so that the
-- application's next UPDATE or DELETE works as it did before we came. It looks at the catalog, never at the query text,
-- does nothing for a table that keeps its key, and never raises.

-- name: has_guard
-- Say whether the guard is installed and enabled.
SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'warmstandby_guard' AND evtenabled = 'A')
   AND to_regprocedure('warmstandby.guard_publication()') IS NOT NULL;

-- name: install_guard
-- Install the guard (superusers only).
CREATE OR REPLACE FUNCTION warmstandby.guard_publication() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
    lost record;
BEGIN
    -- DROP TABLE takes no key from another table, and applications drop temporary tables all day.
    IF tg_tag <> 'ALTER TABLE' AND (tg_tag NOT LIKE 'DROP %' OR tg_tag = 'DROP TABLE') THEN
        RETURN;
    END IF;
    FOR lost IN
        SELECT n.nspname, c.relname
          FROM pg_publication AS p
          JOIN pg_publication_rel AS r ON r.prpubid = p.oid
          JOIN pg_class AS c ON c.oid = r.prrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE p.pubname = 'warmstandby'
           AND c.relreplident <> 'f'
           AND NOT EXISTS (SELECT FROM pg_index AS i
                            WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL
                              AND ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident)))
    LOOP
        EXECUTE format('ALTER PUBLICATION warmstandby DROP TABLE %I.%I', lost.nspname, lost.relname);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    NULL;  -- the application's statement comes first; the agent takes the table out at its next look
END
$$;
DROP EVENT TRIGGER IF EXISTS warmstandby_guard;
CREATE EVENT TRIGGER warmstandby_guard ON ddl_command_end EXECUTE FUNCTION warmstandby.guard_publication();
ALTER EVENT TRIGGER warmstandby_guard ENABLE ALWAYS;

-- name: remove_guard
-- Take the guard away.
DROP EVENT TRIGGER IF EXISTS warmstandby_guard;
DROP FUNCTION IF EXISTS warmstandby.guard_publication();
