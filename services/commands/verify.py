"""`warmstandby verify`: compares this standby's copies with the active node, and tells what differs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from typing import Final

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from shared.settings import Settings

LOOK_SECONDS: Final = 0.5
_GOOD: Final = ("equal", "repaired")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "compare this standby's copies with the active node"
    verify = commands.add_parser("verify", help=text, description=f"{text}; Ctrl-C ends the looking on alone.")
    verify.add_argument("--component", help="only this one")
    verify.add_argument("--level", choices=("counts", "changed", "full"), default="full", help="how much is compared")
    verify.add_argument("--repair", metavar="ID", help="bring again what this verification found to differ")
    verify.add_argument("--no-wait", action="store_true", help="start it and return")
    verify.add_argument("--json", action="store_true", help="print what was found as JSON")
    add_connection(verify)
    verify.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _verify(settings, parsed))


async def _verify(settings: Settings, parsed: argparse.Namespace) -> int:
    controller = ControllerClient.of(settings, parsed)
    path, demand = "/v1/verifications", {"component": parsed.component, "level": parsed.level}
    if parsed.repair is not None:
        path, demand = f"{path}/{parsed.repair}/repair", {}
    begun = await controller.ask("POST", path, {"Idempotency-Key": uuid.uuid4().hex}, body=demand or None)
    found = await controller.ask("GET", f"/v1/verifications/{begun['id']}")
    while not parsed.no_wait and found["ended_at"] is None:
        await asyncio.sleep(LOOK_SECONDS)
        found = await controller.ask("GET", f"/v1/verifications/{begun['id']}")
    if parsed.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(_describe(found)) + "\n")
    return 0 if found["verdict"] in (*_GOOD, "running") else 1


def _describe(found: Json) -> list[str]:
    lines = [f"verification {found['id']}: {found['verdict']}"]
    if found["failure"] is not None:
        lines.append(f"  {found['failure']['detail']}")
    for part in found["components"]:
        lines.append(f"  {part['component']}: {part['tables']} tables, {part['rows']} rows")
        if part["failure"] is not None:
            lines.append(f"    not all was compared: {part['failure']['detail']}")
        for one in part["differences"]:
            end = "repaired" if one["is_repaired"] else "as is known" if one["is_expected"] else "differs"
            lines.append(f"    {one['kind']} of {one['name']}: {one['text']} ({end})")
    return lines
