"""`warmstandby uninstall`: takes what is ours away from the applications' databases of this node."""

from __future__ import annotations

import argparse
import sys

from services.commands.running import add_config, run_command
from services.primary_agent.capture.uninstall import uninstall
from shared.clock import SystemClock
from shared.errors import DatabaseMissing, NotFound
from shared.fencing.fence import Fence
from shared.settings import ComponentSettings, Settings


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "take publication, slot, DDL guard and our schema away from an application's database on this node"
    parser = commands.add_parser(
        "uninstall",
        help=text,
        description=f"{text}. Stop the services first; the data stays. A standby needs a full copy after it.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--component", action="append", metavar="NAME", help="this component; may be given again")
    which.add_argument("--all", action="store_true", help="every component of node.toml")
    add_config(parser)
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _uninstall(settings, parsed))


async def _uninstall(settings: Settings, parsed: argparse.Namespace) -> int:
    wanted = settings.components if parsed.all else [_find(settings, name) for name in parsed.component]
    for component in wanted:
        removed = await uninstall(settings, component)
        what = ", ".join(removed) if removed else "nothing of ours was there"
        sys.stdout.write(f"{component.name} (database {component.database}): {what}{' removed' if removed else ''}\n")
    if parsed.all and await _open(settings):
        sys.stdout.write("the databases are open to applications\n")
    return 0


async def _open(settings: Settings) -> bool:
    """Give back what the fence took; False where the node's own database is gone, which knew."""
    try:
        await Fence(settings, SystemClock()).open()
    except DatabaseMissing:
        return False
    return True


def _find(settings: Settings, name: str) -> ComponentSettings:
    found = settings.component(name)
    if found is None:
        names = ", ".join(component.name for component in settings.components)
        raise NotFound(f"there is no component {name!r} on this node", hint=f"The components are: {names}.")
    return found
