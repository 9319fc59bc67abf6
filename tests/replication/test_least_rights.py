"""Everything by ordinary roles: what ``docs/roles.sql`` grants is enough for capture, seed, swap and delta."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair, Rights
from tests.conftest import PAIRS
from tests.replication import key_types, structures, surroundings
from tests.replication.played import Played, play, sync_and_compare
from tests.tier import rounds

OWNER = "shop owner"
OURS = ("warmstandby", "warmstandby_apply")
LARGE = "SELECT lo_from_bytea(4711, 'large');"
CASES = (*structures.CASES, *surroundings.CASES, key_types.COMPOSITE)

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A pair with the documented rights, and an application's database that an ordinary role owns."""

    pair: Pair
    played: Played

    @property
    def clusters(self) -> tuple[Cluster, Cluster]:
        """Both servers."""
        return self.pair.primary.cluster, self.pair.secondary.cluster


@pytest.fixture(params=rounds([(15, 18)], PAIRS), ids=lambda pair: f"pg{pair[0]}-pg{pair[1]}")
def ordinary(
    request: pytest.FixtureRequest,
    new_cluster: Callable[..., Cluster],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ordinary]:
    """Servers of their own: on shared ones the roles may have got rights for other tests."""
    source, target = (new_cluster(major) for major in request.param)
    for cluster in (source, target):
        cluster.psql(f'CREATE ROLE "{OWNER}" LOGIN')
    played = Played(Database.create(source, "shop", options=f'OWNER "{OWNER}"'), CASES, user=OWNER, preparation=LARGE)
    played.prepare()
    folder = tmp_path_factory.mktemp("pair")
    with Pair.create(folder, source, target, databases=["shop"], rights=Rights.DOCUMENTED) as pair:
        pair.start()
        yield Ordinary(pair, played)


def test_no_superuser_is_needed(ordinary: Ordinary) -> None:
    """A seed, deltas of every kind of change, and a second seed that takes the first one's place."""
    pair, played = ordinary.pair, ordinary.played
    play(pair, [played])
    played.source.psql("CREATE TABLE public.late (id int PRIMARY KEY); INSERT INTO late VALUES (1)", user=OWNER)
    asyncio.run(sync_and_compare(pair, [played]))
    played.source.psql("DELETE FROM late; INSERT INTO late VALUES (2)", user=OWNER)
    asyncio.run(sync_and_compare(pair, [played]))

    kinds = [step.component["kind"] for step in played.steps]
    assert kinds == ["seed", "delta", "delta", "delta", "seed", "delta"]
    assert [step.comparison.describe() for step in played.steps if not step.comparison.equal] == []
    for cluster in ordinary.clusters:
        superusers = cluster.psql("SELECT rolname FROM pg_roles WHERE rolsuper").splitlines()
        assert superusers == ["postgres"]
        at_work = cluster.psql("""
            SELECT DISTINCT usename FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()""").splitlines()
        assert at_work
        assert set(at_work) <= set(OURS)
    target = Database(pair.secondary.cluster, "shop")
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'partitions'::regnamespace"
    assert target.psql(owners) == OWNER
    assert target.psql("SELECT convert_from(lo_get(4711), 'UTF8')") == "large"
    assert target.psql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == OWNER
    assert target.psql("SELECT datname FROM pg_database WHERE datname LIKE 'ws\\_%'") == ""
