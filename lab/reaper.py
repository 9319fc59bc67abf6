"""The last one to leave: a small process that ends the servers of a process that died without doing so, even killed.

It kills the servers of the data directories (and the services of the ``node.toml`` files) that it watches, the last one
first, and removes what they leave: shared memory and the folder.
Started once for each process that owns clusters, in a session of its own (Ctrl-C does not reach it). It is told on its
standard input what to watch, one JSON object a line, and acts when its owner has ended: by the kernel's word (pidfd),
or by the end of its input.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path

if __name__ == "__main__":  # started by its file name, in isolation: the package is found from here
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import processes

_lock = threading.Lock()
_reaper: subprocess.Popen[str] | None = None
_owner_pid = 0


def watch(data: Path, folder: Path) -> None:
    """Hand a data directory, a ``node.toml`` or a mere folder over for the case of our death.

    ``folder`` is removed then, after what runs on ``data`` was killed, and after all that was handed over later.
    ``KEEP_CLUSTERS=1`` in the environment keeps folders, for a look at what a server has written.
    """
    _tell({"data": str(data), "folder": str(folder)})


def forget(data: Path) -> None:
    """Take it back: it was ended properly."""
    _tell({"data": str(data), "folder": None})


def end(data: Path, folder: Path) -> None:
    """Kill what runs on a data directory and remove all that it leaves; safe to repeat."""
    while servers := processes.servers_of(data):
        for pid in servers:
            processes.kill_family(pid)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, IndexError):
        # line 7 of the lock file: key and identifier of the System V segment that guards the data directory
        segment = (data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        subprocess.run(["ipcrm", "-m", segment], stderr=subprocess.DEVNULL, check=False)
    if os.environ.get("KEEP_CLUSTERS", "0") == "0":
        shutil.rmtree(folder, ignore_errors=True)


def _tell(message: dict[str, str | None]) -> None:
    global _reaper, _owner_pid  # noqa: PLW0603 - one reaper for each process is the point
    with _lock:
        if _reaper is None or _owner_pid != os.getpid():
            _owner_pid = os.getpid()
            _reaper = subprocess.Popen(
                [sys.executable, "-I", "-S", "-W", "ignore", __file__, str(_owner_pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=None,
                text=True,
                start_new_session=True,
                cwd="/",
            )
            atexit.register(_dismiss, _reaper, _owner_pid)
        assert _reaper.stdin is not None
        _reaper.stdin.write(json.dumps(message) + "\n")
        _reaper.stdin.flush()


def _dismiss(reaper: subprocess.Popen[str], owner_pid: int) -> None:
    """Let the reaper end what is still watched, and wait for it, at the regular end of its owner."""
    if os.getpid() == owner_pid and reaper.stdin is not None:
        reaper.stdin.close()
        reaper.wait(timeout=60)


def main(owner_pid: int) -> None:
    """Collect what to watch until the owner ends, then end what was not taken back."""
    watched: dict[str, str] = {}
    owner = os.pidfd_open(owner_pid)
    pending = b""
    while True:
        readable, _, _ = select.select([0, owner], [], [])
        chunk = os.read(0, 65536) if 0 in readable else b""
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["folder"] is None:
                watched.pop(message["data"], None)
            else:
                watched[message["data"]] = message["folder"]
        if not chunk:
            break
    for data, folder in reversed(watched.items()):
        try:
            end(Path(data), Path(folder))
        except TimeoutError as error:
            print(f"left behind: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]))
