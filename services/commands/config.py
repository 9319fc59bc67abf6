"""`warmstandby config`: shows the pair's settings, and changes some after showing what that means."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.commands.controller import ControllerClient, Json, add_connection
from services.commands.running import run_command
from shared.errors import RequestError
from shared.settings import Settings

_SECRET_KEYS: Final = ("password", "secrets", "headers", "url")
_NOTHING: Final = ("null", "{}", "[]")
_MASKED: Final = re.compile(r'(https?://[^/@]*/)?\*{10}|\["\*{10}"(, "\*{10}")*\]')
"""What stands for a secret that is stored."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the program."""
    text = "show or change the settings of the pair"
    config = commands.add_parser(
        "config",
        help=text,
        description=f"{text}. Without KEY=VALUE it shows them. A value is JSON or a word, or @FILE that holds it; null "
        "gives the default.",
    )
    config.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="as in sync.run_every=PT6H")
    config.add_argument("--preview", action="store_true", help="show what the change means, and save nothing")
    config.add_argument("--json", action="store_true", help="print the answer of the API")
    add_connection(config)
    config.set_defaults(command=_run)


def _run(parsed: argparse.Namespace) -> int:
    return run_command(parsed.config, lambda settings: _config(settings, parsed))


async def _config(settings: Settings, parsed: argparse.Namespace) -> int:
    controller, patch = ControllerClient.of(settings, parsed), parse_changes(parsed.changes)
    if parsed.preview:
        answer = await controller.ask("POST", "/v1/config/preview", body=patch)
        lines = describe_preview(answer)
    elif patch:
        version = (await controller.ask("GET", "/v1/status"))["configuration"]["version"]
        answer = await controller.ask("PATCH", "/v1/config", {"If-Match": f'"{version}"'}, body=patch)
        lines = describe_saved(answer)
    else:
        answer = await controller.ask("GET", "/v1/config")
        lines = describe_document(answer["document"])
    if parsed.json:
        sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if parsed.preview and answer["refusal"] else 0


def _holds_secrets(name: str) -> bool:
    path = name.split(".")
    is_plain = path[0] != "notifications" or (len(path) == 2 and path[1] not in ("channels", "dead_man_url"))
    return not (is_plain or (len(path) == 4 and path[3] not in _SECRET_KEYS))


def parse_changes(changes: list[str]) -> Json:
    """Return the merge patch of words like `sync.run_every=PT6H`; raises RequestError."""
    patch: Json = {}
    for change in changes:
        name, separator, text = change.partition("=")
        path = name.split(".")
        if not separator or not all(path) or len(path) < 2:
            raise RequestError(f"{change!r} is no KEY=VALUE", hint="Write it like sync.run_every=PT6H.")
        place = patch
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise RequestError(f"{change!r} contradicts what is before it", hint="Name each key once.")
        place[path[-1]] = _value(name, text)
    return patch


def describe_document(document: Json, prefix: str = "") -> Iterator[str]:
    """Yield a line for each setting, as it can be given back."""
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from describe_document(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def describe_saved(answer: Json) -> Iterator[str]:
    """Yield what became of a change."""
    yield f"saved as version {answer['epoch']}.{answer['version']}.{answer['changed_on']}"
    for node in answer["not_yet_on"]:
        yield f"not yet on {node}, which does not answer"
    following = answer["next_run"]
    yield "no sync is scheduled" if following is None else f"next sync: {following['at'] or 'now'} ({following['why']})"


def describe_preview(answer: Json) -> Iterator[str]:
    """Yield what a change would mean."""
    if answer["refusal"] is not None:
        yield f"would be refused: {answer['refusal']['text']}"
    yield "next syncs: " + (", ".join(answer["next_runs"]) or "none")
    yield f"lost by a failover at most: {answer['worst_case_data_loss_seconds']:.0f} s of changes, while syncs succeed"
    yield f"until a dead server is certain at most: {answer['worst_case_detection_seconds']:.0f} s"
    for warning in answer["warnings"]:
        yield f"warning: {warning['text']}"


def _value(name: str, text: str) -> Any:
    """Return a value; a secret comes from a file alone: everybody on the machine can read a command line."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"{name}: {error}", hint="Name a file that holds the value after @.") from error
    elif _holds_secrets(name) and text not in _NOTHING and not _MASKED.fullmatch(text):
        raise RequestError(
            f"{name} may hold a secret, which the machine's process list would show",
            hint=f"Write the value to a file that only you can read, and give {name}=@FILE.",
        )
    try:
        return json.loads(text)
    except ValueError:
        return text
