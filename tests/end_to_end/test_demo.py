"""`./demo` as a visitor starts it: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab.binaries import TREE
from lab.processes import start_time
from tests.tier import rounds

ROWS = rounds(20_000, 500_000)


def demo(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Start the demo with its temporary files in a folder of the test."""
    return subprocess.Popen(
        [sys.executable, "-m", "sample.demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TREE,
        env={**os.environ, "TMPDIR": str(folder)},
    )


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
    deadline = time.monotonic() + 20
    while processes_in(folder) or list(folder.iterdir()):
        assert time.monotonic() < deadline, (processes_in(folder), list(folder.iterdir()))
        time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "t"
    place.mkdir()
    return place


@pytest.mark.timeout(rounds(120, 300))
def test_the_demo_ends_equal_and_says_so_in_its_last_line(folder: Path) -> None:
    """Programs read the last line of stdout, people the rest; seed and syncs carried rows, and nothing is left."""
    process = demo("--json", "--rows", str(ROWS), "--syncs", "2", "--pause", "1", folder=folder)
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_stays_tells_where_to_look_and_stops_cleanly(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a supervisor's SIGTERM, ends it with the exit code of what was found."""
    process = demo("--stay", "--rows", "3000", "--syncs", "1", "--pause", "0", folder=folder)
    assert process.stdout is not None
    lines = []
    while not any("agent " in line for line in lines[-3:]) or "secondary" not in lines:
        line = process.stdout.readline()
        assert line, (lines, process.communicate())
        lines.append(line.rstrip("\n"))
    text = "\n".join(lines)
    assert text.count("/docs") >= 3
    assert "token wst_" in text
    process.send_signal(number)
    output, told = process.communicate(timeout=30)
    assert process.returncode == 0, (output, told)
    wait_until_nothing_is_left(folder)


@pytest.mark.timeout(60)
def test_an_interrupted_demo_leaves_nothing(folder: Path) -> None:
    """Ctrl-C in the middle of the preparations."""
    process = demo("--rows", "3000", folder=folder)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, told = process.communicate(timeout=30)
    assert process.returncode == 130, (output, told)
    wait_until_nothing_is_left(folder)


@pytest.mark.timeout(60)
def test_a_killed_demo_leaves_nothing(folder: Path) -> None:
    """A kill -9 gives it no chance to clean up; another process does."""
    process = demo("--rows", "3000", folder=folder)
    assert process.stdout is not None
    while "standby" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    wait_until_nothing_is_left(folder)
