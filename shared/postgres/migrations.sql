-- Named queries of migrations.py. {table} is the schema's table of migrations.

-- name: lock_schema
-- Let one session at a time migrate a schema; released at the end of the transaction.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('warmstandby migrations of ' || $1, 0))

-- name: find_schema
-- Say whether the schema exists.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)

-- name: find_table
-- Say whether the table of migrations exists.
SELECT pg_catalog.to_regclass($1) IS NOT NULL

-- name: create_table
-- Make the table of migrations.
CREATE TABLE IF NOT EXISTS {table} (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.now()
)

-- name: read_version
-- Return the number of the last applied migration.
SELECT coalesce(max(version), 0) FROM {table}

-- name: note_migration
-- Record a migration as applied.
INSERT INTO {table} (version, name) VALUES ($1, $2)
