#!/bin/sh
# Runs when a PostgreSQL container makes its data directory: the application's role, and its database on the primary;
# then Warmstandby's roles and database.
set -eu

read_secret() { cat "/run/secrets/$1"; }

APPLICATION_PASSWORD=$(read_secret application_password)
WARMSTANDBY_PASSWORD=$(read_secret password)
WARMSTANDBY_APPLY_PASSWORD=$(read_secret apply_password)
export APPLICATION_PASSWORD WARMSTANDBY_PASSWORD WARMSTANDBY_APPLY_PASSWORD

psql -X -v ON_ERROR_STOP=1 -v application="$APPLICATION" -v mode="$MODE" -U postgres -d postgres <<'SQL'
\getenv password APPLICATION_PASSWORD
CREATE ROLE :"application" LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'application', :'application') WHERE :'mode' = 'primary' \gexec
SQL
psql -X -v application="$APPLICATION" -v owner="$APPLICATION" -U postgres -d postgres -f /warmstandby/roles.sql
