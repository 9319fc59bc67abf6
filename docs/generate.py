"""Writes docs/settings.md and docs/errors.md from the code: `python -m docs.generate [--check]`.

What a setting means stands in its model, what an error means in its class; here is only how a page is laid out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.standby_controller.pair_document import PairDocument
from shared.configuration import PREFIX, SEPARATOR
from shared.errors import ConfigurationError, WarmstandbyError
from shared.node.reasons import SENTENCES
from shared.settings import Settings

HERE: Final = Path(__file__).resolve().parent
MADE: Final = "<!-- Written by `python -m docs.generate`; change the code instead. -->"

Schema = dict[str, Any]


def main() -> int:
    """Write the pages, or with --check say which are stale; 1 when one is."""
    parser = argparse.ArgumentParser(description="Write docs/settings.md and docs/errors.md from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    is_check = parser.parse_args().check
    stale = [name for name, text in pages().items() if _read(HERE / name) != text]
    for name in stale:
        if is_check:
            sys.stderr.write(f"docs/{name} is stale: run `python -m docs.generate`\n")
        else:
            (HERE / name).write_text(pages()[name], encoding="utf-8")
    return 1 if stale and is_check else 0


def pages() -> dict[str, str]:
    """Return the content of each page by its file name."""
    return {"settings.md": "\n".join(_settings()) + "\n", "errors.md": "\n".join(_errors()) + "\n"}


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


# Settings ------------------------------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    schema = Settings.model_json_schema()
    yield from (
        MADE,
        "",
        "# Settings",
        "",
        "Both services of a node read one file, `node.toml`: the one that `--config` names, else `WARMSTANDBY_CONFIG`,",
        "else `/etc/warmstandby/node.toml`. It holds keys and passwords: let only the user of the services read it.",
        "",
        f"Any value can be given in the environment instead, as `{PREFIX}SECTION{SEPARATOR}KEY`, for example",
        f"`{PREFIX}AGENT{SEPARATOR}LISTEN`, and in a list with the row's number, counted from 0:",
        f"`{PREFIX}PEERS{SEPARATOR}0{SEPARATOR}KEY`. The environment wins.",
        "",
        "A value that cannot be used ends the service with exit code 2 and a line for each fault. A change of the file",
        "counts from the next start.",
    )
    for reference in schema["properties"].values():
        is_list = reference.get("type") == "array"
        section = _resolve(schema, reference["items"] if is_list else reference)
        what = section["description"].splitlines()[0]
        yield from ("", f"## {what.partition(':')[0]}", "", _sentence(what.partition(": ")[2]), "")
        yield from _table(schema, section)
    document = PairDocument.model_json_schema()
    yield from (
        "",
        "## What is changed while it runs",
        "",
        "These are the pair's settings, kept in the controller's own database: `GET /v1/config` shows them,",
        "`PATCH /v1/config` changes them (with the `ETag` as `If-Match`).",
    )
    for name, reference in document["properties"].items():
        group = _resolve(document, reference)
        yield from ("", f"### {name}", "", group["description"], "")
        yield from _table(document, group)
        for kind in _kinds_of(document, group):
            yield from (
                "",
                f"#### A channel of kind `{kind['properties']['kind']['const']}`",
                "",
                kind["description"],
                "",
            )
            yield from _table(document, kind)


def _kinds_of(root: Schema, group: Schema) -> Iterator[Schema]:
    """Yield the kinds of entries that a map of the group may hold."""
    for field in group["properties"].values():
        entries: Any = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), {})
        yield from (_resolve(root, one) for one in (entries.get("oneOf", ()) if isinstance(entries, dict) else ()))


def _table(root: Schema, section: Schema) -> Iterator[str]:
    yield "| key | allowed | default | what |"
    yield "|---|---|---|---|"
    for name, field in section["properties"].items():
        default = "**needed**" if name in section.get("required", ()) else _default(field)
        yield f"| `{name}` | {_allowed(root, field)} | {default} | {_cell(field.get('description', ''))} |"


_KINDS: Final = {
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "array": "list of texts",
    "object": "table of numbers",
}


def _default(field: Schema) -> str:
    value = field.get("default")
    if value in (None, "", []):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(root: Schema, field: Schema) -> str:
    """Say what a value may be: its choices, or its type with its limits."""
    field = _resolve(root, field)
    if "const" in field:
        return f"`{field['const']}`"
    if any(_kinds_of(root, {"properties": {"": field}})):
        return "table"
    choices = [_resolve(root, one) for one in field.get("anyOf", ()) if one.get("type") != "null"]
    if choices:
        field = {**choices[0], "description": field.get("description", "")}
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if field.get("format") == "password":
        return "text, secret"
    kind = _KINDS.get(field["type"], "text")
    if field.get("format") == "path":
        kind = "path"
    return kind + _limits(field)


def _limits(field: Schema) -> str:
    if "maxLength" in field:
        return f", {field.get('minLength', 0)} to {field['maxLength']} characters"
    least, above, most = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    if least is not None:
        return f", at least {least}" if most is None else f", {least} to {most}"
    if above is not None:
        return f", over {above}" if most is None else f", over {above}, up to {most}"
    return ""


def _resolve(root: Schema, field: Schema) -> Schema:
    """Return a part of a schema with its reference followed; what stands beside the reference counts."""
    if "$ref" not in field:
        return field
    target: Schema = root["$defs"][field["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in field.items() if key != "$ref"}}


# Errors --------------------------------------------------------------------------------------------------------------


def _errors() -> Iterator[str]:
    yield from (
        MADE,
        "",
        "# Errors",
        "",
        "Every error has a stable code: in answers of the APIs (`application/problem+json`), in syncs that failed, and",
        "in the logs (`code=…`). A detail says what happened this time, a hint what to do: the one here, or one that",
        "fits the moment better. Commands print detail and hint.",
        "",
        "| exit code of a service or command | meaning |",
        "|---|---|",
        "| 0 | stopped as asked; done |",
        "| 1 | broken, or refused: the lines before it say why |",
        "| 2 | the configuration or the command line cannot be used: nothing was begun |",
    )
    for group in WarmstandbyError.__subclasses__():
        yield from ("", f"## {group.title()}", "", "| code | HTTP | what it means | what to do |", "|---|---|---|---|")
        for error in sorted(set(_tree(group)), key=lambda one: (one is not group, one.code)):
            status = "" if issubclass(error, ConfigurationError) else error.status
            yield f"| `{error.code}` | {status} | {_cell(error.title())} | {_cell(error.default_hint)} |"
    yield from (
        "",
        "## A mistake of the service itself",
        "",
        f"`{WarmstandbyError.code}` (HTTP {WarmstandbyError.status}): {WarmstandbyError.default_hint}",
        "",
        "## Why a node is in its state",
        "",
        "`warmstandby status`, `GET /v1/status` and the agent's log (`reason=…`) give one of these.",
        "",
        "| reason | meaning |",
        "|---|---|",
    )
    for reason, sentence in SENTENCES.items():
        yield f"| `{reason}` | {_cell(sentence)} |"


def _tree(error: type[WarmstandbyError]) -> Iterator[type[WarmstandbyError]]:
    if error.__module__.startswith("shared.errors"):
        yield error
    for child in error.__subclasses__():
        yield from _tree(child)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
