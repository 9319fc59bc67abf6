"""One PostgreSQL cluster on this machine: made, started, stopped, killed, paused, copied, removed.

It knows nothing of Warmstandby; what it knows of processes, users and ports is in the modules beside it.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self
from urllib.parse import quote

from lab import hba, ports, processes, reaper, template
from lab.binaries import find_bin_dir, version_of
from lab.identity import choose_identity

SUPERUSER: Final = "postgres"
DEFAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "wal_level": "logical",
        "max_replication_slots": "10",
        "max_wal_senders": "10",
        "max_prepared_transactions": "20",
        "fsync": "off",  # a killed server loses nothing by it, a machine without power would
        "dynamic_shared_memory_type": "mmap",  # in the data directory: a killed server leaves nothing elsewhere
        "timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
    }
)
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
STOP_SIGNALS: Final = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class ClusterError(Exception):
    """A cluster did not do what it was told; the text carries what PostgreSQL said."""


class Cluster:
    """One PostgreSQL cluster in a folder of its own, on a free port of 127.0.0.1.

    The folder belongs to the cluster: server and folder go with ``remove``, with the end of a ``with`` block, and with
    the process that made it, however that one ends.
    """

    def __init__(self, folder: Path, bin_dir: Path, port: int) -> None:
        self.folder = folder
        self.bin_dir = bin_dir
        self.port = port
        self.major = version_of(bin_dir)[0]
        self.data = folder / "data"
        self.log = folder / "server.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._is_removed = False

    @classmethod
    def create(cls, folder: Path, *, major: int | None = None, settings: Mapping[str, str] = NOTHING) -> Self:
        """Make a cluster (not started) in a folder that does not exist or is empty; ``settings`` go over ``DEFAULTS``.

        Its superuser is ``postgres``, everybody on 127.0.0.1 is trusted (closed databases apart: ``lab/hba.py``), and
        its system identifier is its own.
        """
        cluster = cls._claim(folder, find_bin_dir(major), None)
        template.lay_down(cluster.data, cluster.bin_dir)
        hba.write_rules(cluster.data)
        cluster.configure({**DEFAULTS, **settings})
        choose_identity().give(cluster.folder)
        return cluster

    @classmethod
    def _claim(cls, folder: Path, bin_dir: Path, port: int | None) -> Self:
        folder = folder.resolve()
        if folder.exists() and any(folder.iterdir()):
            raise ClusterError(f"{folder} is not empty")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cluster = cls(folder, bin_dir, ports.reserve_port() if port is None else port)
        reaper.watch(cluster.data, folder)
        atexit.register(cluster.remove)
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<Cluster {self.major} on port {self.port}, {'running' if self.is_running else 'not running'}>"

    @property
    def is_running(self) -> bool:
        """Is the server's first process there (it may be paused)?"""
        return self._server is not None and self._server.poll() is None

    @property
    def pid(self) -> int:
        """The server's first process."""
        if self._server is None or self._server.poll() is not None:
            raise ClusterError(f"the cluster on port {self.port} is not running")
        return self._server.pid

    def configure(self, settings: Mapping[str, str]) -> None:
        """Add settings to ``postgresql.conf``; they count from the next ``reload`` or ``start`` on, by their kind."""
        with (self.data / "postgresql.conf").open("a") as file:
            for name, value in settings.items():
                quoted = value.replace("'", "''")
                file.write(f"{name} = '{quoted}'\n")

    def reload(self) -> None:
        """Let the server read its configuration files again."""
        os.kill(self.pid, signal.SIGHUP)

    def start(self, *, within_seconds: float = 60.0) -> None:
        """Start the server and wait until it accepts connections; a running one stays as it is."""
        if self.is_running:
            return
        prefix = choose_identity().prefix
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [*prefix, str(self.bin_dir / "postgres"), "-D", str(self.data), "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._server_environment(),
                start_new_session=True,
            )
        self._server = server
        deadline = time.monotonic() + within_seconds
        while not self._accepts_connections(server.pid):
            if server.poll() is not None:
                raise ClusterError(f"the server on port {self.port} ended at its start:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"the server on port {self.port} is not ready to serve:\n{self._log_tail()}")
            time.sleep(0.01)

    def stop(self, mode: str = "fast", *, within_seconds: float = 60.0) -> None:
        """Stop the server (``smart``, ``fast`` or ``immediate``) and wait for its end; a stopped one stays as it is."""
        server = self._server
        if server is None or server.poll() is not None:
            return
        self.resume()
        server.send_signal(STOP_SIGNALS[mode])
        try:
            server.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"the server on port {self.port} does not stop:\n{self._log_tail()}") from None

    def restart(self, mode: str = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill all processes of the server at once (SIGKILL) and wait till they are gone."""
        server = self._server
        if server is not None and server.poll() is None:
            processes.kill_family(server.pid)
            server.wait()

    def pause(self) -> None:
        """Freeze all processes of the server (SIGSTOP): connections stay open and nobody answers."""
        processes.freeze_family(self.pid)

    def resume(self) -> None:
        """Let a paused server go on; one that is not paused goes on as it is."""
        processes.thaw_family(self.pid)

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the URL of a database of this cluster."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{quote(user, safe='')}{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def psql(self, sql_or_path: str | Path, database: str = "postgres", *, user: str = SUPERUSER) -> str:
        """Run SQL, or a file of it, by this major's own psql; return its plain output (``a|b`` lines, no headers).

        The first error ends it and raises ClusterError with psql's words.
        """
        source, text = (str(sql_or_path), "") if isinstance(sql_or_path, Path) else ("-", sql_or_path)
        program = str(self.bin_dir / "psql")
        done = subprocess.run(
            [program, "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", source, self.dsn(database, user)],
            input=text,
            capture_output=True,
            encoding="utf-8",
            env={**_plain_environment(), "PGCLIENTENCODING": "UTF8"},
            check=False,
        )
        if done.returncode != 0:
            raise ClusterError(f"psql on {database}: {done.stderr.strip()}")
        return done.stdout.removesuffix("\n")

    def copy(self, folder: Path, *, port: int | None = None) -> Self:
        """Copy the data directory of a stopped or killed cluster to another folder, under a new port or the one named.

        The copy is what a restored backup is: it has the same system identifier.
        """
        if self.is_running:
            raise ClusterError("a running cluster cannot be copied: stop it first")
        twin = self._claim(folder, self.bin_dir, port)
        template.copy_tree(self.data, twin.data)
        (twin.data / "postmaster.pid").unlink(missing_ok=True)
        choose_identity().give(twin.folder)
        return twin

    def remove(self) -> None:
        """Kill the server and remove the folder with all that it left; safe to repeat."""
        if self._is_removed:
            return
        self._is_removed = True
        atexit.unregister(self.remove)
        self.kill()
        reaper.end(self.data, self.folder)
        reaper.forget(self.data)
        ports.release_port(self.port)

    def _accepts_connections(self, pid: int) -> bool:
        """Read the server's own word in its lock file: the first line is its pid, the eighth its state."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _server_environment(self) -> dict[str, str]:
        # without it, extensions such as postgres_fdw take the machine's libpq instead of this major's
        return {**_plain_environment(), "LD_LIBRARY_PATH": str(self.bin_dir.parent / "lib")}

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def _plain_environment() -> dict[str, str]:
    """Return the environment without what would change PostgreSQL's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG", "LD_"))}
    return {**kept, "LC_ALL": "C.UTF-8"}
