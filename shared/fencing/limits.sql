-- The right to connect, the connection limit and the read-only default of a database. Names are put in, values are bound.

-- name: find_database
-- Return what closing changes of a database, and what is on record of it.
SELECT d.oid, d.datdba AS owner, d.datconnlimit AS connection_limit,
       (SELECT substr(s.assignment, strpos(s.assignment, '=') + 1)
          FROM pg_db_role_setting AS r CROSS JOIN LATERAL unnest(r.setconfig) AS s(assignment)
         WHERE r.setdatabase = d.oid AND r.setrole = 0 AND s.assignment LIKE 'default_transaction_read_only=%') AS read_only,
       coalesce(c.is_limited, false) AS is_recorded, c.connection_limit AS limit_before
  FROM pg_database AS d
  LEFT JOIN fence.closed AS c ON c.database_oid = d.oid
 WHERE d.datname = $1;

-- name: forget_dropped
-- Forget databases that are gone.
DELETE FROM fence.closed WHERE database_oid NOT IN (SELECT oid FROM pg_database);

-- name: list_roles
-- Return the roles of those named that exist here.
SELECT oid, rolname::text AS name, rolsuper AS is_superuser FROM pg_roles WHERE rolname = ANY ($1::text[]) ORDER BY oid;

-- name: record_database
-- Put a database on record as it is before closing, or take up what somebody has set anew since.
INSERT INTO fence.closed AS c (database_oid, database, owner, connection_limit, read_only, is_limited)
VALUES ($1, $2, $3, $4, $5, true)
ON CONFLICT (database_oid) DO UPDATE
   SET database = excluded.database, is_limited = true,
       connection_limit = CASE WHEN c.is_limited AND coalesce(excluded.connection_limit, 0) = 0 THEN c.connection_limit
                               ELSE excluded.connection_limit END,
       read_only = CASE WHEN c.is_limited AND excluded.read_only = 'on' THEN c.read_only ELSE excluded.read_only END;

-- name: record_grants
-- Put the rights to connect on record; those we gave are not taken for the administrator's.
INSERT INTO fence.grants (database_oid, grantor, grantee, is_grantable, is_given)
SELECT d.oid, g.grantor, g.grantee, g.is_grantable, false
  FROM pg_database AS d
  CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g
 WHERE d.oid = $1 AND g.privilege_type = 'CONNECT'
   AND ($2::oid[] IS NULL OR g.grantee <> ALL ($2::oid[]))
ON CONFLICT DO NOTHING;

-- name: list_grants
-- Return the rights to connect as they are; grantee 0 is everybody.
SELECT g.grantor, g.grantee, g.is_grantable, r.rolname::text AS name
  FROM pg_database AS d
  CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g
  LEFT JOIN pg_roles AS r ON r.oid = g.grantee
 WHERE d.oid = $1 AND g.privilege_type = 'CONNECT'
 ORDER BY g.grantor <> d.datdba, g.grantee;

-- name: list_given
-- Return the roles that closing gave the right to connect.
SELECT g.grantee, r.rolname::text AS name
  FROM fence.grants AS g
  LEFT JOIN pg_roles AS r ON r.oid = g.grantee
 WHERE g.database_oid = $1 AND g.is_given;

-- name: record_given
-- Note a right that closing gives.
INSERT INTO fence.grants (database_oid, grantor, grantee, is_grantable, is_given) VALUES ($1, $2, $3, false, true)
ON CONFLICT DO NOTHING;

-- name: forget_given
-- Note that a right which closing gave is taken back.
DELETE FROM fence.grants WHERE database_oid = $1 AND grantee = $2 AND is_given;

-- name: find_record
-- Return what is on record of a database, and how it is now.
SELECT d.oid, d.datdba AS owner, c.owner AS owner_before, c.connection_limit AS limit_before, c.read_only AS read_only_before,
       c.is_limited, d.datconnlimit AS connection_limit,
       (SELECT substr(s.assignment, strpos(s.assignment, '=') + 1)
          FROM pg_db_role_setting AS r CROSS JOIN LATERAL unnest(r.setconfig) AS s(assignment)
         WHERE r.setdatabase = d.oid AND r.setrole = 0 AND s.assignment LIKE 'default_transaction_read_only=%') AS read_only
  FROM pg_database AS d
  JOIN fence.closed AS c ON c.database_oid = d.oid
 WHERE d.datname = $1;

-- name: list_taken
-- Return the rights on record that closing took, the owner's own gifts first; nobody is named where the role is gone.
SELECT g.grantee, g.is_grantable, g.grantor = c.owner AS is_by_owner, g.grantee = c.owner AS is_to_owner,
       r.rolname::text AS name, o.rolname::text AS grantor_name
  FROM fence.grants AS g
  JOIN fence.closed AS c USING (database_oid)
  LEFT JOIN pg_roles AS r ON r.oid = g.grantee
  LEFT JOIN pg_roles AS o ON o.oid = g.grantor
 WHERE g.database_oid = $1 AND NOT g.is_given
 ORDER BY g.grantor <> c.owner, NOT g.is_grantable, g.grantee;

-- name: owner_name
-- Return the owner of a database.
SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE oid = $1;

-- name: forget_grants
-- Take the rights off the record.
DELETE FROM fence.grants WHERE database_oid = $1;

-- name: forget_limits
-- Note that rights, limit and read-only default are the database's own again.
UPDATE fence.closed SET is_limited = false, connection_limit = NULL, read_only = NULL WHERE database_oid = $1;

-- name: forget_database
-- Take a database off the record, unless a subscription waits to be enabled.
DELETE FROM fence.closed
 WHERE database_oid = $1
   AND NOT EXISTS (SELECT FROM fence.subscriptions AS f
                     JOIN pg_subscription AS s ON s.subdbid = f.database_oid AND s.subname = f.name
                    WHERE f.database_oid = $1 AND NOT s.subenabled);

-- name: revoke_connect
-- Take the right to connect, also from those who have it from this role.
REVOKE CONNECT ON DATABASE {database} FROM {role} CASCADE;

-- name: grant_connect
-- Give the right to connect.
GRANT CONNECT ON DATABASE {database} TO {role}{option};

-- name: act_as
-- Act as another role until the end of the transaction.
SET LOCAL ROLE {role};

-- name: act_as_ourselves
-- Act as our own role again.
RESET ROLE;

-- name: set_limit
-- Set the connection limit.
ALTER DATABASE {database} CONNECTION LIMIT {limit};

-- name: set_read_only
-- Set the read-only default of new sessions.
ALTER DATABASE {database} SET default_transaction_read_only = {value};

-- name: reset_read_only
-- Take the read-only default of new sessions away.
ALTER DATABASE {database} RESET default_transaction_read_only;

-- name: list_open
-- Return the databases that are not closed, with the reason; $2 are the roles let in, $3 says that the limit must be 0.
SELECT d.datname::text AS database,
       CASE WHEN g.names IS NOT NULL THEN 'may be entered by ' || g.names
            WHEN $3 AND d.datconnlimit <> 0 THEN 'has connection limit ' || d.datconnlimit
            ELSE 'is not read-only by default' END AS reason
  FROM pg_database AS d
  CROSS JOIN LATERAL (
       SELECT string_agg(CASE a.grantee WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(a.grantee)::text END, ', ') AS names
         FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
        WHERE a.privilege_type = 'CONNECT'
          AND a.grantee NOT IN (SELECT oid FROM pg_roles WHERE rolname = ANY ($2::text[]))) AS g
 WHERE d.datname = ANY ($1::text[])
   AND (g.names IS NOT NULL OR $3 AND d.datconnlimit <> 0
        OR NOT EXISTS (SELECT FROM pg_db_role_setting AS s
                        WHERE s.setdatabase = d.oid AND s.setrole = 0
                          AND 'default_transaction_read_only=on' = ANY (s.setconfig)));

-- name: list_superusers
-- Return the superusers who may log in, but those named: no limit stops them.
SELECT rolname::text AS name FROM pg_roles WHERE rolsuper AND rolcanlogin AND rolname <> ALL ($1::text[]) ORDER BY rolname;

-- name: list_recorded
-- Return the databases that are on record as closed.
SELECT c.database FROM fence.closed AS c JOIN pg_database AS d ON d.oid = c.database_oid WHERE d.datname = ANY ($1::text[]);

-- name: count_databases
-- Return how many of these databases exist.
SELECT count(*) FROM pg_database WHERE datname = ANY ($1::text[]);
