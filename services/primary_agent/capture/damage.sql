-- Our tables in the node's own database, when somebody took some of them away.

-- name: has_migrations
-- Say whether the schema was made once.
SELECT to_regclass('agent.migrations') IS NOT NULL;

-- name: list_missing
-- Return the tables that the schema should have in the version it is at.
SELECT t.name
  FROM (VALUES ('captures', 1), ('spool', 1), ('table_states', 1), ('sync_points', 1), ('subscribers', 1), ('guard', 1),
               ('base_points', 2), ('record_copy', 3)) AS t (name, version)
 WHERE t.version <= (SELECT max(m.version) FROM agent.migrations AS m) AND to_regclass('agent.' || t.name) IS NULL
 ORDER BY t.name;

-- name: has_record_copy
-- Say whether the copy of the node's record is there.
SELECT to_regclass('agent.record_copy') IS NOT NULL;

-- name: read_record_copy
-- Return the copies of the node's record.
SELECT pair_id, node_id, serial, document::text AS document FROM agent.record_copy;

-- name: write_record_copy
-- Put a copy back; a newer one stays.
INSERT INTO agent.record_copy (pair_id, node_id, serial, document) VALUES ($1, $2, $3, $4::text::jsonb)
ON CONFLICT DO NOTHING;

-- name: drop_schema
-- Take away what is left.
DROP SCHEMA agent CASCADE;
