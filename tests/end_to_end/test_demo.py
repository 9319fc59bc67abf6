"""`./demo` as a visitor starts it: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.binaries import TREE
from lab.processes import start_time
from tests.tier import in_full_tier, rounds

Demo = Callable[..., subprocess.Popen[str]]

ROWS = rounds(20_000, 500_000)


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of processes that name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(folder) in line and start_time(int(entry.name)) is not None:
                found.append(line)
    return found


def wait_until_nothing_is_left(folder: Path) -> None:
    """The reaper of a killed process needs a moment."""
    deadline = time.monotonic() + 40
    while left := processes_in(folder) + [str(path) for path in folder.iterdir()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a demo of the test puts its temporary files: a short path, for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ws-demo-") as place:
        yield Path(place)


@pytest.fixture
def demo(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the demo; one that a failed test leaves running is killed."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "sample.demo", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=TREE,
                env={**os.environ, "TMPDIR": str(folder)},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def read_until(process: subprocess.Popen[str], *marks: str) -> str:
    """Read lines until one contains the first mark, then on until one contains the next."""
    assert process.stdout is not None
    lines: list[str] = []
    for mark in marks:
        while not lines or mark not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], ("".join(lines), process.communicate()[1])
    return "".join(lines)


@pytest.mark.timeout(rounds(120, 300))
def test_the_demo_ends_equal_and_says_so_in_its_last_line(folder: Path, demo: Demo) -> None:
    """Programs read the last line of stdout, people the rest; seed and syncs carried rows, and nothing is left."""
    process = demo("--json", "--rows", str(ROWS), "--syncs", "2", "--pause", "1")
    output, told = process.communicate()
    assert process.returncode == 0, told
    *before, last = output.splitlines()
    assert before == []
    report: dict[str, Any] = json.loads(last)
    assert report["equal"] is True
    assert report["error"] is None
    assert report["seed"]["kind"] == "seed"
    assert report["seed"]["rows"] >= ROWS
    assert [sync["kind"] for sync in report["syncs"]] == ["delta", "delta"]
    assert all(sync["rows"] > 0 and sync["equal"] for sync in report["syncs"])
    assert report["syncs"][-1]["compared"]["not_comparable"] == []
    assert report["syncs"][-1]["compared"]["rows"] > ROWS // 2
    assert report["workload"]["rows_written"] > 0
    assert "EQUAL: after each sync both sides held the same rows" in told
    wait_until_nothing_is_left(folder)


@pytest.mark.timeout(120)
@in_full_tier
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_stays_tells_where_to_look_and_stops(folder: Path, demo: Demo, number: signal.Signals) -> None:
    """Ctrl-C, or a supervisor's SIGTERM, ends it with the exit code of what was found."""
    process = demo("--stay", "--rows", "3000", "--syncs", "1", "--pause", "0")
    text = read_until(process, "Ctrl-C ends it", "secondary", "database ")
    assert text.count("/docs") == 4
    assert text.count("token wst_") == 2
    process.send_signal(number)
    output, told = process.communicate(timeout=30)
    assert process.returncode == 0, (output, told)
    wait_until_nothing_is_left(folder)


@pytest.mark.timeout(60)
@in_full_tier
def test_an_interrupted_demo_leaves_nothing(folder: Path, demo: Demo) -> None:
    """A supervisor's SIGTERM in the middle of the preparations."""
    process = demo("--rows", "3000")
    read_until(process, "Starting both services")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    output, told = process.communicate(timeout=30)
    assert process.returncode == 130, (output, told)
    wait_until_nothing_is_left(folder)


@in_full_tier
@pytest.mark.timeout(60)
def test_a_killed_demo_leaves_nothing(folder: Path, demo: Demo) -> None:
    """A kill -9 gives it no chance to clean up; another process does."""
    process = demo("--rows", "3000")
    read_until(process, "the secondary standby")
    process.kill()
    process.wait()
    wait_until_nothing_is_left(folder)
