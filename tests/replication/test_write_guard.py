"""A standby's database from the application's view: it gets in nowhere by accident, and our own sync goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab import hba
from lab.cluster import Cluster, ClusterError
from shared.clock import SystemClock
from shared.fencing.fence import Fence
from tests.replication.world import Place
from tests.tier import on_newest_major

pytestmark = on_newest_major

APPLICATION, REPORTS = "write_guard_application", "write_guard_reports"
SCHEMA = f"""
CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO account SELECT n, 0 FROM generate_series(1, 100) AS n;
GRANT ALL ON account TO {APPLICATION}, {REPORTS};
"""


@pytest.mark.parametrize("strength", ["hba", "limit"])
async def test_an_application_cannot_write_into_a_standby(
    new_cluster: Callable[..., Cluster], new_place: Callable[..., Place], major: int, strength: str
) -> None:
    """It is refused from the moment that a copy is there; a reader that is let in only reads; our syncs go on."""
    cluster = new_cluster(major)
    cluster.psql(f"CREATE ROLE {APPLICATION} LOGIN; CREATE ROLE {REPORTS} LOGIN")
    place = new_place(SCHEMA, cluster=cluster)
    async with place.open() as world:
        settings = world.target.settings
        readers = {"reader_roles": (*settings.fencing.reader_roles, *((REPORTS,) if strength == "limit" else ()))}
        lists = {"hba_list": hba.list_of(cluster.data) if strength == "hba" else None}
        fencing = settings.fencing.model_copy(update={**readers, **lists})
        world.target.settings = settings.model_copy(update={"fencing": fencing})
        fence, copy = Fence(world.target.settings, SystemClock()), settings.components[0].database

        def refuses(role: str, sql: str) -> str:
            with pytest.raises(ClusterError) as refusal:
                cluster.psql(sql, copy, user=role)
            return str(refusal.value)

        await world.seed()
        if strength == "hba":
            await fence.close()  # the agent of a standby does so all the time; here the list is of another database yet
        for _ in range(2):
            assert await fence.is_closed()
            told = refuses(APPLICATION, "UPDATE account SET balance = 1")
            assert ("pg_hba.conf rejects" in told) if strength == "hba" else ("permission denied" in told), told
            if strength == "limit":
                assert cluster.psql("SELECT count(*) FROM account", copy, user=REPORTS) == "100"
                assert "read-only transaction" in refuses(REPORTS, "UPDATE account SET balance = 1")
            world.sql("UPDATE account SET balance = balance + 1 WHERE id <= 10")
            assert (await world.delta()).keys == 10
            cluster.psql(
                f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                f" WHERE database = '{place.component}'"
            )
            await world.seed()
        assert cluster.psql("SELECT count(*) FROM account", place.component, user=APPLICATION) == "100"
