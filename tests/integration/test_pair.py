"""The lab's pair of nodes: it starts, syncs, is killed and paused, tells what went wrong, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import processes
from lab.binaries import TREE
from lab.cluster import Cluster, ClusterError
from lab.database import Database
from lab.node_toml import write_node_toml
from lab.pair import Pair
from lab.people import ApiError, SyncFailed, open_api
from lab.roles import Rights, ensure_role, prepare_roles, run_roles_sql
from lab.service import ServiceError
from shared.configuration import load_settings

NewCluster = Callable[..., Cluster]


@pytest.fixture
def source(new_cluster: NewCluster) -> Cluster:
    """A cluster with the application's database: one table, owned by an ordinary role."""
    cluster = new_cluster()
    ensure_role(cluster, "mdm")
    database = Database.create(cluster, "mdm", options="OWNER mdm")
    database.psql("CREATE TABLE device AS SELECT id, 'new' AS state FROM generate_series(1, 100) id", user="mdm")
    database.psql("ALTER TABLE device ADD PRIMARY KEY (id)", user="mdm")
    return cluster


@pytest.fixture
def target(new_cluster: NewCluster) -> Cluster:
    """An empty cluster."""
    return new_cluster()


@pytest.mark.parametrize("rights", Rights)
async def test_a_pair_starts_and_syncs(source: Cluster, target: Cluster, tmp_path: Path, rights: Rights) -> None:
    """Seed, delta, and a stop that is clean: with all rights, and with no more than docs/roles.sql grants."""
    with Pair.create(tmp_path / "pair", source, target, rights=rights) as pair:
        pair.start()
        seen: list[str] = []
        sync = await pair.sync(look=lambda sync: seen.append(sync["result"]))
        assert sync["components"][0]["kind"] == "seed"
        assert seen[-1] == "succeeded"
        source.psql("UPDATE device SET state = 'lost' WHERE id = 7", "mdm", user="mdm")
        sync = await pair.sync()
        assert (sync["components"][0]["kind"], sync["rows"]) == ("delta", 1)
        assert target.psql("SELECT id FROM device WHERE state = 'lost'", "mdm") == "7"
        pair.stop()
        assert [service.exit_code for service in pair.services] == [0, 0, 0, 0]
    superusers = source.psql("SELECT count(*) FROM pg_roles WHERE rolname ^@ 'warmstandby' AND rolsuper")
    assert superusers == ("2" if rights is Rights.SUPERUSER else "0")


async def test_a_second_standby_follows_too(
    source: Cluster, target: Cluster, new_cluster: NewCluster, tmp_path: Path
) -> None:
    """A pair is a list from the first day."""
    third = new_cluster()
    with Pair.create(tmp_path / "pair", source, target, third=third) as pair:
        pair.start()
        for node in pair.nodes[1:]:
            await pair.sync(node)
            assert node.cluster.psql("SELECT count(*) FROM device", "mdm") == "100"


async def test_services_are_killed_paused_and_started_again(source: Cluster, target: Cluster, tmp_path: Path) -> None:
    """What crash tests do; the pair goes on afterwards."""
    with Pair.create(tmp_path / "pair", source, target) as pair:
        pair.start()
        controller, agent = pair.secondary.controller, pair.primary.agent
        controller.kill()
        assert not controller.is_running
        assert controller.exit_code == -signal.SIGKILL
        agent.pause()
        assert agent.is_running
        assert await asyncio.to_thread(agent.probe, "/health/live") is None
        agent.resume()
        controller.start()
        pair.wait_roles()
        assert controller.log_text().count("listening") == 2
        assert controller.log_text(since_start=True).count("listening") == 1
        agent.restart()
        pair.wait_roles()
        assert (await pair.sync())["rows"] == 100


async def test_a_sync_that_fails_tells_why_with_the_logs(source: Cluster, target: Cluster, tmp_path: Path) -> None:
    """Whoever reads a failed test has nothing else: the folder is gone."""
    with Pair.create(tmp_path / "pair", source, target) as pair:
        pair.start()
        source.kill()
        with pytest.raises(SyncFailed) as caught:
            await pair.sync()
        text = str(caught.value)
        assert caught.value.sync["result"] == "failed"
        assert "sync secondary." in text
        for service in pair.services:
            assert f"--- log of the {service.name} ---" in text  # none has ended


async def test_tokens_have_the_role_that_was_asked_for(source: Cluster, target: Cluster, tmp_path: Path) -> None:
    """A viewer looks; the pair's own token may do everything."""
    with Pair.create(tmp_path / "pair", source, target) as pair:
        pair.start()
        async with open_api(pair.secondary.controller_url, pair.secondary.create_token("guest", "viewer")) as api:
            assert (await api.get("/v1/status"))["node"]["state"] == "standby"
            with pytest.raises(ApiError, match="403 forbidden"):
                await api.start_sync()
        async with pair.secondary.open_api() as api:
            assert (await api.get("/v1/config"))["document"]["sync"]["enabled"] is False
        with pytest.raises(ServiceError, match="exit code 1: a token named 'guest' exists"):
            pair.secondary.create_token("guest", "viewer")


def test_a_service_that_cannot_start_says_why(source: Cluster, target: Cluster, tmp_path: Path) -> None:
    """A broken node.toml ends the process at once; nobody waits for a timeout."""
    with Pair.create(tmp_path / "pair", source, target, settings={"agent": {"heartbeat_seconds": -1}}) as pair:
        started = time.monotonic()
        with pytest.raises(ServiceError, match=r"(?s)ended with exit code 2.*heartbeat_seconds = -1"):
            pair.start(timeout=20)
        assert time.monotonic() - started < 15


def test_what_a_killed_test_leaves_is_ended(tmp_path: Path) -> None:
    """SIGKILL gives the pair's owner no chance: the reaper ends services and clusters and removes their folders."""
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from lab.cluster import Cluster
        from lab.database import Database
        from lab.pair import Pair
        from lab.roles import ensure_role
        folder = Path(sys.argv[1])
        source, target = Cluster.create(folder / "source"), Cluster.create(folder / "target")
        source.start(), target.start()
        ensure_role(source, "mdm")
        Database.create(source, "mdm", options="OWNER mdm")
        pair = Pair.create(folder / "pair", source, target)
        pair.start()
        print(*(service.pid for service in pair.services), flush=True)
        time.sleep(60)
    """)
    owner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=TREE)
    with owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        owner.kill()
    assert len(pids) == 4
    deadline = time.monotonic() + 40
    while [pid for pid in pids if processes.start_time(pid) is not None] or any(tmp_path.iterdir()):
        assert time.monotonic() < deadline, list(tmp_path.iterdir())
        time.sleep(0.05)


def test_node_toml_is_private_and_means_what_was_written(tmp_path: Path) -> None:
    """Names from the world hold quotes, backslashes and letters beyond ASCII."""
    config = tmp_path / "node.toml"
    database = 'a "quoted" \\ größe\tname'
    write_node_toml(
        config,
        {
            "node": {"id": "one", "mode": "primary", "pair_id": "lab", "key": "k" * 24, "state_dir": tmp_path},
            "postgres": {"dsn": "postgresql://localhost/a", "apply_dsn": "postgresql://localhost/a"},
            "agent": {"docs": False, "heartbeat_seconds": 0.5},
            "components": [{"name": "one", "database": database}],
        },
    )
    settings = load_settings(config)
    assert settings.components[0].database == database
    assert settings.node.state_dir == tmp_path
    assert (settings.agent.docs, settings.agent.heartbeat_seconds) == (False, 0.5)
    assert config.stat().st_mode & 0o777 == 0o600


def test_the_documented_roles_can_be_made_again_and_refuse_what_cannot_work(cluster: Cluster) -> None:
    """An administrator runs docs/roles.sql twice, mistypes the owner, or has the superuser own the tables."""
    prepare_roles(cluster, {"postgres": "roles_owner"}, Rights.DOCUMENTED)
    run_roles_sql(cluster, "not there yet", "roles_owner")
    attributes = "rolname, rolsuper, rolreplication, rolcreatedb, rolcanlogin"
    query = f"SELECT {attributes} FROM pg_roles WHERE rolname ^@ 'warmstandby' ORDER BY 1"
    assert cluster.psql(query) == "warmstandby|f|t|t|t\nwarmstandby_apply|f|t|t|t\nwarmstandby_probe|f|f|f|t"
    with pytest.raises(ClusterError, match=r"The role roles_ownr does not exist here"):
        run_roles_sql(cluster, "postgres", "roles_ownr")
    with pytest.raises(ClusterError, match=r"The role postgres is a superuser"):
        run_roles_sql(cluster, "postgres", "postgres")
