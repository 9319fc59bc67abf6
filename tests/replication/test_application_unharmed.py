"""The application's statements give the same results, errors and waits with capture and without it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lab.cluster import Cluster, ClusterError
from lab.database import Database
from lab.roles import ensure_role
from shared.node.model import PROTOCOL_MAX
from shared.replication.model import OpenExport, SyncKind
from tests.replication.both_ways import APPLICATION, OURS, Case, Stage, Trace, read_state
from tests.replication.captured import Captured, capture_of
from tests.replication.ddl_of_all_kinds import OTHER_DDL, SURROUNDINGS
from tests.replication.ddl_of_keys import KEYS
from tests.replication.ddl_side_by_side import BESIDE_A_READER, MIGRATIONS
from tests.tier import MAJORS, rounds

HELD_AND_NOTHING_TO_LEND_BY = """
DROP TABLE warmstandby.lent_identity;
BEGIN; ALTER PUBLICATION warmstandby ADD TABLE u; PREPARE TRANSACTION 'held'
"""
CASES = (*KEYS, *MIGRATIONS, *OTHER_DDL, *SURROUNDINGS)
QUIET = {"autovacuum": "off", "deadlock_timeout": "500ms"}


@dataclass(frozen=True, slots=True)
class BothWays:
    """The same tables twice in one cluster: once captured, the agent's loop running, and once not."""

    cluster: Cluster
    plain: str
    captured: str
    agent: Captured


@pytest.fixture(scope="module", params=rounds(MAJORS[-1:], MAJORS), ids=lambda major: f"pg{major}")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in which nobody waits for an autovacuum."""
    with Cluster.create(tmp_path_factory.mktemp("unharmed-"), major=request.param, settings=QUIET) as cluster:
        cluster.start()
        ensure_role(cluster, APPLICATION)
        yield cluster


@pytest.fixture
def make(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Make databases for one test."""
    with ExitStack() as stack:

        def make() -> str:
            made = Database.create(cluster, options=f"OWNER {APPLICATION}")
            stack.callback(made.drop)
            return made.name

        yield make


@pytest.fixture(scope="module")
def both_ways(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothWays]:
    """Every case's tables, twice."""
    names = []
    for _ in range(2):
        names.append(Database.create(cluster, options=f"OWNER {APPLICATION}").name)
        cluster.psql("\n".join(prepare(case) for case in CASES), names[-1])
    node = Database.create(cluster).name
    folder = tmp_path_factory.mktemp("state-")
    with capture_of(cluster, names[1], node, folder) as agent:
        yield BothWays(cluster, names[0], names[1], agent)


def prepare(case: Case) -> str:
    """Return what makes a case's schema and tables."""
    return f"""
CREATE SCHEMA {case.name} AUTHORIZATION {APPLICATION};
{case.before};
SET ROLE {APPLICATION};
SET search_path = {case.name}, public;
{case.setup}
RESET ROLE;
RESET search_path;
"""


def play(cluster: Cluster, database: str, case: Case) -> Trace:
    """Play a case's script."""
    return asyncio.run(Stage(cluster, database).play(case))


def wait_till_mended(cluster: Cluster, database: str) -> None:
    """Wait until the agent has given back what the guard lent."""
    deadline = time.monotonic() + 40
    while cluster.psql("SELECT count(*) FROM warmstandby.lent_identity", database) != "0":
        assert time.monotonic() < deadline, "an identity is still lent"
        time.sleep(0.05)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_application_cannot_tell_whether_it_is_captured(both_ways: BothWays, case: Case) -> None:
    """Results, errors, who waits for whom, and what the catalogs say at the end are the same."""
    stage = both_ways
    plain = play(stage.cluster, stage.plain, case)
    captured = play(stage.cluster, stage.captured, case)
    assert (plain.errors, plain.waits) == (case.errors, case.waits), "\n".join(plain.lines)
    assert captured.lines == plain.lines
    wait_till_mended(stage.cluster, stage.captured)
    states = [asyncio.run(read_state(stage.cluster, name, case.name)) for name in (stage.plain, stage.captured)]
    assert states[1] == states[0]
    assert stage.agent.capture.facts.problem is None


def test_beside_an_export_only_that_waits_which_would_wait_for_a_reader(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """An export that reads a table is to everybody else what a SELECT in a transaction is."""
    plain, captured, node = make(), make(), make()
    for name in (plain, captured):
        cluster.psql(prepare(BESIDE_A_READER), name)
    with capture_of(cluster, captured, node, tmp_path) as agent:
        selects = asyncio.run(_play_beside(Stage(cluster, plain), Selecting(cluster, plain)))
        exports = asyncio.run(_play_beside(Stage(cluster, captured), Exporting(agent)))
    assert (selects.errors, selects.waits) == ((), BESIDE_A_READER.waits), "\n".join(selects.lines)
    assert sorted(exports.lines) == sorted(
        selects.lines
    )  # an export lets go in two steps, so who waited ends in its order


async def _play_beside(stage: Stage, reader: Selecting | Exporting) -> Trace:
    stage.reader = reader
    return await stage.play(BESIDE_A_READER)


class Selecting:
    """Somebody who reads table t in a transaction and does not end it."""

    def __init__(self, cluster: Cluster, database: str) -> None:
        self._dsn = cluster.dsn(database)
        self._connection: Any = None

    async def __call__(self, statement: str) -> None:
        if statement == "ends":
            await self._connection.close()
            return
        self._connection = await asyncpg.connect(self._dsn, server_settings={"application_name": OURS})
        await self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM beside_a_reader.t")


class Exporting:
    """The agent, in the middle of shipping table t."""

    def __init__(self, agent: Captured) -> None:
        self._agent = agent
        self._copying: Future[None] | None = None
        self._export_id = ""

    async def __call__(self, statement: str) -> None:
        await asyncio.to_thread(self._end if statement == "ends" else self._begin)

    def _begin(self) -> None:
        has_begun, agent, exports = threading.Event(), self._agent, self._agent.exports

        async def never_done(_: bytes) -> None:
            has_begun.set()
            await asyncio.Event().wait()

        request = OpenExport(protocol=PROTOCOL_MAX, pair_id="pair", term=1, kind=SyncKind.SEED)
        manifest = agent.call(lambda: exports.open(agent.capture.component.name, request, "standby"))
        self._export_id = manifest.export_id
        number = next(table.number for table in manifest.tables if table.name == "t")
        self._copying = self._agent.start(lambda: exports.copy_rows(manifest.export_id, number, "standby", never_done))
        assert has_begun.wait(40), "nothing is shipped"

    def _end(self) -> None:
        assert self._copying is not None
        assert not self._copying.done()
        self._copying.cancel()
        self._agent.call(lambda: self._agent.exports.close(self._export_id, "standby"))


def test_a_key_lost_without_the_guard_harms_till_the_next_look(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """The exception that is told before: no rights for a guard. The agent's loop mends it, no sync is needed."""
    database, node = make(), make()
    cluster.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t)", database)
    with capture_of(cluster, database, node, tmp_path, guard="off", is_running=False) as agent:
        assert published(cluster, database) == ["child", "t"]
        cluster.psql("ALTER TABLE t DROP CONSTRAINT t_pkey", database)
        with pytest.raises(ClusterError, match="does not have a replica identity and publishes updates"):
            cluster.psql("UPDATE t SET id = 2", database)
        agent.call(agent.capture.tick)
        cluster.psql("UPDATE t SET id = 2", database)
        assert published(cluster, database) == ["child"], "a child with a key of its own stays"
        cluster.psql("ALTER TABLE child DROP CONSTRAINT child_pkey", database)
        agent.call(agent.capture.tick)
        cluster.psql("UPDATE child SET id = 3", database)


def test_a_child_stays_captured_when_its_parent_loses_the_key(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """The guard takes out what lost its key and nothing else."""
    database, node = make(), make()
    cluster.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (t)", database)
    with capture_of(cluster, database, node, tmp_path, is_running=False):
        cluster.psql("ALTER TABLE ONLY t DROP CONSTRAINT t_pkey", database)
        assert published(cluster, database) == ["child"]
        cluster.psql("DROP TABLE child; ALTER TABLE t ADD v int; CREATE INDEX i ON t (v); DROP INDEX i", database)


def test_a_table_that_the_application_holds_is_taken_in_later(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """Nobody waits for it meanwhile, and the loop takes it in as soon as it is free."""
    database, node = make(), make()
    cluster.psql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)", database)
    with (
        holding(cluster, database, "LOCK TABLE t IN SHARE MODE") as end,
        capture_of(cluster, database, node, tmp_path, is_running=False) as agent,
    ):
        assert published(cluster, database) == ["u"]
        agent.call(agent.capture.tick)
        assert published(cluster, database) == ["u"]
        end()
        agent.call(agent.capture.tick)
        assert published(cluster, database) == ["t", "u"]
        assert agent.capture.facts.unkept == ()


def test_a_migration_does_not_wait_for_somebody_who_holds_the_publication(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """Be it an administrator, or an agent that waits for a lock while it adds a table; the loop mends it afterwards."""
    database, node = make(), make()
    cluster.psql(
        "CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int); INSERT INTO t VALUES (1, 1)", database
    )
    with capture_of(cluster, database, node, tmp_path, is_running=False) as agent:
        with holding(cluster, database, "ALTER PUBLICATION warmstandby ADD TABLE u"):
            cluster.psql(
                "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET v = 2; COMMIT; DELETE FROM t", database
            )
            assert identity(cluster, database, "t") == "f"
        agent.call(agent.capture.tick)
        assert identity(cluster, database, "t") == "d"
        assert published(cluster, database) == []


@pytest.mark.parametrize(
    "damage",
    [
        "DROP PUBLICATION warmstandby",
        HELD_AND_NOTHING_TO_LEND_BY,
        "DROP FUNCTION warmstandby.run_quietly",
        "ALTER ROLE guardian NOSUPERUSER",
    ],
    ids=["no publication", "nothing to lend by", "no function", "no rights"],
)
def test_the_guard_never_makes_a_statement_fail(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path, damage: str
) -> None:
    """Whatever became of what it needs: the application's DDL goes through."""
    database, node = make(), make()
    cluster.psql("DROP ROLE IF EXISTS guardian; CREATE ROLE guardian SUPERUSER LOGIN")
    cluster.psql("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int)", database)
    with capture_of(cluster, database, node, tmp_path, user="guardian", is_running=False):
        cluster.psql(damage, database)
        cluster.psql("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t DROP COLUMN id", database)
        cluster.psql(
            "CREATE TYPE m AS ENUM (); ALTER TABLE t ADD m m; DROP TYPE m CASCADE; INSERT INTO t VALUES (1)", database
        )
    cluster.psql("ALTER ROLE guardian SUPERUSER; SELECT count(*) FROM pg_prepared_xacts")


def test_the_guard_is_not_installed_where_others_could_change_it(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """It runs with a superuser's rights: in a schema of the application's owner it would give them away."""
    database, node = make(), make()
    cluster.psql(f"CREATE SCHEMA warmstandby AUTHORIZATION {APPLICATION}", database)
    with capture_of(cluster, database, node, tmp_path, user="postgres", is_running=False):
        assert cluster.psql("SELECT count(*) FROM pg_event_trigger", database) == "0"
        cluster.psql("ALTER SCHEMA warmstandby OWNER TO postgres", database)
    with capture_of(cluster, database, node, tmp_path, is_running=False):
        assert cluster.psql("SELECT count(*) FROM pg_event_trigger", database) == "2"
    with capture_of(cluster, database, node, tmp_path, guard="off", is_running=False):
        assert cluster.psql("SELECT count(*) FROM pg_event_trigger", database) == "0"


def test_what_the_server_itself_refuses_for_published_tables(
    cluster: Cluster, make: Callable[[], str], tmp_path: Path
) -> None:
    """The exceptions that no guard can take away: SET UNLOGGED, and DDL with event triggers switched off."""
    database, node = make(), make()
    cluster.psql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)", database)
    with capture_of(cluster, database, node, tmp_path, is_running=False) as agent:
        with pytest.raises(ClusterError, match="to unlogged because it is part of a publication"):
            cluster.psql("ALTER TABLE t SET UNLOGGED", database)
        if cluster.major >= 17:
            cluster.psql("SET event_triggers = off; ALTER TABLE t DROP CONSTRAINT t_pkey", database)
            with pytest.raises(ClusterError, match="does not have a replica identity"):
                cluster.psql("UPDATE t SET v = 2", database)
            agent.call(agent.capture.tick)
            cluster.psql("UPDATE t SET v = 2", database)


def published(cluster: Cluster, database: str) -> list[str]:
    """Return the tables in our publication."""
    return cluster.psql(
        "SELECT tablename FROM pg_publication_tables WHERE pubname = 'warmstandby' ORDER BY 1", database
    ).split()


def identity(cluster: Cluster, database: str, table: str) -> str:
    """Return a table's replica identity."""
    return cluster.psql(f"SELECT relreplident FROM pg_class WHERE oid = '{table}'::regclass", database)


@contextmanager
def holding(cluster: Cluster, database: str, statement: str) -> Iterator[Callable[[], None]]:
    """Hold what a statement locks for the time of a block, or until told to let go."""
    program = str(cluster.bin_dir / "psql")
    with subprocess.Popen(
        [program, "-XqAt", cluster.dsn(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(f"BEGIN;\n{statement};\nSELECT 'held';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "held\n"

        def end() -> None:
            session.communicate("ROLLBACK;\n")

        yield end
        if session.returncode is None:
            end()
