"""`warmstandby explain`: one failover, switchover or other change of roles in about ten lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any
from urllib.parse import quote

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from shared.settings import Settings


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "say what a failover, switchover or other change of roles was: when, who, why, evidence, phases, loss"
    explain = commands.add_parser("explain", help=text, description=text)
    explain.add_argument("id", nargs="?", metavar="ID", help="as GET /v1/transitions shows it; else the newest")
    explain.add_argument("--json", action="store_true", help="print what GET /v1/transitions/ID answers")
    add_connection(explain)
    explain.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _explain(settings, parsed))


async def _explain(settings: Settings, parsed: argparse.Namespace) -> int:
    controller = ControllerClient.of(settings, parsed)
    if parsed.id is not None:
        transition = await controller.ask("GET", f"/v1/transitions/{quote(parsed.id, safe='')}")
    else:
        newest = (await controller.ask("GET", "/v1/transitions?limit=1"))["items"]
        if not newest:
            sys.stdout.write("No node has changed its role yet.\n")
            return 0
        transition = newest[0]
    if parsed.json:
        sys.stdout.write(json.dumps(transition, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in describe_transition(transition))
    return 0


def describe_transition(transition: Json) -> Iterator[str]:
    """Yield the lines that people read."""
    term = f" in term {transition['term_epoch']}" if transition["term_epoch"] is not None else ""
    took = f", took {transition['duration_seconds']:.2f} s" if transition["duration_seconds"] is not None else ""
    tries = f", {transition['attempts']} tries" if transition["attempts"] > 1 else ""
    yield f"{transition['kind']} of {transition['node']} {transition['result']}{term} ({transition['id']})"
    yield _line("when", f"{transition['started_at']}{took}{tries}")
    yield _line("decided by", transition["asked_by"])
    yield _line("why", transition["why"] or "the journal does not say")
    decided = _evidence(transition, "decision")
    for node, data in decided.items():
        if gate := data.get("gate"):
            yield _line("gate", f"on {node}: {_describe_gate(gate)}")
    looks = _evidence(transition, "looks")
    for node, data in looks.items():
        yield _line("evidence", f"{node} saw {_describe_looks(data.get('looks', []))}")
    if not looks and not decided:
        yield _line("evidence", "no controller has noted any yet")
    yield _line("phases", _describe_phases(transition["phases"]))
    yield _line("loss", _describe_loss(transition))
    yield _line("now", transition["advice"])


def _line(head: str, text: str) -> str:
    return f"{head:<12}{text}"


def _evidence(transition: Json, topic: str) -> dict[str, Any]:
    return {one["node"]: one["data"] for one in transition["evidence"] if one["topic"] == topic}


def _describe_gate(gate: Any) -> str:
    checks = [check for check in gate if isinstance(check, dict)]
    failed = [check for check in checks if check.get("passed") is False]
    if not failed:
        return f"all {len(checks)} checks passed"
    return f"{len(checks) - len(failed)} of {len(checks)} checks passed; not: " + "; ".join(
        str(check.get("text") or check.get("code")) for check in failed
    )


def _describe_looks(looks: list[Json]) -> str:
    """Say for each peer how the looks went: the last answer, and the misses after it."""
    if not looks:
        return "nothing in the minute before"
    found = []
    for peer in sorted({look["peer"] for look in looks}):
        of_peer = [look for look in looks if look["peer"] == peer]
        answers = [look for look in of_peer if look["result"] == "ok"]
        misses = [
            look for look in of_peer if look["result"] != "ok" and (not answers or look["at"] > answers[-1]["at"])
        ]
        last = f"{answers[-1]['state']} at {answers[-1]['at'][11:23]}" if answers else "silent for the whole minute"
        missed = f", then {len(misses)} times {misses[-1]['result']}" if misses else ""
        found.append(f"{peer} {last}{missed}")
    return "; ".join(found)


def _describe_phases(phases: list[Json]) -> str:
    """Name each act with its seconds, and the node wherever another one goes on."""
    acts = [phase for phase in phases if phase["step"] != "asked"]
    runs = [
        (node, ", ".join(map(_describe_phase, found))) for node, found in groupby(acts, key=lambda one: one["node"])
    ]
    return "; ".join(f"{node}: {found}" for node, found in runs) or "none yet"


def _describe_phase(phase: Json) -> str:
    seconds = f" {phase['seconds']:.2f} s" if phase["seconds"] is not None else ""
    failed = f" {phase['outcome']}" if phase["outcome"] != "done" else ""
    times = f" ({phase['times']} times)" if phase["times"] > 1 else ""
    return f"{phase['step']}{seconds}{failed}{times}"


def _describe_loss(transition: Json) -> str:
    estimated, rows = transition["estimated_loss_seconds"], transition["lost_rows"]
    if estimated is None and rows is None:
        return "none is known" if transition["kind"] in ("failover", "force") else "none: nothing was left behind"
    parts = [] if estimated is None else [f"the copy was {estimated:.0f} s old"]
    kept = sum(data.get("databases", 0) for data in _evidence(transition, "loss").values())
    if kept:
        parts.append(f"{kept} databases of the other server were kept whole")
    else:
        parts.append("rows are counted when the other server is back" if rows is None else f"{rows} rows, rescued")
    return "; ".join(parts)
