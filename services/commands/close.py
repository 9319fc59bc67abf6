"""`warmstandby close`: closes the databases before PostgreSQL starts: nobody is in before the agent has judged."""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.commands.running import add_config, run_command
from shared.clock import SystemClock
from shared.errors import ConfigurationError
from shared.fencing.fence import Fence
from shared.fencing.hba import write_list
from shared.settings import Settings


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "write the list of closed databases that pg_hba.conf names, without asking the server"
    parser = commands.add_parser(
        "close", help=text, description=f"{text}. For ExecStartPre= of PostgreSQL; the agent opens where it may."
    )
    parser.add_argument(
        "--nothing", action="store_true", help="close no database: before pg_hba.conf names the list for the first time"
    )
    add_config(parser)
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _close(settings, closes=not parsed.nothing))


async def _close(settings: Settings, *, closes: bool) -> int:
    path = settings.fencing.hba_list
    if path is None:
        raise ConfigurationError(
            "[fencing] hba_list is not set: there is no list to write",
            hint="Set it as README.md, section Fencing, shows.",
        )
    if closes:
        await asyncio.to_thread(Fence(settings, SystemClock()).close_unasked)
    else:
        await asyncio.to_thread(write_list, path, ())
    names = ", ".join(component.database for component in settings.components) if closes else "no database"
    sys.stderr.write(f"{path}: {names} closed\n")
    return 0
