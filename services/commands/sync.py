"""`warmstandby sync`: starts a sync on this node's controller and follows it to its end."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from typing import Final

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from services.commands.status import describe_progress
from shared.settings import Settings

LOOK_SECONDS: Final = 0.5


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "sync this standby from the active node now"
    sync = commands.add_parser("sync", help=text, description=f"{text}; Ctrl-C ends the looking on, not the sync.")
    sync.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="GUARD",
        help="let a guard not stop this one sync: source_shrank, source_changed or disk_short; may be repeated",
    )
    sync.add_argument("--no-wait", action="store_true", help="start it and return")
    sync.add_argument("--json", action="store_true", help="print how it ended as JSON, and no progress")
    add_connection(sync)
    sync.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _sync(settings, parsed))


async def _sync(settings: Settings, parsed: argparse.Namespace) -> int:
    controller = ControllerClient.of(settings, parsed)
    body: Json | None = {"accept": parsed.accept} if parsed.accept else None
    sync = await controller.ask("POST", "/v1/syncs", {"Idempotency-Key": uuid.uuid4().hex}, body=body)
    if not parsed.no_wait:
        sync = await _follow(controller, sync, is_shown=not parsed.json)
    if parsed.json:
        sys.stdout.write(json.dumps(sync, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"{_describe_end(sync)}\n")
    return 0 if sync["result"] in ("succeeded", "running") else 1


async def _follow(controller: ControllerClient, sync: Json, *, is_shown: bool) -> Json:
    is_terminal, shown = sys.stderr.isatty(), ""
    while sync["result"] == "running":
        line = f"sync {sync['id']}: {describe_progress(sync)}"
        if is_shown and line != shown:
            sys.stderr.write(f"\r\x1b[2K{line}" if is_terminal else f"{line}\n")
            sys.stderr.flush()
            shown = line
        await asyncio.sleep(LOOK_SECONDS)
        sync = await controller.ask("GET", f"/v1/syncs/{sync['id']}")
    if is_shown and is_terminal:
        sys.stderr.write("\r\x1b[2K")
    return sync


def _describe_end(sync: Json) -> str:
    if sync["result"] == "running":
        return f"sync {sync['id']} runs"
    seconds, failure = sync["duration_seconds"] or 0.0, sync["failure"]
    if failure is not None:
        return f"sync {sync['id']} {sync['result']} after {seconds:.1f} s: {failure['detail']}\n{failure['hint']}"
    rate = sync["bytes"] / 1e6 / seconds if seconds else 0.0
    kinds = ", ".join(f"{item['component']} by {item['kind']}" for item in sync["components"])
    size = f"{sync['rows']} rows, {sync['bytes'] / 1e6:.1f} MB in {seconds:.1f} s ({rate:.1f} MB/s)"
    return f"sync {sync['id']} succeeded: {kinds}; {size}"
