"""`warmstandby may-serve`: says by its exit code whether this node serves, for units and jobs that run nowhere else."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from services.commands.running import add_config, run_command
from shared.errors import PeerError
from shared.node.client import NodeClient
from shared.node.model import State
from shared.node.protocol import Speaker
from shared.process import EXIT_BROKEN
from shared.settings import Settings

DEADLINE_SECONDS: Final = 3.0


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "exit with 0 on the active node, with 1 on any other, and when the agent does not answer"
    parser = commands.add_parser("may-serve", help=text, description=f"{text}. For ExecCondition= and cron.")
    parser.add_argument("--quiet", action="store_true", help="write nothing")
    add_config(parser)
    parser.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _ask(settings, is_quiet=parsed.quiet))


async def _ask(settings: Settings, *, is_quiet: bool) -> int:
    def speaker() -> Speaker:
        return Speaker(settings.node.pair_id, settings.node.id, "may-serve", None)

    try:
        async with NodeClient.of_own_agent(settings, speaker, deadline_seconds=DEADLINE_SECONDS) as agent:
            node = await agent.node()
    except PeerError as error:
        may_serve, said = False, f"the agent of this node does not say that it may serve: {error.detail}"
    else:
        reason = f": {node.reason}" if node.reason else ""
        may_serve, said = node.state is State.ACTIVE, f"this node is {node.state.value}{reason}"
    if not is_quiet:
        sys.stderr.write(f"{said}\n")
    return 0 if may_serve else EXIT_BROKEN
