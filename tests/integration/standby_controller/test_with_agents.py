"""The controller beside real agents: cancelled, killed and stopped in a sync, frozen, told by command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from lab.binaries import TREE
from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.people import Json
from lab.service import plain_environment
from tests.tier import MAJORS


@pytest.fixture(scope="module")
def pair(shared_cluster: Callable[[int, str], Cluster], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair with a copy of one small database."""
    source, target = (shared_cluster(MAJORS[-1], role) for role in ("source", "target"))
    database = Database.create(source, "with_agents")
    database.psql("CREATE TABLE item AS SELECT id, 'new' AS state FROM generate_series(1, 1000) id")
    database.psql("ALTER TABLE item ADD PRIMARY KEY (id)")
    with Pair.create(tmp_path_factory.mktemp("pair"), source, target, databases=["with_agents"]) as pair:
        pair.start()
        asyncio.run(pair.sync())
        yield pair
    for cluster in (source, target):
        Database(cluster, "with_agents").drop()


@contextmanager
def locked_target(pair: Pair) -> Iterator[None]:
    """Keep others from writing to the standby's table, so that a sync waits in the middle of its work."""
    node = pair.secondary
    session = subprocess.Popen(
        [node.cluster.bin_dir / "psql", "-X", "-q", node.cluster.dsn("with_agents")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=plain_environment() | {"LD_LIBRARY_PATH": str(node.cluster.bin_dir.parent / "lib")},
    )
    assert session.stdin is not None
    assert session.stdout is not None
    try:
        session.stdin.write("BEGIN; LOCK TABLE item IN SHARE MODE; SELECT 'held';\n")
        session.stdin.flush()
        while "held" not in session.stdout.readline():
            assert session.poll() is None
        yield
    finally:
        session.kill()
        session.wait()
        session.stdin.close()
        session.stdout.close()


def _change(pair: Pair, state: str) -> None:
    pair.primary.cluster.psql(f"UPDATE item SET state = '{state}'", "with_agents")


def _copied(pair: Pair, state: str) -> bool:
    return pair.secondary.cluster.psql(f"SELECT count(*) FROM item WHERE state = '{state}'", "with_agents") == "1000"


async def _until_applying(pair: Pair) -> str:
    """Start a sync, wait until it applies, and return its id."""
    async with pair.secondary.open_api() as api, asyncio.timeout(40):
        sync = await api.start_sync()
        while True:
            seen = await api.read_sync(sync["id"])
            assert seen["result"] == "running", seen
            if seen["progress"]["phase"] == "applying":
                return str(seen["id"])
            await asyncio.sleep(0.05)


async def _sync(pair: Pair, sync_id: str) -> Json:
    async with pair.secondary.open_api() as api:
        return await api.follow_sync(sync_id)


async def test_a_sync_is_cancelled_while_it_applies(pair: Pair) -> None:
    """At once, although a lock holds it up; the old state stays, and the next sync brings the new one."""
    _change(pair, "cancelled")
    with locked_target(pair):
        sync_id = await _until_applying(pair)
        started = time.monotonic()
        await asyncio.to_thread(_post, pair, f"/v1/syncs/{sync_id}/cancel")
        ended = await _sync(pair, sync_id)
        assert (ended["result"], time.monotonic() - started < 3) == ("cancelled", True)
    assert not _copied(pair, "cancelled")
    await pair.sync()
    assert _copied(pair, "cancelled")


async def test_a_controller_killed_while_it_applies_leaves_the_old_state(pair: Pair) -> None:
    """The sync is called interrupted, and the next one succeeds by itself."""
    _change(pair, "killed")
    with locked_target(pair):
        sync_id = await _until_applying(pair)
        pair.secondary.controller.kill()
    assert not _copied(pair, "killed")
    pair.secondary.controller.start()
    pair.secondary.controller.wait_ready()
    ended = await _sync(pair, sync_id)
    assert (ended["result"], ended["failure"]["code"]) == ("interrupted", "controller_died")
    await pair.sync()
    assert _copied(pair, "killed")


async def test_a_controller_told_to_stop_says_so_of_its_sync(pair: Pair) -> None:
    """It ends the sync itself, quickly, and notes why."""
    _change(pair, "stopped")
    with locked_target(pair):
        sync_id = await _until_applying(pair)
        started = time.monotonic()
        pair.secondary.controller.stop()
        assert (pair.secondary.controller.exit_code, time.monotonic() - started < 8) == (0, True)
    pair.secondary.controller.start()
    pair.secondary.controller.wait_ready()
    ended = await _sync(pair, sync_id)
    assert (ended["result"], ended["failure"]["code"]) == ("interrupted", "controller_stopped")
    await pair.sync()
    assert _copied(pair, "stopped")


async def test_a_frozen_controller_does_not_call_its_peer_lost(pair: Pair) -> None:
    """It missed the heartbeats itself."""
    controller = pair.secondary.controller
    async with pair.secondary.open_api() as api:
        before = (await api.get("/v1/events"))["items"][0]["id"]
        controller.pause()
        await asyncio.sleep(6)
        controller.resume()
        await asyncio.sleep(3)
        kinds = [event["kind"] for event in (await api.get(f"/v1/events?after={before}"))["items"]]
        assert not {"peer_lost", "agent_lost"} & set(kinds)
        assert (await api.get("/v1/status"))["peers"][0]["reach"] == "answering"


def test_a_sync_is_started_and_followed_by_command(pair: Pair) -> None:
    """What an administrator types on the standby; on the active node it is refused."""
    done = _command(pair, pair.secondary.token, "sync", str(pair.secondary.config))
    assert done.returncode == 0, done.stderr
    assert "succeeded: with_agents by delta" in done.stdout
    refused = _command(pair, pair.primary.token, "sync", str(pair.primary.config))
    assert (refused.returncode, "primary is active" in refused.stderr) == (1, True)


def _command(pair: Pair, token: str, command: str, config: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", command, "--config", config],
        capture_output=True,
        text=True,
        cwd=TREE,
        env=plain_environment() | {"WARMSTANDBY_TOKEN": token},
        check=False,
        timeout=60,
    )


def _post(pair: Pair, path: str) -> None:
    headers = {"Authorization": f"Bearer {pair.secondary.token}"}
    httpx.post(pair.secondary.controller_url + path, headers=headers, timeout=10).raise_for_status()
