"""`warmstandby switchover`, `failover`, `resync`: changes of roles, asked of this node's controller and followed."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Final

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from shared.settings import Settings

LOOK_SECONDS: Final = 0.25
TEXTS: Final = {
    "switchover": "swap the roles without loss: run it on the standby",
    "failover": "promote this standby although the active node is silent, or after closing it",
    "resync": "bring this fenced node back as a standby; what only it has is saved first",
}
OVERRIDES: Final = ("unsynced", "fenced", "data_age", "verification", "schema", "version", "hook")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the three commands to the program."""
    for name, text in TEXTS.items():
        command = commands.add_parser(
            name, help=text, description=f"{text}. Ctrl-C ends the looking on, not the change."
        )
        command.add_argument("--reason", default="", help="why, for the history")
        command.add_argument("--no-wait", action="store_true", help="begin it and return")
        command.add_argument("--json", action="store_true", help="print how it ended as JSON")
        if name == "failover":
            command.add_argument(
                "--override", action="append", default=[], choices=OVERRIDES, help="a check to pass; may be repeated"
            )
            command.add_argument(
                "--peer-is-off", action="store_true", help="I vouch that the other server is switched off"
            )
            command.add_argument("--confirm-node", help="this node's id, needed with the two options above")
        add_connection(command)
        command.set_defaults(command=_run, change=name)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _change(settings, parsed))


async def _change(settings: Settings, parsed: argparse.Namespace) -> int:
    controller = ControllerClient.of(settings, parsed)
    demand: Json = {"reason": parsed.reason}
    if parsed.change == "failover":
        demand |= {
            "overrides": parsed.override,
            "peer_is_off": parsed.peer_is_off,
            "confirm_node": parsed.confirm_node,
        }
    change = await controller.ask("POST", f"/v1/{parsed.change}", body=demand)
    shown = ""
    while not parsed.no_wait and change["ended_at"] is None:
        if not parsed.json and change["phase"] != shown:
            shown = change["phase"]
            sys.stderr.write(f"{parsed.change} {change['id']}: {shown}\n")
        await asyncio.sleep(LOOK_SECONDS)
        change = await _read(controller, change)
    if parsed.json:
        sys.stdout.write(json.dumps(change, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{_describe(parsed.change, change)}\n")
    return 1 if change["failure"] else 0


async def _read(controller: ControllerClient, change: Json) -> Json:
    """Read the change again; another one that began since means that this one has ended."""
    now: Json | None = (await controller.ask("GET", "/v1/status"))["role_change"]
    return now if now is not None and now["id"] == change["id"] else change


def _describe(name: str, change: Json) -> str:
    if change["failure"] is not None:
        return f"{name} {change['id']} failed: {change['failure']['detail']}\n{change['failure']['hint']}"
    if change["ended_at"] is None:
        return f"{name} {change['id']} is on its way"
    gap = change["write_gap_seconds"]
    stopped = "" if gap is None else f"; nobody could write for {gap:.1f} s"
    return f"{name} {change['id']} is done{stopped}"
