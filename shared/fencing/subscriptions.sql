-- Subscriptions of native logical replication that write into a component's database.

-- name: list_enabled
-- Return the enabled subscriptions of these databases.
SELECT d.oid AS database_oid, d.datname::text AS database, d.datdba AS owner, s.subname::text AS name
  FROM pg_subscription AS s
  JOIN pg_database AS d ON d.oid = s.subdbid
 WHERE d.datname = ANY ($1::text[]) AND s.subenabled
 ORDER BY d.datname, s.subname;

-- name: record_database
-- Put a database on record for its subscriptions, unless it is there.
INSERT INTO fence.closed (database_oid, database, owner) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: record_subscription
-- Note a subscription that is about to be disabled.
INSERT INTO fence.subscriptions (database_oid, name) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: list_recorded
-- Return the subscriptions on record of these databases that are still there and disabled.
SELECT d.datname::text AS database, s.subname::text AS name
  FROM fence.subscriptions AS f
  JOIN pg_database AS d ON d.oid = f.database_oid
  JOIN pg_subscription AS s ON s.subdbid = d.oid AND s.subname = f.name
 WHERE d.datname = ANY ($1::text[]) AND NOT s.subenabled
 ORDER BY d.datname, s.subname;

-- name: switch_subscription
-- Enable or disable a subscription.
ALTER SUBSCRIPTION {name} {verb};
