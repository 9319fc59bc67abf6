"""Runs a program of the administrator's: a limit of time, a clean environment, its output, the end of all it started.

How it is watched and ended stands in `supervisor.py`. What a program is for, and what its exit code means, is known
elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from services.primary_agent.node import supervisor

OUTPUT_CHARACTERS: Final = 8192
REPORT_SECONDS: Final = supervisor.GRACE_SECONDS + supervisor.END_SECONDS + 5.0
_SUPERVISOR: Final = Path(supervisor.__file__)
_KEPT_VARIABLES: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """How a program ended; `exit_code` is None when it was killed before it gave one."""

    exit_code: int | None
    output_tail: str
    seconds: float
    was_killed: bool
    is_left: bool = False

    @property
    def is_success(self) -> bool:
        """Say whether the program did what it is for."""
        return self.exit_code == 0 and not self.was_killed

    @property
    def sentence(self) -> str:
        """Return what happened, with the last line of the output."""
        ended = f"ended with exit code {self.exit_code}"
        said = self.output_tail.strip().rpartition("\n")[2]
        how = "was killed at its limit" if self.was_killed else ended
        left = ", and processes that it started could not be ended" if self.is_left else ""
        return f"{how} after {self.seconds:.1f} s{left}" + (f": {said[-300:]}" if said else "")


class _Report(BaseModel):
    """What the supervisor says at the end."""

    model_config = ConfigDict(frozen=True)

    exit_code: int | None
    killed_for: str | None
    is_left: bool
    seconds: float
    tail: str


async def run_program(
    command: Sequence[str],
    variables: Mapping[str, str],
    *,
    limit_seconds: float,
    redact: Callable[[str], str],
    show: Callable[[str], None] | None = None,
) -> ProgramResult:
    """Run a program to its end, or to its limit; `show` gets each line of the beginning of what it writes.

    The program finds PATH, HOME, LANG and `variables`, nothing else of this process. At the limit, when this is
    cancelled, and when this process dies, the program is killed with all that it has started.
    """
    started = asyncio.get_running_loop().time()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(_SUPERVISOR), str(limit_seconds), *command,
        stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**_kept_variables(), **variables}, start_new_session=True,
        limit=2 * supervisor.SHOWN_BYTES,
    )  # fmt: skip
    report: _Report | None = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds + REPORT_SECONDS):
                report = await _listen(process, redact, show)
    finally:
        await _end(process)
    if report is None:
        seconds = asyncio.get_running_loop().time() - started
        lost = "the process that watched over it ended without a report"
        return ProgramResult(None, lost, seconds, was_killed=True, is_left=True)
    tail = redact(report.tail)[-OUTPUT_CHARACTERS:]
    return ProgramResult(report.exit_code, tail, report.seconds, report.killed_for is not None, report.is_left)


async def _listen(process: Process, redact: Callable[[str], str], show: Callable[[str], None] | None) -> _Report | None:
    """Pass on what is written until the supervisor reports; None when it ended without."""
    assert process.stdout is not None
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if show is not None and (line.endswith(b"\n") or process.stderr.at_eof()):
            show(redact(line.decode("utf-8", errors="replace").rstrip()))
    try:
        return _Report.model_validate_json(await process.stdout.read())
    except ValidationError:
        return None


async def _end(process: Process) -> None:
    """Have all killed that still runs: the supervisor does it when it hears no more of this process."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()


def _kept_variables() -> dict[str, str]:
    kept = {name: os.environ.get(name, default) for name, default in _KEPT_VARIABLES.items()}
    return {**kept, "HOME": str(Path.home())}
