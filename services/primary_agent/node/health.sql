-- name: look_at_server
-- Says what server this is and since when it runs.
SELECT current_setting('server_version_num')::int AS version_number,
       split_part(current_setting('server_version'), ' ', 1) AS version,
       current_setting('wal_level') AS wal_level,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       pg_postmaster_start_time() AS postmaster_started_at

-- name: try_write
-- Writes to the log and waits for the disk; fails where the server takes no writes, touches no table.
SELECT pg_logical_emit_message(true, 'warmstandby', '')

-- name: current_role
-- Names the role for people.
SELECT quote_ident(current_user)

-- name: may_create
-- Says whether the role can make Warmstandby's own schema.
SELECT has_database_privilege(current_database(), 'CREATE')

-- name: try_replication
-- Fails for a role that may not use slots; touches none, and leaves no line in the server's log.
DO $$
BEGIN
    PERFORM pg_drop_replication_slot('warmstandby_no_such_slot');
EXCEPTION
    WHEN undefined_object THEN NULL;
END
$$

-- name: holds_tables
-- Says whether an application has tables here; Warmstandby's own schema does not count.
SELECT EXISTS (
    SELECT
    FROM pg_class AS table_row
    JOIN pg_namespace AS namespace ON namespace.oid = table_row.relnamespace
    WHERE table_row.relkind IN ('r', 'p')
      AND namespace.nspname NOT IN ('pg_catalog', 'information_schema', 'warmstandby')
      AND namespace.nspname !~ '^pg_(toast|temp)'
)
