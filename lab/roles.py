"""What a cluster needs before a node can run on it: roles and the node's own database.

``docs/roles.sql`` is what administrators run; tests and demo run the same file, or the shorter way as superusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from lab import hba
from lab.binaries import TREE
from lab.cluster import Cluster
from lab.database import Database

ROLES_SQL: Final = TREE / "docs" / "roles.sql"
OWN_DATABASE: Final = "warmstandby"
NODE_ROLE: Final = "warmstandby"
APPLY_ROLE: Final = "warmstandby_apply"
PROBE_ROLE: Final = "warmstandby_probe"


class Rights(StrEnum):
    """What the two roles may do."""

    SUPERUSER = "superuser"
    DOCUMENTED = "documented"  # what docs/roles.sql grants, and no more


def prepare_roles(cluster: Cluster, owners: Mapping[str, str], rights: Rights) -> None:
    """Make the roles and an empty database ``warmstandby``; what an earlier pair left of it in the cluster goes.

    ``owners`` names the owner of each replicated database; one that is missing is made, an ordinary role that may log
    in.
    """
    open_databases(cluster)
    Database(cluster, OWN_DATABASE).drop()
    superuser = "SUPERUSER" if rights is Rights.SUPERUSER else "NOSUPERUSER"
    for role in (NODE_ROLE, APPLY_ROLE):
        ensure_role(cluster, role)
        cluster.psql(f"ALTER ROLE {role} LOGIN {superuser}")
    ensure_role(cluster, PROBE_ROLE)
    for database, owner in owners.items():
        ensure_role(cluster, owner)
        if rights is Rights.DOCUMENTED:
            run_roles_sql(cluster, database, owner)
    if rights is Rights.SUPERUSER:
        cluster.psql(f"CREATE DATABASE {OWN_DATABASE} OWNER {NODE_ROLE} ENCODING 'UTF8' TEMPLATE template0")
        cluster.psql(f"GRANT CONNECT ON DATABASE {OWN_DATABASE} TO {PROBE_ROLE}")


def open_databases(cluster: Cluster) -> None:
    """Close no database of the cluster any more, as far as the list of its ``pg_hba.conf`` goes."""
    hba.open_all(cluster.data)
    if cluster.is_running:
        cluster.reload()


def run_roles_sql(cluster: Cluster, database: str, owner: str) -> None:
    """Run ``docs/roles.sql`` as an administrator would."""
    cluster.psql(f"\\set application {_psql(database)}\n\\set owner {_psql(owner)}\n\\i {_psql(str(ROLES_SQL))}\n")


def ensure_role(cluster: Cluster, role: str) -> None:
    """Make a role that may log in, unless it is there."""
    literal = "'" + role.replace("'", "''") + "'"
    if not cluster.psql(f"SELECT 1 FROM pg_roles WHERE rolname = {literal}"):
        quoted = role.replace('"', '""')
        cluster.psql(f'CREATE ROLE "{quoted}" LOGIN')


def owner_of(cluster: Cluster, database: str) -> str:
    """Return the role that owns a database."""
    literal = "'" + database.replace("'", "''") + "'"
    return cluster.psql(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {literal}")


def _psql(text: str) -> str:
    """Quote an argument of a psql command."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
