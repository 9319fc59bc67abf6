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
LARGE = """
SELECT lo_from_bytea(4711, 'large');
CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('a'); CREATE UNLOGGED TABLE fleeting (v text);
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM keyless;
"""
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


async def verify_and_repair(pair: Pair) -> None:
    """Find the row that was changed by hand, and nothing else, and bring it again."""
    async with pair.secondary.open_api() as api:
        begun = await api.post("/v1/verifications")
        await api.follow_sync(begun["id"])
        found = await api.get(f"/v1/verifications/{begun['id']}")
        differences = [one for part in found["components"] for one in part["differences"] if not one["is_expected"]]
        assert [(one["name"], one["missing"], one["extra"]) for one in differences] == [("public.late", 1, 1)], found
        repair = await api.post(f"/v1/verifications/{begun['id']}/repair")
        await api.follow_sync(repair["id"])
        assert (await api.get(f"/v1/verifications/{repair['id']}"))["verdict"] == "repaired"


def test_no_superuser_is_needed(ordinary: Ordinary) -> None:
    """A seed, deltas of every kind of change, and a second seed that takes the first one's place."""
    pair, played = ordinary.pair, ordinary.played
    play(pair, [played])
    played.source.psql("CREATE TABLE public.late (id int PRIMARY KEY); INSERT INTO late VALUES (1)", user=OWNER)
    asyncio.run(sync_and_compare(pair, [played]))
    played.source.psql("DELETE FROM late; INSERT INTO late VALUES (2)", user=OWNER)
    asyncio.run(sync_and_compare(pair, [played]))

    kinds = [step.component["kind"] for step in played.steps]
    assert kinds == ["seed", "delta", "delta", "delta", "delta", "delta"]
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
    target.psql("SET default_transaction_read_only = off; UPDATE public.late SET id = 3")
    asyncio.run(verify_and_repair(pair))
    assert target.psql("SELECT id FROM public.late") == "2"
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'partitions'::regnamespace"
    assert target.psql(owners) == OWNER
    assert target.psql("SELECT convert_from(lo_get(4711), 'UTF8')") == "large"
    assert target.psql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == OWNER
    assert target.psql("SELECT datname FROM pg_database WHERE datname LIKE 'ws\\_%'") == ""


async def test_what_no_key_tells_of_needs_no_superuser_either(ordinary: Ordinary) -> None:
    """Tables are compared, views filled, large objects made and given to their owner; what we may not read is named."""
    pair, source, target = ordinary.pair, ordinary.played.source, Database(ordinary.pair.secondary.cluster, "shop")
    assert (await pair.sync())["components"][0]["kind"] == "seed"
    for statement in (
        "INSERT INTO keyless VALUES ('b'); INSERT INTO fleeting VALUES ('c'); REFRESH MATERIALIZED VIEW counted",
        "SELECT lo_put(4711, 0, 'L'), lo_from_bytea(4712, 'new'); GRANT SELECT ON LARGE OBJECT 4712 TO PUBLIC",
        "COMMENT ON LARGE OBJECT 4712 IS 'new'; DELETE FROM keyless WHERE v = 'a'; SELECT lo_unlink(4711)",
    ):
        source.psql(statement, user=OWNER)
        component = (await pair.sync())["components"][0]
        assert (component["kind"], component["unkept"]) == ("delta", [])
        for query in (
            "SELECT v FROM keyless ORDER BY 1",
            "SELECT v FROM fleeting",
            "SELECT n FROM counted",
            """SELECT oid, convert_from(lo_get(oid), 'UTF8'), pg_get_userbyid(lomowner),
                      obj_description(oid, 'pg_largeobject'),
                      (SELECT array_agg(r::text ORDER BY r::text) FROM unnest(lomacl) AS r)
                 FROM pg_largeobject_metadata ORDER BY 1""",
        ):
            assert target.psql(query) == source.psql(query), query
    source.psql("SELECT lo_from_bytea(4713, 'of a superuser'); ALTER TABLE keyless OWNER TO postgres")
    source.psql("INSERT INTO keyless VALUES ('hidden')")
    component = (await pair.sync())["components"][0]
    assert component["kind"] == "delta"
    unkept = {item["name"]: item["reason"] for item in component["unkept"]}
    assert "permission denied for table keyless" in unkept.pop("definitions"), "its new owner is not known there yet"
    assert unkept == {
        "public.keyless": "our role may not read it (or not all of its rows)",
        "large objects": "our role may not read 1 of 2 large objects",
    }
    assert target.psql("SELECT convert_from(lo_get(4712), 'UTF8')") == "new"
