"""One service of a node as a real process: started, asked, paused, killed, stopped; its output goes to a file.

Nothing here knows of pairs or states.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

import httpx

from lab import processes
from lab.binaries import TREE
from lab.nursery import Nursery, Nursling
from lab.people import NO_TLS

STOP_SECONDS: Final = 20.0
TAIL_LINES: Final = 25
PROGRAM: Final[tuple[str, ...]] = ("-m", "services.cli")


class ServiceError(Exception):
    """A service did not do what it was told; the text carries the end of its log."""


class Kind(StrEnum):
    """The two services of a node, by the command that runs them."""

    AGENT = "agent"
    CONTROLLER = "controller"


class Service:
    """A service of the node that ``config`` describes; it is killed with the process that made it.

    ``program`` is what Python is told to run before the arguments; a test may put a program of its own around it, which
    starts by itself where ``is_reared`` is false, because it must come before the imports. ``environment`` goes over
    the plain one; what a library must see at its loading needs a start by itself, too.
    """

    nursery: ClassVar[Nursery | None] = None
    """Starts all services, where there is one."""

    def __init__(self, kind: Kind, config: Path, url: str, *, node: str) -> None:
        self.kind = kind
        self.config = config
        self.url = url
        self.name = f"{kind} of {node}"
        self.log = config.parent / f"{kind}.log"
        self.program = PROGRAM
        self.is_reared = True
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | Nursling | None = None
        self._log_start = 0
        atexit.register(self.kill)

    def __repr__(self) -> str:
        return f"<{self.name} at {self.url}, {'running' if self.is_running else 'not running'}>"

    @property
    def is_running(self) -> bool:
        """Is the process there (it may be paused)?"""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process."""
        if self._process is None or self._process.poll() is not None:
            raise ServiceError(f"the {self.name} is not running")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the last process ended; None while it runs, and before the first start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; a running one stays as it is. Nothing is waited for."""
        if self.is_running:
            return
        arguments = [*self.program, self.kind, "--config", str(self.config)]
        environment = plain_environment() | self.environment
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            if self.nursery is not None and self.is_reared:
                self._process = self.nursery.start(arguments, self.log, environment)
                return
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=TREE,
                env=environment,
                start_new_session=True,
            )

    def wait_ready(self, timeout: float = 30.0, path: str = "/health/ready") -> None:
        """Wait until a probe answers 200; raises ServiceError when the process ends before, or time does."""
        deadline = time.monotonic() + timeout
        while (answer := self.probe(path)) != 200:
            if not self.is_running:
                raise ServiceError(f"the {self.name} ended with exit code {self.exit_code}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                said = "nothing" if answer is None else f"status {answer}"
                raise ServiceError(f"the {self.name} answers {said} to {path}:\n{self.log_tail()}")
            time.sleep(0.05)

    def probe(self, path: str) -> int | None:
        """Return the status that a probe answers with, None when nothing answers within a second."""
        try:
            return httpx.get(self.url + path, timeout=1.0, verify=NO_TLS, trust_env=False).status_code
        except httpx.HTTPError:
            return None

    def stop(self, *, within_seconds: float = STOP_SECONDS) -> None:
        """Ask the process to stop (SIGTERM), also a paused one, and wait for its end; a stopped one stays as it is."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self.resume()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise ServiceError(f"the {self.name} does not stop:\n{self.log_tail()}") from None
        self._end_group(process.pid)

    def kill(self) -> None:
        """Kill the process and the programs it runs (SIGKILL) and wait till they are gone; safe to repeat."""
        process = self._process
        if process is not None and process.poll() is None:
            processes.kill_family(process.pid)
            process.wait()
            self._end_group(process.pid)

    def restart(self) -> None:
        """Stop and start; a killed one is started."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process and the programs it runs (SIGSTOP)."""
        processes.freeze_family(self.pid)

    def resume(self) -> None:
        """Let a paused process go on; one that is not paused goes on as it is."""
        processes.thaw_family(self.pid)

    def log_text(self, *, since_start: bool = False) -> str:
        """Return what the service has written, or what it has written since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._log_start if since_start else 0)
            return log.read().decode("utf-8", errors="replace")

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines of the log, under the service's name and what became of its process."""
        last = self.log_text().splitlines()[-lines:]
        code = self.exit_code
        end = "" if code is None else f", which ended with exit code {code}"
        return "\n".join([f"--- log of the {self.name}{end} ---", *(last or ["(empty)"])])

    @staticmethod
    def _end_group(leader: int) -> None:
        """Kill programs that outlived the process which ran them; the group is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)


def run_program(arguments: Sequence[str], *, within_seconds: float = 60.0) -> tuple[int, str]:
    """Run `python` with arguments that begin with `-m MODULE`; return the exit code and all that it said."""
    if Service.nursery is None:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=TREE,
            env=plain_environment(),
            check=False,
            timeout=within_seconds,
        )
        return done.returncode, done.stdout
    with tempfile.NamedTemporaryFile("r") as said:
        code = Service.nursery.start(arguments, Path(said.name), plain_environment()).wait(within_seconds)
        return code, said.read()


def plain_environment() -> dict[str, str]:
    """Return the environment without what would change the services' or PostgreSQL's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WARMSTANDBY_", "PG"))}
    return {**kept, "PYTHONUNBUFFERED": "1"}
