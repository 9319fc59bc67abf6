-- Who is inside the components' databases, and ending them.

-- name: list_inside
-- Return the backends of these databases but ours and those of the roles named; the server's own upkeep is no session.
SELECT a.pid, a.datname::text AS database, a.usename::text AS role, a.application_name AS application,
       coalesce(a.backend_type, 'backend') AS kind, coalesce(r.rolsuper, true) AS is_superuser, a.backend_start AS started_at
  FROM pg_stat_activity AS a
  LEFT JOIN pg_roles AS r ON r.oid = a.usesysid
 WHERE a.datname = ANY ($1::text[]) AND a.pid <> pg_backend_pid()
   AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
   AND (a.usename IS NULL OR a.usename <> ALL ($2::text[]))
 ORDER BY a.pid;

-- name: list_entering
-- Return the connections still being made: they hold a transaction of their own, and version 18 calls them starting.
-- Such a connection is judged by the rules that held when it began.
SELECT l.pid
  FROM pg_locks AS l
  LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
 WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid()
   AND (a.pid IS NULL OR a.state = 'starting');

-- name: read_rights
-- Say whether our role may end superusers' sessions, by its rank or by the function of docs/roles.sql.
SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
       coalesce(has_function_privilege(to_regprocedure('lent.end_sessions(integer[])'), 'EXECUTE'), false) AS has_lent;

-- name: end_sessions
-- End these backends.
SELECT count(pg_terminate_backend(pid)) FROM unnest($1::int[]) AS pid;

-- name: end_sessions_as_lent
-- End these backends by the right that docs/roles.sql lends.
SELECT lent.end_sessions($1::int[]);

-- name: list_prepared
-- Return the transactions that are prepared in these databases.
SELECT gid, database::text AS database, owner::text AS owner, prepared AS prepared_at
  FROM pg_prepared_xacts
 WHERE database = ANY ($1::text[])
 ORDER BY prepared, gid;

-- name: act_as
-- Act as another role.
SET ROLE {role};

-- name: rollback_prepared
-- Roll a prepared transaction back.
ROLLBACK PREPARED {gid};
