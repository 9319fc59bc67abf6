"""Tables of accounts, with an index of two kinds beside their keys: what seeds and deltas are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lab.cluster import Cluster

TABLE: Final = """
CREATE TABLE {name} (
    id       bigint PRIMARY KEY,
    branch   integer NOT NULL,
    balance  bigint NOT NULL,
    note     text NOT NULL,
    changed  timestamptz NOT NULL
);
"""
ROWS: Final = """
INSERT INTO {name}
SELECT n, n % 1000, n * 7 % 1000000, rpad(md5(n::text), 80, 'x'), '2026-01-01'::timestamptz + n * interval '1 second'
  FROM generate_series(1, {rows}) AS n;
VACUUM ANALYZE {name};
"""
INDEXES: Final = "CREATE INDEX ON {name} (branch); CREATE INDEX ON {name} (changed, balance);"


@dataclass(frozen=True, slots=True)
class Accounts:
    """Rows in one table, or divided among several equal ones."""

    rows: int
    tables: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The tables."""
        return ("accounts", *(f"accounts_{number}" for number in range(2, self.tables + 1)))

    def fill(self, cluster: Cluster, database: str, *, with_rows: bool) -> None:
        """Make the tables, rows first, as fast loading goes."""
        rows = ROWS if with_rows else ""
        for name in self.names:
            statements = TABLE + rows + INDEXES
            cluster.psql(statements.format(name=name, rows=self.rows // self.tables), database=database)

    def digest(self, cluster: Cluster, database: str) -> str:
        """Return what differs when the content of two databases does."""
        hashes = "SELECT count(*), sum(hashtextextended(one::text, 0)::numeric) FROM {name} AS one"
        return cluster.psql(";".join(hashes.format(name=name) for name in self.names), database=database)
