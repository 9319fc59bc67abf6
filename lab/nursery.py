"""Starts `python -m` programs without their imports: a process that has loaded the services forks one for each start.

Reading the libraries takes a second of processor time, and a suite starts hundreds of services. What runs is the same
program: a process with a session, an environment, an output and a command line of its own. It dies with the nursery,
which ends with its owner.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lab.binaries import TREE
from services.commands import COMMANDS

LOADED: Final = (
    "services.primary_agent.app",
    "services.standby_controller.app",
    *(f"services.commands.{name}" for name in dict.fromkeys(COMMANDS.values())),
)
_ROOM: Final = " " * 4096
"""Room for command lines, as an argument that nobody reads."""
_PR_SET_PDEATHSIG: Final = 1


class Nursling:
    """A process of the nursery, to the owner; as `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._end = os.pidfd_open(pid)

    def __del__(self) -> None:
        os.close(self._end)

    def poll(self) -> int | None:
        """Return how it ended, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._end], [], [], 0)[0]:
            self.returncode = self._nursery.ask({"reap": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None and not select.select([self._end], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; one that has ended gets none."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Nursery:
    """The process that forks, started when it is first needed; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def start(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Nursling:
        """Run `python` with arguments that begin with `-m MODULE`; what it writes is added to the log."""
        asked = {"arguments": list(arguments), "log": str(log), "environment": dict(environment)}
        return Nursling(self, self.ask(asked))

    def ask(self, asked: Mapping[str, Any]) -> int:
        """Have the nursery do one thing."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-u", "-m", "lab.nursery", _ROOM],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=TREE,
                    start_new_session=True,
                    text=True,
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            if not (answer := self._process.stdout.readline()):
                raise RuntimeError(f"the nursery ended with exit code {self._process.wait(20)}; it says why above")
            return int(answer)

    def close(self) -> None:
        """End it with all its processes."""
        if self._process is not None:
            self._process.communicate(timeout=20)


def main() -> None:
    """Fork what standard input asks for, until it ends."""
    gc.disable()
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        asked = json.loads(line)
        if "reap" in asked:
            answer = os.waitstatus_to_exitcode(os.waitpid(asked["reap"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _become(asked["arguments"], asked["log"], asked["environment"])
                runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
                return
        os.write(1, f"{answer}\n".encode())


def _become(arguments: list[str], log: str, environment: dict[str, str]) -> None:
    """Turn the fork into a process as if it had been started by itself."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for path, mode, targets in ((os.devnull, os.O_RDONLY, (0,)), (log, flags, (1, 2))):
        opened = os.open(path, mode)
        for target in targets:
            os.dup2(opened, target)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    _show([sys.executable, *arguments])
    sys.argv = arguments[1:]


def _show(command: list[str]) -> None:
    """Have `/proc/PID/cmdline` show the command; proc(5) tells where the arguments lie."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = b"".join(os.fsencode(word) + b"\0" for word in command)
    assert len(text) <= end - start, "the command line is longer than the room for it"
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main()
