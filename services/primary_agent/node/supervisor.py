"""Runs one program and ends all that came of it: a process of its own, started by this path, without our packages.

`python -I -S supervisor.py SECONDS PROGRAM ARGUMENT...` runs the program in a session of its own. What it writes, to
standard output or error, comes out on standard error, the beginning of it; how it ended, with the end of what it wrote,
comes out on standard output as JSON. At the limit every descendant is asked to end and a second later killed; once
standard input is closed (the agent cancels, or is gone) they are killed at once. That takes also those that left the
session, because orphans fall to this process.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time

KEPT_BYTES = 9216
SHOWN_BYTES = 65536
GRACE_SECONDS = 1.0
END_SECONDS = 5.0
NOT_STARTED = 127

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
prctl = ctypes.CDLL(None).prctl


class Output:
    """What the program writes: the beginning is passed on as it comes, the end is kept."""

    def __init__(self, source: int) -> None:
        self.tail = b""
        self.source = source
        self._left = SHOWN_BYTES
        os.set_blocking(source, False)
        os.set_blocking(2, False)

    def take(self) -> bool:
        """Take what is there; False at the end."""
        try:
            data = os.read(self.source, 65536)
        except BlockingIOError:
            return True
        self.tail = (self.tail + data)[-KEPT_BYTES:]
        self._show(data[: self._left])
        return bool(data)

    def take_rest(self) -> None:
        """Take what lies in the pipe; a descendant that lives on may hold it open, and is not waited for."""
        for _ in range(64):
            if not select.select([self.source], [], [], 0)[0] or not self.take():
                return

    def _show(self, data: bytes) -> None:
        """Pass the beginning on; a reader that does not keep up gets no more."""
        try:
            is_taken = os.write(2, data) == len(data)
        except OSError:
            is_taken = False
        self._left = self._left - len(data) if is_taken else 0


class Supervision:
    """One run: the program, what became of it, and its end."""

    def __init__(self, seconds: float, command: list[str]) -> None:
        self._started = time.monotonic()
        self._limit = self._started + seconds
        self._status: int | None = None
        self._killed_for: str | None = None
        self._is_left = False
        self._woken = wake_on_signals()
        source, sink = os.pipe()
        self._pid = start(command, sink)
        os.close(sink)
        self._output = Output(source)
        self._readers = [0, self._woken, source]

    def run(self) -> dict[str, object]:
        """Wait for the program's end, or bring it about; return how it was."""
        while self._status is None and self._killed_for is None:
            self._wait_once()
        self._output.take_rest()
        return {
            "exit_code": None if self._status is None else exit_code(self._status),
            "killed_for": self._killed_for,
            "is_left": self._is_left,
            "seconds": time.monotonic() - self._started,
            "tail": self._output.tail.decode("utf-8", errors="replace"),
        }

    def _wait_once(self) -> None:
        """Wait for what comes first: output, the end of a child, of whoever wants the program, or the limit."""
        left = max(0.0, self._limit - time.monotonic())
        ready = select.select(self._readers, [], [], left)[0]
        if self._output.source in ready and not self._output.take():
            self._readers.remove(self._output.source)
        if self._woken in ready:
            os.read(self._woken, 512)
            self._reap()
        if self._status is not None:
            return
        if 0 in ready and not os.read(0, 1):
            self._end("cancel", grace_seconds=0.0)
        elif time.monotonic() >= self._limit:
            self._end("limit", grace_seconds=GRACE_SECONDS)

    def _reap(self) -> bool:
        """Collect whoever has ended; say whether anybody is left."""
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if ended == 0:
                return True
            if ended == self._pid:
                self._status = status

    def _end(self, why: str, *, grace_seconds: float) -> None:
        """Kill every descendant, those that appear meanwhile too, after a time in which they may end by themselves."""
        self._killed_for, self._is_left = why, True
        started = time.monotonic()
        if grace_seconds:
            send(signal.SIGTERM)
        while self._is_left and time.monotonic() < started + grace_seconds + END_SECONDS:
            if time.monotonic() >= started + grace_seconds:
                send(signal.SIGKILL)
            self._output.take_rest()
            time.sleep(0.01)
            self._is_left = self._reap()


def wake_on_signals() -> int:
    """Return what can be read once a child has ended; nothing else ends this process before its children."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return woken


def start(command: list[str], output: int) -> int:
    """Start the program in a session of its own; it is killed when this process is."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number, target in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(number, target)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.chdir("/")
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode())
    os._exit(NOT_STARTED)


def send(number: int) -> None:
    """Send a signal to every descendant."""
    for pid in descendants():
        try:
            os.kill(pid, number)
        except OSError:
            continue


def descendants() -> list[int]:
    """Return every process below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
    found: list[int] = []
    new = [os.getpid()]
    while new := [pid for pid, parent in parents.items() if parent in new]:
        found += new
    return found


def exit_code(status: int) -> int:
    """Return the exit code as a shell gives it: 128 and the number for one that a signal ended."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> None:
    """Run what the command line names."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    how = Supervision(float(sys.argv[1]), sys.argv[2:]).run()
    os.write(1, json.dumps(how).encode())


if __name__ == "__main__":
    main()
