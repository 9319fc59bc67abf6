"""The lab itself: a cluster starts, dies, freezes, is copied, and leaves nothing behind, as root and as anybody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from lab import identity, processes
from lab.binaries import TREE, BinariesError, find_bin_dir, version_of
from lab.cluster import Cluster, ClusterError
from lab.database import Database
from lab.ports import release_port, reserve_port
from tests.conftest import PairOfClusters
from tests.tier import rounds, seed_of

NewCluster = Callable[..., Cluster]


def test_a_cluster_is_of_its_major_and_ready_for_logical_decoding(cluster: Cluster, major: int) -> None:
    """Everything else relies on these settings."""
    assert cluster.psql("SELECT current_setting('server_version_num')::int / 10000") == str(major)
    assert cluster.psql("SHOW wal_level; SHOW max_replication_slots; SHOW server_encoding") == "logical\n10\nUTF8"


def test_every_cluster_is_a_system_of_its_own(pair_of_clusters: PairOfClusters) -> None:
    """The template must not give two servers one identity; a physical stand-in would hide faults."""
    query = "SELECT system_identifier FROM pg_control_system()"
    assert pair_of_clusters.source.psql(query) != pair_of_clusters.target.psql(query)
    assert pair_of_clusters.source.port != pair_of_clusters.target.port


def test_settings_are_those_asked_for_even_with_quotes(new_cluster: NewCluster) -> None:
    """Settings go through a file with a quoting of its own."""
    cluster = new_cluster(application_name="it's", work_mem="7MB")
    assert cluster.psql("SHOW work_mem") == "7MB"
    cluster.configure({"work_mem": "9MB"})
    cluster.restart()
    assert cluster.psql("SHOW work_mem") == "9MB"


async def test_a_killed_server_loses_no_committed_row(new_cluster: NewCluster, major: int) -> None:
    """SIGKILL ends all its processes at once, and the next start recovers."""
    cluster = new_cluster(major)
    connection = await asyncpg.connect(cluster.dsn())
    await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
    family = [cluster.pid, *processes.children_of(cluster.pid)]
    cluster.kill()
    assert not cluster.is_running
    assert [pid for pid in family if processes.start_time(pid) is not None] == []
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, ConnectionError)):
        await connection.fetchval("SELECT 1")
    cluster.start()
    assert cluster.psql("SELECT count(*) FROM kept") == "1000"


async def test_a_paused_server_answers_nobody_and_goes_on_where_it_was(new_cluster: NewCluster) -> None:
    """The connection outlives the pause: it is what a frozen host looks like."""
    cluster = new_cluster()
    connection = await asyncpg.connect(cluster.dsn())
    cluster.pause()
    with pytest.raises(TimeoutError):
        await asyncpg.connect(cluster.dsn(), timeout=0.3)
    cluster.resume()
    assert await connection.fetchval("SELECT 42") == 42
    await connection.close()


def test_a_paused_server_can_be_stopped_and_killed(new_cluster: NewCluster) -> None:
    """The end of a test must not hang on what the test did."""
    cluster = new_cluster()
    cluster.pause()
    cluster.stop()
    cluster.start()
    cluster.pause()
    cluster.kill()
    assert not cluster.is_running


def test_a_copy_goes_its_own_way_from_the_same_beginning(new_cluster: NewCluster, tmp_path: Path, major: int) -> None:
    """It is a restored backup: same system identifier, same rows, other port."""
    original = new_cluster(major)
    original.psql("CREATE TABLE history AS SELECT 'before' AS what")
    with pytest.raises(ClusterError, match="stop it first"):
        original.copy(tmp_path / "too-early")
    original.kill()
    with original.copy(tmp_path / "copy") as copy:
        original.start()
        copy.start()
        copy.psql("INSERT INTO history VALUES ('in the copy')")
        assert original.psql("SELECT what FROM history") == "before"
        query = "SELECT system_identifier FROM pg_control_system()"
        assert original.psql(query) == copy.psql(query)
        assert original.port != copy.port


def test_psql_runs_text_and_files_and_ends_at_the_first_error(cluster: Cluster, tmp_path: Path) -> None:
    """A load that goes on after an error would compare as equal and mean nothing."""
    script = tmp_path / "ünï code.sql"
    script.write_text("\\set word 'grün'\nSELECT :'word', 2;\n", encoding="utf-8")
    assert cluster.psql(script) == "grün|2"
    with pytest.raises(ClusterError, match="division by zero"):
        cluster.psql("SELECT 1/0; SELECT 'not reached'")


async def test_a_database_is_dropped_whatever_holds_on_to_it(
    cluster: Cluster, database: Callable[..., Database]
) -> None:
    """Sessions, slots, prepared transactions and subscriptions keep a database from going; tests leave all of them."""
    item = database(cluster, 'strange "näme"')
    connection = await asyncpg.connect(item.dsn)
    item.psql("SELECT pg_create_logical_replication_slot('held', 'pgoutput')")
    item.psql("CREATE TABLE t(); BEGIN; INSERT INTO t DEFAULT VALUES; PREPARE TRANSACTION 'it''s open'")
    item.psql(
        f"CREATE SUBSCRIPTION s CONNECTION '{cluster.dsn()}' PUBLICATION nowhere "
        "WITH (connect = false, slot_name = NONE)"
    )
    item.drop()
    assert cluster.psql("SELECT count(*) FROM pg_database WHERE datname LIKE 'strange%'") == "0"
    assert cluster.psql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'held'") == "0"
    connection.terminate()


def test_removing_leaves_nothing_behind(tmp_path: Path, major: int) -> None:
    """No folder, no process, no shared memory, and the port can be taken again."""
    folder = tmp_path / "short-lived"
    before = _shared_memory()
    with Cluster.create(folder, major=major) as cluster:
        cluster.start()
        family = [cluster.pid, *processes.children_of(cluster.pid)]
        cluster.kill()
        cluster.start()
        family += [cluster.pid, *processes.children_of(cluster.pid)]
    assert not folder.exists()
    assert [pid for pid in family if processes.start_time(pid) is not None] == []
    assert _shared_memory() <= before
    cluster.remove()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_cluster_of_a_process_that_dies_dies_too(tmp_path: Path, number: signal.Signals) -> None:
    """Even SIGKILL: nobody has to look for servers of yesterday's runs."""
    folder = tmp_path / "orphan"
    with _owner(folder) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        family = [server, *processes.children_of(server)]
        assert len(family) > 1
        owner.send_signal(number)
        owner.wait()
        _wait_until(lambda: not folder.exists())
    assert [pid for pid in family if processes.start_time(pid) is not None] == []


def test_the_end_of_a_thread_is_not_the_end_of_its_cluster(tmp_path: Path) -> None:
    """A death signal tied to the thread that started the server would kill it here."""
    program = """
        import pathlib, sys, threading
        from lab.cluster import Cluster
        cluster = Cluster.create(pathlib.Path(sys.argv[1]))
        thread = threading.Thread(target=cluster.start)
        thread.start()
        thread.join()
        print(cluster.psql("SELECT 'alive'"))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), tmp_path / "cluster"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("alive\n", "", 0)
    assert not (tmp_path / "cluster").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has several ways to run PostgreSQL")
@pytest.mark.parametrize("way", [identity.NAMESPACE, identity.REAL_NOBODY], ids=["namespace", "real nobody"])
def test_root_has_two_ways(tmp_path: Path, major: int, way: identity.Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is for containers, where user namespaces are refused; both work in private folders."""
    if not identity.works(way):
        pytest.skip(f"{way.prefix[0]} is refused on this machine")
    tmp_path.chmod(0o700)
    monkeypatch.setattr("lab.cluster.choose_identity", lambda: way)
    monkeypatch.setattr("lab.template.choose_identity", lambda: way)
    with Cluster.create(tmp_path / "cluster", major=major) as cluster:
        cluster.start()
        cluster.kill()
        with cluster.copy(tmp_path / "copy") as copy:
            copy.start()
            assert copy.psql("SELECT 'works'") == "works"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the whole run is by an ordinary user already")
def test_an_ordinary_user_runs_clusters_too() -> None:
    """Root lends its programs to nobody, without any right of its own."""
    program = """
        import os, pathlib, sys
        from lab.cluster import Cluster
        with Cluster.create(pathlib.Path(sys.argv[1])) as cluster:
            cluster.start()
            print(os.geteuid(), os.stat(cluster.data).st_uid, cluster.psql("SELECT 'works'"))
    """
    shared = Path("/tmp", f"ordinary-{os.getpid()}")  # the temporary folders of pytest are root's alone
    try:
        shared.mkdir(mode=0o755)
        subprocess.run(["cp", "-r", TREE / "lab", find_bin_dir(15).parent, shared], check=True)
        os.chown(shared, identity.NOBODY, identity.NOBODY)
        done = subprocess.run(
            [*_as_nobody(), "-c", textwrap.dedent(program), str(shared / "cluster")],
            cwd=shared,
            env={"PATH": os.environ["PATH"], "PG_BIN": str(shared / "15" / "bin"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("65534 65534 works\n", "")
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def test_two_takers_never_get_one_port() -> None:
    """Also across processes, and before anybody listens."""
    ours = [reserve_port() for _ in range(20)]
    program = f"from lab.ports import _claim; print([port for port in {ours} if _claim(port) is not None])"
    done = subprocess.run([sys.executable, "-c", program], cwd=TREE, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert len(set(ours)) == 20
    for port in ours:
        release_port(port)


def test_binaries_that_cannot_run_say_what_is_missing(tmp_path: Path) -> None:
    """A skipped major would look like a passed one."""
    with pytest.raises(BinariesError, match="no PostgreSQL 9 found"):
        find_bin_dir(9)
    (tmp_path / "postgres").touch()
    with pytest.raises(BinariesError, match="has no initdb, pg_resetwal, psql, pg_dump, pg_restore"):
        version_of(tmp_path)


def test_the_tier_and_the_seed_decide_alone() -> None:
    """The same seed gives the same chance for the same test."""
    assert seed_of("a") == seed_of("a") != seed_of("b")
    assert rounds(1, 2) in (1, 2)


def _as_nobody() -> list[str]:
    """Return a command that runs a Python of this machine as an ordinary user; ours may lie in a private folder."""
    probe = "import subprocess, sys; from typing import Self; subprocess.run([sys.executable, '-V'], check=True)"
    for interpreter in (str(Path(sys.executable).resolve()), "/usr/bin/python3", "/usr/local/bin/python3"):
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", interpreter]
        if subprocess.run([*command, "-c", probe], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("no Python 3.11 of this machine can be run by everybody")


def _owner(folder: Path) -> subprocess.Popen[str]:
    """Start a process that owns a running cluster, prints the server's pid and waits."""
    program = """
        import pathlib, sys, time
        from lab.cluster import Cluster
        cluster = Cluster.create(pathlib.Path(sys.argv[1]))
        cluster.start()
        print(cluster.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder)]
    return subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _wait_until(is_true: Callable[[], bool], within_seconds: float = 40.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _shared_memory() -> set[str]:
    """Return the System V segments of this machine that are ours and have no user."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {row[1] for row in fields if row[7] == str(os.geteuid()) and row[6] == "0"}
