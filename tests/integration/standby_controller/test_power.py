"""A shutdown waits for a running sync where systemd can hold it up: tried with a program in its place."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.standby_controller.power import PROGRAM, PowerGuard

GRANTS = '#!/bin/sh\necho "$@" >> {log}\nfor last; do :; done\nexec "$last"\n'
REFUSES = "#!/bin/sh\nexit 1\n"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> Path:
    """Put a program of that name on PATH, and return the file it writes its arguments to."""
    log = folder / "log"
    program = folder / PROGRAM
    program.write_text(content.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


async def test_the_lock_is_held_for_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is gone after it; the program reads from this process, so that its death ends the lock too."""
    log, guard = install(tmp_path, monkeypatch, GRANTS), PowerGuard()
    for _ in range(2):
        async with guard.hold("sync b.1 runs"):
            while not log.exists():
                os.sched_yield()
    assert guard.is_kept is True
    assert (
        log.read_text().splitlines()
        == ["--what=shutdown:sleep --who=Warmstandby --why=sync b.1 runs --mode=block cat"] * 2
    )


async def test_a_refusal_changes_nothing_but_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync runs all the same."""
    install(tmp_path, monkeypatch, REFUSES)
    guard = PowerGuard()
    async with guard.hold("sync b.1 runs"):
        await asyncio.sleep(0.5)
    assert guard.is_kept is False


async def test_without_systemd_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    guard = PowerGuard()
    async with guard.hold("sync b.1 runs"):
        pass
    assert guard.is_kept is None
