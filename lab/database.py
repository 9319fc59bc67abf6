"""One database of a cluster, for one test or one act of the demo: made, filled, and dropped in spite of everything."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from lab.cluster import Cluster

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of a running cluster; the name needs no quoting unless it was given."""

    cluster: Cluster
    name: str

    @classmethod
    def create(cls, cluster: Cluster, name: str | None = None, *, options: str = "") -> Database:
        """Make a database; ``options`` are those of CREATE DATABASE, as SQL."""
        database = cls(cluster, name or f"database_{next(_numbers)}")
        cluster.psql(f"CREATE DATABASE {_identifier(database.name)} {options}")
        return database

    @property
    def dsn(self) -> str:
        """The URL for the superuser."""
        return self.cluster.dsn(self.name)

    def psql(self, sql_or_path: str | Path, *, user: str = "postgres") -> str:
        """Run SQL or a file of it in this database (``Cluster.psql``)."""
        return self.cluster.psql(sql_or_path, self.name, user=user)

    def drop(self) -> None:
        """Drop it with its sessions, slots, subscriptions and prepared transactions; a missing one is all right."""
        literal = "'" + self.name.replace("'", "''") + "'"
        if not self.cluster.psql(f"SELECT 1 FROM pg_database WHERE datname = {literal}"):
            return
        self.psql(_LET_GO)
        self.cluster.psql(f"DROP DATABASE IF EXISTS {_identifier(self.name)} WITH (FORCE)")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# What would keep DROP DATABASE from working, FORCE or not; half of it does not run inside a function.
_LET_GO = r"""
SELECT format('ALTER SUBSCRIPTION %I DISABLE', subname),
       format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subname),
       format('DROP SUBSCRIPTION %I', subname)
  FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \gexec
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database() \gexec
SELECT count(pg_terminate_backend(active_pid, 10000))
  FROM pg_replication_slots WHERE database = current_database() AND active;
SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE database = current_database();
"""
