"""Signals to a server and to all processes that it started, through /proc; knows nothing of PostgreSQL.

Imports the standard library alone, because the reaper runs it in isolation.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Return when a process was started (clock ticks since boot; identity with the pid), None when it has ended."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process that still run."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] not in ("Z", "X") and int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def servers_of(data: Path) -> list[int]:
    """Return the processes that were started with ``-D data`` or ``--config data`` and still run."""
    place = b"\0" + os.fsencode(data) + b"\0"
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                line = Path("/proc", entry.name, "cmdline").read_bytes()
                is_one = b"\0-D" + place in line or b"\0--config" + place in line
                if is_one and start_time(int(entry.name)) is not None:
                    found.append(int(entry.name))
    return found


def freeze_family(pid: int) -> list[int]:
    """Stop a process and its children (SIGSTOP), the parent first so that no new child appears; return the children."""
    _send(pid, signal.SIGSTOP)
    while not _is_stopped(pid):
        time.sleep(0.001)
    children = children_of(pid)
    for child in children:
        _send(child, signal.SIGSTOP)
    return children


def thaw_family(pid: int) -> None:
    """Let a stopped process and its children go on, the children first."""
    for child in children_of(pid):
        _send(child, signal.SIGCONT)
    _send(pid, signal.SIGCONT)


def kill_family(pid: int, *, within_seconds: float = 20.0) -> None:
    """Kill a process and its children (SIGKILL) and wait until none of them runs any more."""
    family = [*freeze_family(pid), pid]
    identities = {member: start_time(member) for member in family}
    for member in (pid, *family):
        _send(member, signal.SIGKILL)
    deadline = time.monotonic() + within_seconds
    for member, started in identities.items():
        while started is not None and start_time(member) == started:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {member} still runs {within_seconds} seconds after SIGKILL")
            time.sleep(0.002)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_stopped(pid: int) -> bool:
    fields = _stat(pid)
    return fields is None or fields[0] in ("T", "t", "Z", "X")


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
