"""A database does not answer, or not as it must."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class PostgresError(WarmstandbyError):
    """A database did not do what was asked."""

    code = "database_error"
    status = 503
    default_hint = "Look at the log of that PostgreSQL server."
    retry_after_seconds = 5.0


class DatabaseUnreachable(PostgresError):
    """The PostgreSQL server does not answer."""

    code = "database_unreachable"
    default_hint = "Start the server, or correct host and port in [postgres] of node.toml."


class LoginRefused(PostgresError):
    """The PostgreSQL server refuses the role or its password."""

    code = "database_login_refused"
    default_hint = "Correct role and password in [postgres] of node.toml, or pg_hba.conf on the server."


class DatabaseMissing(PostgresError):
    """The database does not exist."""

    code = "database_missing"
    default_hint = "Create it as README.md shows, or correct its name in node.toml."


class NodeDatabaseMissing(DatabaseMissing):
    """The node's own database does not exist."""

    code = "node_database_missing"
    default_hint = (
        "Create it again as README.md shows (the one in [postgres] dsn); the rest follows by itself, and the next sync "
        "copies everything again. The slot is dropped meanwhile before its log passes [capture] budget_bytes."
    )


class VersionUnsupported(PostgresError):
    """The PostgreSQL server is too old."""

    code = "postgres_version_unsupported"
    default_hint = "Warmstandby needs PostgreSQL 15 or newer."


class SchemaTooNew(PostgresError):
    """Warmstandby's own database was written by a newer release."""

    code = "schema_too_new"
    default_hint = "Install the release that this node ran before, or a newer one."


class WalLevelInsufficient(PostgresError):
    """The PostgreSQL server does not write logical WAL."""

    code = "wal_level_insufficient"
    default_hint = "Run `ALTER SYSTEM SET wal_level = logical;` as a superuser and restart the PostgreSQL server."


class RightsMissing(PostgresError):
    """The database role lacks a right."""

    code = "rights_missing"
    default_hint = (
        "Run docs/roles.sql on that server as a superuser, once for each role that owns tables of the database."
    )


class ProgramMissing(PostgresError):
    """A PostgreSQL client program is missing or too old."""

    code = "program_missing"
    default_hint = "Install the PostgreSQL client programs of the server's major version, or set bin_dir in [postgres]."
