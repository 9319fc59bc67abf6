"""README.md as somebody new follows it: its commands, as they stand, set up a real pair on two servers.

What an administrator would write differently (names of hosts, ports, folders, passwords) is replaced; nothing else is.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx
import pytest
import trustme

from lab import ports
from lab.binaries import TREE
from lab.cluster import Cluster, ClusterError
from lab.service import plain_environment
from shared.configuration import load_settings, secrets_of

MAJOR: Final = 18
LINES: Final = re.compile(r"```\n(local .*?\n)```", re.DOTALL)
BLOCK: Final = re.compile(r"<!-- run on (both|secondary|one of them) -->\n```sh\n(.*?)```", re.DOTALL)
FILE_SET: Final = re.compile(r"```toml\n(\[\[file_sets\]\]\n.*?)```", re.DOTALL)
QUICK: Final = {
    "WARMSTANDBY_AGENT__HEARTBEAT_SECONDS": "0.3",
    "WARMSTANDBY_CONTROLLER__HEARTBEAT_SECONDS": "0.3",
    "WARMSTANDBY_FENCING__READER_ROLES": '["postgres"]',  # the test looks into the standby
}


@dataclass(slots=True)
class Server:
    """One of the two servers: its PostgreSQL, its folder, and a shell that goes on from block to block."""

    mode: str
    cluster: Cluster
    folder: Path
    ports: tuple[int, int]
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    apply_password: str = field(default_factory=lambda: secrets.token_hex(16))
    probe_password: str = field(default_factory=lambda: secrets.token_hex(16))
    environment: dict[str, str] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    def prepare(self) -> None:
        """Open a shell of the superuser of PostgreSQL, with the programs on PATH."""
        path = os.pathsep.join([str(Path(sys.executable).parent), str(self.cluster.bin_dir), os.environ["PATH"]])
        self.environment = {
            **plain_environment(),
            **QUICK,
            "PATH": path,
            "LD_LIBRARY_PATH": str(self.cluster.bin_dir.parent / "lib"),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.cluster.port),
            "PGUSER": "postgres",
            "WARMSTANDBY_CONFIG": str(self.config),
        }

    def run(self, block: str) -> str:
        """Run a block in the tree; what it exports is there for the next one, what it starts goes on."""
        after, script, output = (self.folder / name for name in ("after", "script", "output"))
        script.write_text(f"{block}\nenv -0 >'{after}'\n", encoding="utf-8")
        with output.open("ab") as log:
            start = log.tell()
            shell = subprocess.Popen(
                ["sh", "-eu", str(script)],
                cwd=TREE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.groups.append(shell.pid)
            code = shell.wait(30)
        text = output.read_bytes()[start:].decode()
        assert code == 0, f"on the {self.mode}:\n{block}\n{text}"
        pairs = (line.split("=", 1) for line in after.read_text(encoding="utf-8").split("\0") if "=" in line)
        self.environment = dict(pair for pair in pairs)
        return text

    def told(self) -> str:
        """Return all that commands and services wrote, and what PostgreSQL logged."""
        return (self.folder / "output").read_text(encoding="utf-8") + self.cluster.log.read_text(encoding="utf-8")


def stop(*servers: Server, number: int = signal.SIGTERM) -> None:
    """End what the blocks started on these servers, and wait for it."""
    groups = {group for server in servers for group in server.groups}
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
    deadline = time.monotonic() + 30
    while groups & living_groups():
        assert time.monotonic() < deadline, "\n".join(server.told() for server in servers)
        time.sleep(0.1)


def living_groups() -> set[int]:
    """Return the groups of all processes that are not only waiting to be forgotten."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if state != "Z":
                    found.add(int(group))
    return found


def blocks() -> Iterator[tuple[str, str]]:
    """Yield where to run and what, in the order of the text."""
    yield from BLOCK.findall((TREE / "README.md").read_text(encoding="utf-8"))


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """Two servers as README.md finds them: wal_level as PostgreSQL has it, passwords asked for."""
    place = Path(tempfile.mkdtemp(prefix="warmstandby-readme-"))  # a unix socket's path must be short
    made: list[Server] = []
    try:
        for mode in ("primary", "secondary"):
            (place / mode).mkdir()
            cluster = Cluster.create(place / mode / "pg", major=MAJOR, settings={"wal_level": "replica"})
            made.append(Server(mode, cluster, place / mode, (ports.reserve_port(), ports.reserve_port())))
            cluster.start()
            cluster.psql("CREATE ROLE mdm LOGIN")
            (cluster.data / "pg_hba.conf").write_text(
                "host all postgres,mdm 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8"
            )
            cluster.reload()
            made[-1].prepare()
        yield made[0], made[1]
    finally:
        stop(*made, number=signal.SIGKILL)
        for server in made:
            server.cluster.remove()
            for port in server.ports:
                ports.release_port(port)
        shutil.rmtree(place)


def write_config(server: Server, other: Server, keys: dict[str, str]) -> None:
    """Do step 5, as with an editor."""
    text = (TREE / "examples" / f"{server.mode}.toml").read_text(encoding="utf-8")
    peer_host = "two.example" if server.mode == "primary" else "one.example"
    for old, new in (
        ("KEY-OF-ONE", keys["primary"]),
        ("KEY-OF-TWO", keys["secondary"]),
        ("APPLY-PASSWORD", server.apply_password),
        ("PROBE-PASSWORD", server.probe_password),
        ("PASSWORD", server.password),
        ("127.0.0.1:5432", f"127.0.0.1:{server.cluster.port}"),
        ("0.0.0.0:8440", f"0.0.0.0:{server.ports[0]}"),
        ("0.0.0.0:8441", f"0.0.0.0:{server.ports[1]}"),
        (f"{peer_host}:8440", f"localhost:{other.ports[0]}"),
        (f"{peer_host}:8441", f"localhost:{other.ports[1]}"),
        ("/etc/warmstandby", str(server.folder)),
        ("/var/lib/warmstandby", str(server.folder / "state")),
    ):
        assert old in text, old
        text = text.replace(old, new)
    found = FILE_SET.search((TREE / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    (server.folder / "documents").mkdir()
    text += "\n" + found[1].replace("/var/lib/mdm", str(server.folder))
    server.config.touch(mode=0o600)
    server.config.write_text(text, encoding="utf-8")


def put_up_fence(server: Server, block: str) -> None:
    """Do step 6: the commands, for another user in another folder, then the lines, as with an editor."""
    folder = str(server.folder / "state-fence")
    server.run(block.replace("-o warmstandby -g warmstandby ", "").replace("/var/lib/warmstandby-fence", folder))
    for place in (server.folder.parent, server.folder):
        place.chmod(0o755)
    found = LINES.search((TREE / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    rules = server.cluster.data / "pg_hba.conf"
    lines = found[1].replace("/var/lib/warmstandby-fence", folder)
    rules.write_text(f"host all postgres 127.0.0.1/32 trust\n{lines}{rules.read_text(encoding='utf-8')}")
    server.cluster.reload()


def give_certificates(folder: Path, block: str, server: Server) -> None:
    """Do step 4: by its own lines where there is an openssl to run them, else by a library."""
    if shutil.which("openssl") is None:
        print("no openssl here: the certificates are made by a library, step 4 of README.md is not run")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        for host in ("one.example", "two.example"):
            made = authority.issue_cert("localhost")
            made.cert_chain_pems[0].write_to_path(folder / f"{host}.pem")
            made.private_key_pem.write_to_path(folder / f"{host}.key")
        return
    server.run(f"cd '{folder}'\n" + block.replace("DNS:$host", "DNS:localhost").replace("rsa:3072", "rsa:2048"))


def wait_ready(server: Server) -> None:
    """Wait until the controller can do its work."""
    trusting = ssl.create_default_context(cafile=server.folder / "ca.pem")
    deadline = time.monotonic() + 30
    with httpx.Client(verify=trusting, base_url=f"https://localhost:{server.ports[1]}", trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if http.get("/health/ready").status_code == 200:
                    return
            assert time.monotonic() < deadline, server.told()[-3000:]
            time.sleep(0.1)


class ProcessList:
    """What any user of the machine sees in a process list, looked at again and again for the time of a block."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(0.05):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        line = (entry / "cmdline").read_bytes()
                        self.seen.add(line.replace(b"\0", b" ").decode(errors="replace"))


def wait_for(server: Server, command: str, said: str, seconds: float = 30.0) -> str:
    """Repeat a command until its output has a text."""
    deadline = time.monotonic() + seconds
    while said not in (text := server.run(command)):
        assert time.monotonic() < deadline, text + server.told()[-3000:]
        time.sleep(0.2)
    return text


@pytest.mark.timeout(120)
def test_the_readme_sets_up_a_pair(servers: tuple[Server, Server], tmp_path: Path) -> None:
    """From step 2 to its end: the second server has the rows of the first, and no secret is to be seen anywhere."""
    primary, secondary = servers
    primary.cluster.psql("CREATE DATABASE mdm OWNER mdm")
    primary.cluster.psql("CREATE TABLE device (id int PRIMARY KEY, name text)", "mdm", user="mdm")
    primary.cluster.psql(
        "INSERT INTO device SELECT n, 'device ' || n FROM generate_series(1, 500) AS n", "mdm", user="mdm"
    )
    (_, settings), (_, roles), (_, certificates), (_, fence), *rest = blocks()
    (_, services), (_, look), (_, sync), (_, schedule), (_, removal) = rest

    with ProcessList() as processes:
        for server in servers:
            server.run(settings)
            server.cluster.restart()
            given = roles.replace("WARMSTANDBY_PASSWORD=...", f"WARMSTANDBY_PASSWORD={server.password}")
            given = given.replace("APPLY_PASSWORD=...", f"APPLY_PASSWORD={server.apply_password}")
            server.run(given.replace("PROBE_PASSWORD=...", f"PROBE_PASSWORD={server.probe_password}"))
        give_certificates(tmp_path, certificates, primary)
        keys = {server.mode: secrets.token_urlsafe(32) for server in servers}
        for server, other, host in ((primary, secondary, "one.example"), (secondary, primary, "two.example")):
            write_config(server, other, keys)
            for source, target in (("ca.pem", "ca.pem"), (f"{host}.pem", "tls.pem"), (f"{host}.key", "tls.key")):
                shutil.copy(tmp_path / source, server.folder / target)
            put_up_fence(server, fence)
            server.run(services)
        (primary.folder / "documents" / "letter").write_text("dear all", encoding="utf-8")
        (primary.folder / "documents" / "letter.tmp").write_text("dear", encoding="utf-8")

        wait_ready(secondary)
        secondary.run(look)
        wait_for(secondary, "warmstandby status", "succeeded at")
        wait_for(secondary, "warmstandby status", "protected")
        assert secondary.cluster.psql("SELECT count(*), max(name) FROM device", "mdm") == "500|device 99"
        with pytest.raises(ClusterError, match=r"pg_hba\.conf rejects connection"):
            secondary.cluster.psql("SELECT count(*) FROM device", "mdm", user="mdm")
        primary.cluster.psql(
            "UPDATE device SET name = 'renamed' WHERE id = 7; DELETE FROM device WHERE id = 8", "mdm", user="mdm"
        )
        told = secondary.run(sync)
        assert "succeeded: mdm by delta" in told
        assert [path.name for path in (secondary.folder / "documents").iterdir()] == ["letter"]
        assert secondary.cluster.psql("SELECT name FROM device WHERE id IN (7, 8)", "mdm") == "renamed"
        told = secondary.run(schedule)
        assert "sync.run_every=PT1H" in told
        assert "lost by a failover at most: 21600 s" in told
        assert "(first_run)" in told

    never = {secret for server in servers for secret in secrets_of(load_settings(server.config))}
    never |= {server.password for server in servers} | {server.apply_password for server in servers}
    never |= {server.probe_password for server in servers}
    never.add(secondary.environment["WARMSTANDBY_TOKEN"])
    assert "decoding" not in primary.cluster.log.read_text(encoding="utf-8"), "each drain writes to the server's log"
    everything = "\n".join([*(server.told() for server in servers), *processes.seen])
    programs = [line for line in processes.seen if "/pg_dump " in line or "/pg_restore " in line]
    assert programs, "the process list was looked at too seldom"
    assert [secret[:4] for secret in never if secret in everything] == []

    stop(*servers)
    for server in servers:
        server.run(removal)
        assert server.cluster.psql("SELECT count(*) FROM pg_replication_slots") == "0"
        assert server.cluster.psql("SELECT count(*) FROM pg_publication", "mdm") == "0"
        assert server.cluster.psql("SELECT count(*) FROM device", "mdm", user="mdm") == "499"
