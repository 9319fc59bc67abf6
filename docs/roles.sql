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

\set ON_ERROR_STOP on
\getenv password WARMSTANDBY_PASSWORD
\getenv apply_password WARMSTANDBY_APPLY_PASSWORD

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

-- warmstandby_apply: applies, seeds and swaps on the standby; a promotion takes its LOGIN away.
SELECT 'CREATE ROLE warmstandby_apply' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warmstandby_apply') \gexec
ALTER ROLE warmstandby_apply LOGIN REPLICATION CREATEDB BYPASSRLS;
GRANT warmstandby TO warmstandby_apply;

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

\if :application_is_here
    -- The publication, and a small schema with the place where the copy stands.
    GRANT CREATE ON DATABASE :"application" TO warmstandby;
\endif
