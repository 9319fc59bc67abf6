-- The roles and the database that Warmstandby needs on a node: run it as a superuser on both servers, once for each
-- replicated database. It may be run again.
--
--     psql -X -v application=mdm -v owner=mdm -d postgres -f roles.sql
--
--     application    the replicated database; on the standby it need not be there yet
--     owner          the role that owns it and the tables in it; it must be there, and be no superuser
--
-- The passwords come from the environment, where no process list shows them; one that is left out is not touched:
--
--     WARMSTANDBY_PASSWORD          of role warmstandby
--     WARMSTANDBY_APPLY_PASSWORD    of role warmstandby_apply
--     WARMSTANDBY_PROBE_PASSWORD    of role warmstandby_probe

\set ON_ERROR_STOP on
\getenv password WARMSTANDBY_PASSWORD
\getenv apply_password WARMSTANDBY_APPLY_PASSWORD
\getenv probe_password WARMSTANDBY_PROBE_PASSWORD

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') AS owner_is_missing,
       EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner' AND rolsuper) AS owner_is_superuser,
       EXISTS (SELECT FROM pg_database WHERE datname = :'application') AS application_is_here \gset
\if :owner_is_missing
    \warn The role :owner does not exist here: create the roles of the application on both servers first.
    DO $$ BEGIN RAISE 'the owner of the application''s database does not exist'; END $$;
\endif
\if :owner_is_superuser
    \warn The role :owner is a superuser: give the database and its tables to an ordinary role first.
    DO $$ BEGIN RAISE 'the owner of the application''s database is a superuser'; END $$;
\endif

-- warmstandby: the agent, and the database of the node. It makes the replication slot. Like the other role it must see
-- whole tables, also those that hide rows from their own owner (FORCE ROW LEVEL SECURITY).
SELECT 'CREATE ROLE warmstandby' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warmstandby') \gexec
ALTER ROLE warmstandby LOGIN REPLICATION CREATEDB BYPASSRLS;
-- Each drain would leave a page about decoding in the server's log, day and night. (Errors come back to the agent, which
-- logs them itself.)
ALTER ROLE warmstandby SET log_min_messages = 'fatal';

-- warmstandby_apply: applies, seeds and swaps on the standby; a promotion takes its LOGIN away, and this file leaves it so.
SELECT 'CREATE ROLE warmstandby_apply LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warmstandby_apply') \gexec
ALTER ROLE warmstandby_apply REPLICATION CREATEDB BYPASSRLS;
GRANT warmstandby TO warmstandby_apply;

-- warmstandby_probe: tries to enter closed databases and has no rights, like any role of an application.
SELECT 'CREATE ROLE warmstandby_probe LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warmstandby_probe') \gexec

-- (a password is not to be seen in the server's log either)
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
\if :{?password}
    ALTER ROLE warmstandby PASSWORD :'password';
\endif
\if :{?apply_password}
    ALTER ROLE warmstandby_apply PASSWORD :'apply_password';
\endif
\if :{?probe_password}
    ALTER ROLE warmstandby_probe PASSWORD :'probe_password';
\endif
RESET log_statement;
RESET log_min_duration_statement;
RESET log_min_error_statement;

-- Both act for the owner of the replicated database: they read, publish, seed and overwrite its tables.
GRANT :"owner" TO warmstandby, warmstandby_apply;

-- Statistics, and ending the sessions that stand in the way of a seed or a promotion.
GRANT pg_monitor, pg_signal_backend TO warmstandby, warmstandby_apply;

-- Rows are applied as the source has them: the application's triggers have run there.
GRANT SET ON PARAMETER session_replication_role TO warmstandby_apply;

SELECT 'CREATE DATABASE warmstandby OWNER warmstandby ENCODING ''UTF8'' TEMPLATE template0'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'warmstandby') \gexec
REVOKE ALL ON DATABASE warmstandby FROM PUBLIC;
GRANT CONNECT ON DATABASE warmstandby TO warmstandby_probe;

\if :application_is_here
    -- The publication, and a small schema with the place where the copy stands.
    GRANT CREATE ON DATABASE :"application" TO warmstandby;
\endif

-- Fencing: reading the rules of pg_hba.conf and having them loaded, and three things that only a superuser may do. What is
-- lent reaches no further: sessions in databases that warmstandby acts for, and the role that applies.
\connect warmstandby
GRANT SELECT ON pg_hba_file_rules TO warmstandby;
GRANT EXECUTE ON FUNCTION pg_hba_file_rules(), pg_reload_conf() TO warmstandby;

CREATE SCHEMA IF NOT EXISTS lent;
REVOKE ALL ON SCHEMA lent FROM PUBLIC;
GRANT USAGE ON SCHEMA lent TO warmstandby;

-- Sessions of superusers too; and connections still being made, which are in no database yet.
CREATE OR REPLACE FUNCTION lent.end_sessions(pids integer[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT count(pg_terminate_backend(wanted.pid))
  FROM unnest(pids) AS wanted(pid)
  LEFT JOIN pg_stat_activity AS a ON a.pid = wanted.pid
  LEFT JOIN pg_database AS d ON d.oid = a.datid
 WHERE CASE WHEN d.oid IS NOT NULL THEN pg_has_role(session_user, d.datdba, 'MEMBER')
            ELSE a.pid IS NULL OR a.state = 'starting' END
$$;

CREATE OR REPLACE FUNCTION lent.end_apply_sessions() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE usename = 'warmstandby_apply' AND session_user = 'warmstandby'
$$;

-- A role with REPLICATION may be altered by superusers alone (version 15). Only warmstandby itself may ask, not its member.
CREATE OR REPLACE FUNCTION lent.set_apply_login(may_login boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF session_user <> 'warmstandby' THEN
        RAISE insufficient_privilege USING MESSAGE = 'only warmstandby may change who may log in';
    ELSIF may_login THEN
        ALTER ROLE warmstandby_apply LOGIN;
    ELSE
        ALTER ROLE warmstandby_apply NOLOGIN;
    END IF;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lent FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA lent TO warmstandby;
