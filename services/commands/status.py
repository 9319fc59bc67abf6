"""`warmstandby status`: the pair at a glance, as this node's controller sees it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from shared.settings import Settings


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "show the pair: protected or not, both nodes, age of the data, syncs, advisories"
    status = commands.add_parser("status", help=text, description=text)
    status.add_argument("--json", action="store_true", help="print what GET /v1/status answers")
    add_connection(status)
    status.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _show(settings, parsed))


async def _show(settings: Settings, parsed: argparse.Namespace) -> int:
    status = await ControllerClient.of(settings, parsed).ask("GET", "/v1/status")
    if parsed.json:
        sys.stdout.write(json.dumps(status, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in describe_status(status))
    return 0


def describe_status(status: Json) -> Iterator[str]:
    """Yield the lines that people read."""
    yield "protected" if status["protected"] else "NOT PROTECTED"
    for reason in status["reasons"]:
        yield f"  - {reason['text']}"
    yield status["summary"]
    yield ""
    for node in (status["node"], *status["peers"]):
        own = " (this node)" if node["is_this_node"] else ""
        reason = f": {node['reason']}" if node["reason"] else ""
        yield f"{node['mode']:<10}{node['node_id']}{own}  {node['state']}{reason}"
        offset = node["clock_offset"]
        if offset is not None:
            bound, heard = offset.get("error_seconds", 0.0), node["silent_seconds"]
            yield f"{'':<10}clock {offset['middle_seconds']:+.3f} s ± {bound:.3f} s, heard {heard:.1f} s ago"
    for component in status["components"]:
        yield f"component {component['name']}  {_describe_copy(component, status['node'])}"
        if component["folder"] is not None and component["problem"] is not None:
            yield f"  {component['problem']['text']}"
        for table in component["unkept"]:
            yield f"  not kept current: {table['name']}: {table['reason']}"
    if status["sync_in_progress"] is not None:
        yield f"sync {status['sync_in_progress']['id']} runs: {describe_progress(status['sync_in_progress'])}"
    elif status["last_sync"] is not None:
        last = status["last_sync"]
        why = f": {last['failure']['detail'].splitlines()[0]}" if last["failure"] else ""
        yield f"last sync {last['id']} {last['result']} at {last['ended_at']}{why}"
    if status["next_sync_at"] is not None:
        yield f"next sync at {status['next_sync_at']}"
    if status["configuration"]["not_yet_on"]:
        yield f"the configuration is not yet on {', '.join(status['configuration']['not_yet_on'])}"
    for advisory in status["advisories"]:
        yield f"{advisory['severity']}: {advisory['text']}\n{'':<10}{advisory['hint']}"


def _describe_copy(component: Json, node: Json) -> str:
    if node["state"] == "active":
        return "in use on this node"
    age = component["data_age_seconds"]
    return "no copy on this node" if age is None else f"copy {age:.0f} s old"


def describe_progress(sync: Json) -> str:
    """Return a running sync's progress in one line."""
    progress = sync["progress"]
    if progress is None:
        return str(sync["result"])
    parts = [progress["component"] or "", progress["kind"] or "", progress["phase"]]
    if progress["tables_total"] is not None:
        parts.append(f"{progress['tables_done']}/{progress['tables_total']} tables")
    parts.append(f"{progress['rows_done']} rows")
    parts.append(f"{progress['bytes_done'] / 1e6:.1f} MB")
    if progress["eta_seconds"] is not None:
        parts.append(f"{progress['eta_seconds']:.0f} s left")
    return " ".join(part for part in parts if part)
