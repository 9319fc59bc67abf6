"""`warmstandby`: the one program of the command line; each command is a function that returns its exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from services.commands import COMMANDS
from shared.process import run_service
from shared.version import VERSION

SERVICES: Final = {"agent": "services.primary_agent.app", "controller": "services.standby_controller.app"}
DOCUMENTS: Final = {
    "primary_agent.json": "services.primary_agent.app",
    "standby_controller.json": "services.standby_controller.app",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 is success, 1 failure, 2 a bad configuration or command line."""
    words = sys.argv[1:] if arguments is None else arguments
    parsed = _parser(words[0] if words else None).parse_args(words)
    command: Callable[[argparse.Namespace], int] = parsed.command
    return command(parsed)


def _parser(first: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command that the first word names, or of all: most of a start is reading libraries."""
    parser = argparse.ArgumentParser(prog="warmstandby", description="Keeps a second server ready to take over.")
    parser.add_argument("--version", action="version", version=f"warmstandby {VERSION}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text in (("agent", "run the service that owns the node"), ("controller", "run the service that follows")):
        service = commands.add_parser(name, help=text, description=text)
        service.add_argument("--config", type=Path, metavar="FILE", help="node.toml; else WARMSTANDBY_CONFIG names it")
        service.set_defaults(command=_run_service, service=name)
    document = commands.add_parser("openapi", help="write the OpenAPI documents of both services")
    document.add_argument("--check", action="store_true", help="write nothing; fail when a document is stale")
    document.add_argument("--folder", type=Path, default=Path("openapi"), help="where they lie (default: openapi)")
    document.set_defaults(command=_write_documents)
    is_one = first in SERVICES or first in COMMANDS
    for module in dict.fromkeys(module for name, module in COMMANDS.items() if name == first or not is_one):
        importlib.import_module(f"services.commands.{module}").add_command(commands)
    return parser


def _run_service(parsed: argparse.Namespace) -> int:
    """Import only the service that runs: the other's libraries would only cost memory."""
    app = importlib.import_module(SERVICES[parsed.service])
    return run_service(parsed.service, parsed.config, app.serve)


def _write_documents(parsed: argparse.Namespace) -> int:
    stale = 0
    for name, module in DOCUMENTS.items():
        path: Path = parsed.folder / name
        document: dict[str, Any] = importlib.import_module(module).openapi_document()
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if parsed.check:
            print(f"{path} is stale: run `warmstandby openapi`", file=sys.stderr)
            stale += 1
        else:
            parsed.folder.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path} written")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
