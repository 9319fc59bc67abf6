"""Runs a service as `warmstandby` does, with accidents at named steps: a script is laid down, and run at that step.

`python -m tests.failover.stumbling FOLDER SERVICE --config FILE`. Before an agent's journal takes up a step, or a
controller's change of roles enters a phase, `FOLDER/NODE.STEP.OUTCOME` is run once and waited for, if it is there. In
the journal `begun` comes before the act, `done` after the record has changed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from services.cli import main


def stumble(folder: Path, node: str, step: str, outcome: str) -> None:
    """Have the accident that waits at a step; it is gone before it happens, so that it happens once."""
    script = folder / f"{node}.{step}.{outcome}"
    happening = script.with_suffix(f".{outcome}.happened")
    try:
        script.rename(happening)
    except FileNotFoundError:
        return
    subprocess.run(["/bin/sh", str(happening)], check=False, start_new_session=True)


def watch_agent(folder: Path, node: str) -> None:
    """Have accidents at the steps that the agent's journal takes up."""
    from shared.node.journal import Journal  # noqa: PLC0415  only the service that runs

    write = Journal.write

    async def write_watched(journal: Journal, one: str, kind: str, step: str, outcome: str, **more: Any) -> None:
        stumble(folder, node, step, outcome)
        await write(journal, one, kind, step, outcome, **more)

    Journal.write = write_watched  # type: ignore[assignment, method-assign]


def watch_controller(folder: Path, node: str) -> None:
    """Have accidents at the phases that the controller's changes of roles enter."""
    from services.standby_controller.roles.changes import Change  # noqa: PLC0415

    enter = Change.enter

    def enter_watched(change: Change, phase: str, now_monotonic: float) -> None:
        stumble(folder, node, phase, "entered")
        enter(change, phase, now_monotonic)

    Change.enter = enter_watched  # type: ignore[assignment, method-assign]


def run(folder: Path, arguments: list[str]) -> int:
    """Run the service with its steps watched; only that service is imported."""
    watch = {"agent": watch_agent, "controller": watch_controller}[arguments[0]]
    watch(folder, Path(arguments[-1]).parent.name)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
