-- The role that applies: its right to log in, its sessions, and the guard rows that its transactions read.

-- name: read_role
-- Return whether the role may log in, and by what right we may change that.
SELECT r.rolcanlogin AS may_login, r.rolname = 'warmstandby_apply' AS is_usual,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
       coalesce(has_function_privilege(to_regprocedure('lent.set_apply_login(boolean)'), 'EXECUTE'), false) AS has_lent
  FROM pg_roles AS r
 WHERE r.rolname = $1;

-- name: set_login
-- Give or take the right to log in.
ALTER ROLE {role} {login};

-- name: set_login_as_lent
-- Give or take it by the right that docs/roles.sql lends.
SELECT lent.set_apply_login($1);

-- name: list_sessions
-- Return the sessions of a role.
SELECT pid FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid() ORDER BY pid;

-- name: end_sessions
-- End the sessions of a role.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid();

-- name: end_sessions_as_lent
-- End them by the right that docs/roles.sql lends.
SELECT lent.end_apply_sessions();

-- name: has_node_guard
-- Say whether the node's own database has its guard row yet.
SELECT to_regclass('agent.guard') IS NOT NULL;

-- name: has_application_guard
-- Say whether a component's database has its guard row.
SELECT to_regclass('warmstandby.guard') IS NOT NULL;
