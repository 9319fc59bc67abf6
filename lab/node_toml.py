"""Writes a ``node.toml``; what its values mean and which are allowed is ``shared/settings.py``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Value = str | int | float | bool | Path | Sequence[str]
Section = Mapping[str, Value]
Document = Mapping[str, Section | Sequence[Section]]


def write_node_toml(path: Path, document: Document) -> None:
    """Write sections (mappings) and lists of sections; only the owner may read the file, because it holds keys."""
    path.touch(mode=0o600)
    path.write_text("\n".join(_lines(document)) + "\n", encoding="utf-8")


def lay_over(lower: Document, upper: Document) -> dict[str, Section | Sequence[Section]]:
    """Return a document with the values of another laid over it; a list replaces a list."""
    merged = dict(lower)
    for name, section in upper.items():
        below = merged.get(name, {})
        if isinstance(section, Mapping) and isinstance(below, Mapping):
            merged[name] = {**below, **section}
        else:
            merged[name] = section
    return merged


def leave_out(document: Document, section: str, key: str) -> Document:
    """Return a document without one value."""
    values = document.get(section, {})
    if not isinstance(values, Mapping):
        return document
    return {**document, section: {name: value for name, value in values.items() if name != key}}


def _lines(document: Document) -> Iterator[str]:
    for name, section in document.items():
        if isinstance(section, Mapping):
            yield from _section(f"[{name}]", section)
        else:
            for row in section:
                yield from _section(f"[[{name}]]", row)


def _section(head: str, section: Section) -> Iterator[str]:
    yield head
    for name, value in section.items():
        yield f"{name} = {_value(value)}"
    yield ""


def _value(value: Value) -> str:
    """Write a value; a JSON string is a TOML string."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
