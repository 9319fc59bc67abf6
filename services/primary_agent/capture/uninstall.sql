-- What is ours in the application's database, found and removed.

-- name: list_ours
-- Return what is there of ours, in words.
SELECT format('event trigger %I', e.evtname) AS thing
  FROM pg_event_trigger AS e WHERE e.evtname IN ('warmstandby_guard', 'warmstandby_guard_drop')
UNION ALL
SELECT format('publication %I', p.pubname) FROM pg_publication AS p WHERE p.pubname = 'warmstandby'
UNION ALL
SELECT format('schema %I', n.nspname) FROM pg_namespace AS n WHERE n.nspname = 'warmstandby'
UNION ALL
SELECT format('replication slot %I', s.slot_name)
  FROM pg_replication_slots AS s WHERE s.slot_name = $1 AND s.database = current_database()
UNION ALL
SELECT format('replication origin %s', o.roname) FROM pg_replication_origin AS o WHERE o.roname = $2;

-- name: has_list_of_lent
-- Say whether there is a list of tables that were lent an identity.
SELECT to_regclass('warmstandby.lent_identity') IS NOT NULL;

-- name: drop_publication
-- Remove the publication.
DROP PUBLICATION IF EXISTS warmstandby;

-- name: drop_schema
-- Remove the schema with all that is in it.
DROP SCHEMA IF EXISTS warmstandby CASCADE;

-- name: drop_origin
-- Drop the replication origin of applied syncs.
SELECT pg_replication_origin_drop(o.roname) FROM pg_replication_origin AS o WHERE o.roname = $1;

-- name: has_captures
-- Say whether the node's own database has the agent's tables.
SELECT to_regclass('agent.captures') IS NOT NULL;
