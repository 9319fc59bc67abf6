"""What belongs to a database itself: each delta brings it, and leaves alone what keeps a standby's databases closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.cluster import Cluster
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

TABLE = "CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item VALUES (1)"
READ = """
WITH setting AS (
    SELECT string_agg(coalesce(r.rolname, 'all') || ': ' || a.one, ', ' ORDER BY r.rolname, a.one) AS told
      FROM pg_database AS d
      JOIN pg_db_role_setting AS s ON s.setdatabase = d.oid
     CROSS JOIN LATERAL unnest(s.setconfig) AS a(one)
      LEFT JOIN pg_roles AS r ON r.oid = s.setrole
     WHERE d.datname = current_database() AND a.one NOT LIKE 'default_transaction_read_only=%'
), allowed AS (
    SELECT string_agg(concat_ws(' ', g.privilege_type, coalesce(r.rolname, 'all'), g.is_grantable), ', '
                      ORDER BY g.privilege_type, r.rolname) AS told
      FROM pg_database AS d
     CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS g
      LEFT JOIN pg_roles AS r ON r.oid = g.grantee
     WHERE d.datname = current_database() AND g.privilege_type <> 'CONNECT' AND g.grantee <> d.datdba
)
SELECT concat_ws(' / ', coalesce(shobj_description(d.oid, 'pg_database'), '-'), coalesce(setting.told, '-'),
                 coalesce(allowed.told, '-'))
  FROM pg_database AS d, setting, allowed
 WHERE d.datname = current_database()
"""
CLOSING = """
SELECT d.datconnlimit, d.datacl, s.setconfig
  FROM pg_database AS d
  LEFT JOIN pg_db_role_setting AS s ON s.setrole = 0 AND s.setdatabase = d.oid
 WHERE d.datname = current_database()
"""


@pytest.fixture
def role(replicating_cluster: Cluster) -> Iterator[str]:
    replicating_cluster.psql("CREATE ROLE reader_of_properties")
    yield "reader_of_properties"
    replicating_cluster.psql("DROP ROLE reader_of_properties")


def both(world: World) -> tuple[str, str]:
    return world.sql(READ), world.place.copy_sql(READ)


async def test_comment_settings_and_rights_are_brought(role: str, new_place: Callable[..., Place]) -> None:
    place = new_place(TABLE)
    async with place.open() as world:
        await world.seed()
        name = f'"{place.component}"'
        for change, told in (
            (f"COMMENT ON DATABASE {name} IS 'it''s ours'", "it's ours"),
            (f"ALTER DATABASE {name} SET work_mem = '7MB'", "all: work_mem=7MB"),
            (f'ALTER DATABASE {name} SET search_path = "$user", public, "odd, name"', '"odd, name"'),
            (f"ALTER ROLE {role} IN DATABASE {name} SET statement_timeout = 5000", f"{role}: statement_timeout=5000"),
            (f"GRANT CREATE ON DATABASE {name} TO {role} WITH GRANT OPTION", f"CREATE {role} t"),
            (
                f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT TEMP ON DATABASE {name} TO {role}",
                f"TEMPORARY {role}",
            ),
            (f"REVOKE GRANT OPTION FOR CREATE ON DATABASE {name} FROM {role}", f"CREATE {role} f"),
            (f"ALTER DATABASE {name} RESET ALL; ALTER ROLE {role} IN DATABASE {name} RESET ALL", "ours / - /"),
            (f"COMMENT ON DATABASE {name} IS NULL; REVOKE ALL ON DATABASE {name} FROM {role}", "- / - / -"),
        ):
            world.sql(change)
            outcome = await world.delta()
            assert not outcome.unkept
            source, copy = both(world)
            assert told in source
            assert copy == source


async def test_closing_and_connecting_stay_as_they_are_here(role: str, new_place: Callable[..., Place]) -> None:
    place = new_place(TABLE)
    async with place.open() as world:
        await world.seed()
        before = place.copy_sql(CLOSING)
        world.sql(f'GRANT CONNECT ON DATABASE "{place.component}" TO {role}')
        world.sql(f'ALTER DATABASE "{place.component}" SET default_transaction_read_only = off')
        assert not (await world.delta()).unkept
        assert place.copy_sql(CLOSING) == before
