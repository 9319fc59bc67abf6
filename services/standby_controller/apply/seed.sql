-- Shadow databases: made, filled and swapped in by the role warmstandby_apply. Names are put in, values are bound.

-- name: create_database
-- Make the shadow database.
CREATE DATABASE {database} TEMPLATE template0 OWNER {owner} ENCODING {encoding} {locale};

-- name: close_database
-- Let only ourselves connect to the shadow database.
REVOKE CONNECT ON DATABASE {database} FROM PUBLIC;

-- name: list_databases
-- Return the databases whose names begin so.
SELECT datname::text AS name FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname;

-- name: database_exists
-- Say whether a database is there.
SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1);

-- name: end_sessions
-- End every session of a database but our own; returns how many there were.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid();

-- name: list_slots
-- Return the replication slots of a database, which keep it from being dropped.
SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = $1;

-- name: drop_our_slots
-- Drop the slots of ours in a database: they keep it from being dropped, and hold the server's log for one that is kept.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
 WHERE database = $1 AND starts_with(slot_name, 'warmstandby_');

-- name: rename_database
-- Give a database another name.
ALTER DATABASE {database} RENAME TO {name};

-- name: drop_database
-- Drop a database with its sessions.
DROP DATABASE IF EXISTS {database} WITH (FORCE);

-- name: delete_all
-- Empty a table that an extension filled when it was made.
DELETE FROM ONLY {table};

-- name: analyze
-- Let the planner know a table: a copy that takes over is as fast as the original from its first query.
ANALYZE {table};

-- name: refresh_view
-- Fill a materialized view.
REFRESH MATERIALIZED VIEW {view};

-- name: read_seed
-- Return the seed that made the database.
SELECT seed_id FROM warmstandby.cursor WHERE component = $1;

-- name: is_superuser
-- Say whether our role is a superuser.
SELECT rolsuper FROM pg_roles WHERE rolname = current_user;

-- name: list_roles
-- Return the roles that exist here, of those named.
SELECT rolname::text AS name FROM pg_roles WHERE rolname = ANY ($1::text[]);

-- name: read_role
-- Return the role of this session.
SELECT current_user::text;
