"""A node's server with an application's database, and the fence of that node: two strengths, two kinds of rights."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr

from lab import hba
from lab.cluster import Cluster, ClusterError
from lab.database import Database
from lab.roles import (
    APPLY_ROLE,
    NODE_ROLE,
    OWN_DATABASE,
    PROBE_ROLE,
    Rights,
    open_databases,
    prepare_roles,
    run_roles_sql,
)
from shared.clock import SystemClock
from shared.fencing.fence import Fence
from shared.postgres.migrations import migrate
from shared.settings import Settings
from tests.node_file import node_settings

OWNER = "shop owner"
CHIEF = "chief"
"""The application as a superuser."""
READER = "reports"
SCHEMA = """
    CREATE TABLE goods (id int PRIMARY KEY, name text);
    INSERT INTO goods VALUES (1, 'first');
"""


TRAITS = f"""
    REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
    GRANT CONNECT, TEMPORARY ON DATABASE shop TO {READER};
    GRANT CONNECT ON DATABASE shop TO warmstandby;
    GRANT CREATE ON DATABASE shop TO {CHIEF};
    ALTER DATABASE shop CONNECTION LIMIT 7;
    ALTER DATABASE shop SET default_transaction_read_only = off;
    ALTER DATABASE shop SET work_mem = '5MB';
    ALTER ROLE {READER} IN DATABASE shop SET default_transaction_read_only = on;
"""
"""Properties of a database that are unlike the usual ones."""
RESET = """
    DELETE FROM fence.closed;
    UPDATE agent.guard SET accepts_apply = true;
    ALTER ROLE warmstandby_apply LOGIN;
"""


async def prepare(cluster: Cluster, rights: Rights) -> None:
    """Make the roles, and the node's own database with all its schemas."""
    prepare_roles(cluster, {"shop": OWNER}, rights)
    cluster.psql(f"CREATE ROLE {CHIEF} LOGIN SUPERUSER; CREATE ROLE {READER} LOGIN")
    dsn = cluster.dsn(OWN_DATABASE, NODE_ROLE)
    await migrate(dsn, package="services.primary_agent.capture.migrations", schema="agent")
    await migrate(dsn, package="shared.fencing.migrations", schema="fence")


@contextmanager
def without_lent_rights(cluster: Cluster) -> Iterator[None]:
    """Have the server as an administrator left it who never ran the newer docs/roles.sql."""
    cluster.psql("DROP SCHEMA lent CASCADE", OWN_DATABASE)
    try:
        yield
    finally:
        run_roles_sql(cluster, "shop", OWNER)


@dataclass(frozen=True, slots=True)
class Stage:
    """One server, its application's database, and the settings of its node."""

    cluster: Cluster
    database: Database
    settings: Settings

    @classmethod
    def make(cls, cluster: Cluster, folder: Path, *, strength: str, **fencing: object) -> Stage:
        """Make the application's database on a prepared cluster, open and empty of any record."""
        database = Database(cluster, "shop")
        database.drop()
        open_databases(cluster)
        cluster.psql(RESET, OWN_DATABASE)
        cluster.psql(f'CREATE DATABASE shop OWNER "{OWNER}"')
        cluster.psql("GRANT CREATE ON DATABASE shop TO warmstandby")
        database.psql(SCHEMA, user=OWNER)
        values: dict[str, object] = {
            "probe_dsn": cluster.dsn(OWN_DATABASE, PROBE_ROLE),
            "reader_roles": ["postgres"],
            **({"hba_list": str(hba.list_of(cluster.data))} if strength == "hba" else {}),
            **fencing,
        }
        settings = node_settings(
            node={"state_dir": str(folder)},
            postgres={
                "dsn": cluster.dsn(OWN_DATABASE, NODE_ROLE),
                "apply_dsn": cluster.dsn(OWN_DATABASE, APPLY_ROLE),
            },
            fencing=values,
        )
        settings = settings.model_copy(
            update={"components": (settings.components[0].model_copy(update={"database": "shop"}),)}
        )
        return cls(cluster, database, settings)

    def fence(self) -> Fence:
        """Return a fence that knows nothing yet, as a process that starts has it."""
        return Fence(self.settings, SystemClock())

    def through(self, port: int) -> Stage:
        """Return the stage as seen through another way to its server."""
        postgres = self.settings.postgres
        other = {
            name: SecretStr(getattr(postgres, name).get_secret_value().replace(f":{self.cluster.port}/", f":{port}/"))
            for name in ("dsn", "apply_dsn")
        }
        changed = self.settings.model_copy(update={"postgres": postgres.model_copy(update=other)})
        return Stage(self.cluster, self.database, changed)

    def enters(self, role: str, database: str = "shop") -> bool:
        """Say whether a role gets in by a new connection."""
        try:
            self.cluster.psql("SELECT 1", database, user=role)
        except ClusterError:
            return False
        return True

    def writes(self, role: str, sql: str = "INSERT INTO goods SELECT max(id) + 1, 'late' FROM goods") -> bool:
        """Say whether a role can write by a new connection."""
        before = self.count()
        with contextlib.suppress(ClusterError):
            self.cluster.psql(sql, "shop", user=role)
        return self.count() > before

    def count(self) -> int:
        """Return how many rows there are, seen as a reader."""
        return int(self.database.psql("SELECT count(*) FROM goods"))

    async def wait_rows(self, number: int) -> None:
        """Wait until there are so many rows."""
        async with asyncio.timeout(20):
            while self.count() < number:  # noqa: ASYNC110  the rows are another process's
                await asyncio.sleep(0.02)

    def properties(self) -> dict[str, str]:
        """Return all that closing could change, in a form that tells no order."""
        queries = {
            "acl": """
                SELECT string_agg(format('%s %s by %s%s', CASE g.grantee WHEN 0 THEN 'PUBLIC'
                                  ELSE pg_get_userbyid(g.grantee)::text END, g.privilege_type,
                                  pg_get_userbyid(g.grantor), CASE WHEN g.is_grantable THEN '*' END), '; ' ORDER BY 1)
                  FROM (SELECT (aclexplode(coalesce(datacl, acldefault('d', datdba)))).*
                          FROM pg_database WHERE datname = 'shop'
                         ORDER BY grantee, privilege_type, grantor) AS g""",
            "limit": "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'",
            "settings": """
                SELECT string_agg(format('%s: %s', setrole::regrole, a), '; ' ORDER BY setrole, a)
                  FROM pg_db_role_setting, unnest(setconfig) AS a
                 WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'shop')""",
            "subscriptions": "SELECT string_agg(subname || subenabled, ', ' ORDER BY subname) FROM pg_subscription",
        }
        return {name: self.cluster.psql(query) for name, query in queries.items()}

    @asynccontextmanager
    async def session(self, role: str, **settings: Any) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Open a session of a role with the application's database; it may be ended meanwhile."""
        connection = await asyncpg.connect(self.cluster.dsn("shop", role), **settings)
        try:
            yield connection
        finally:
            connection.terminate()
