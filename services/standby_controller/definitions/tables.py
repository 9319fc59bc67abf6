"""Statements that lead from one CREATE TABLE to the next while the rows stay: columns, defaults, checks, options. Pure.

It reads what pg_dump writes, one column or check a line; what it does not read for certain is made again instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

_HEAD: Final = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?P<name>.+) \($")
_END: Final = re.compile(r"\)(?P<end>;)?$")
_OPTIONS: Final = re.compile(r"WITH \((?P<options>.+)\);$")
_OPTION: Final = re.compile(r"(?P<name>[a-z_.]+)=(?P<value>'[^']*'|[a-z_]+)")
_CHECK: Final = re.compile(r'    CONSTRAINT (?P<name>"(?:[^"]|"")+"|[^\s"]+) (?P<rule>CHECK \(.+\)(?: NO INHERIT)?)$')
_NAME: Final = r'"(?:[^"]|"")+"|[^\s".]+'
_COLUMN: Final = re.compile(
    rf"    (?P<name>{_NAME}) (?P<type>[^']+?(?P<generated> GENERATED ALWAYS AS \(.+\)(?: STORED)?)?)"
    r"(?(generated)|(?: DEFAULT (?P<default>.+?))?)"
    rf"(?P<required>(?: CONSTRAINT (?:{_NAME}))? NOT NULL(?: NO INHERIT)?)?"
    rf"(?P<collation> COLLATE (?:{_NAME})\.(?:{_NAME}))?$"
)
_REQUIRED: Final = " NOT NULL"


@dataclass(frozen=True, slots=True)
class TableChange:
    """Statements for before anything is made, for before the rows come, and for once they all are there."""

    loosen: tuple[str, ...] = ()
    """What is taken away: an identity that is made wants no default beside it."""
    extend: tuple[str, ...] = ()
    tighten: tuple[str, ...] = ()
    grows: bool = False
    """It has more columns afterwards; the export tells whether older rows have values there."""


@dataclass(slots=True)
class _Table:
    head: str
    name: str
    columns: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Name, type with all that cannot be altered, default, and what requires a value."""
    checks: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    rest: str = ""


def alter_table(old: str, new: str) -> TableChange | None:
    """Return what alters a table with neither parents nor children; None where its rows would change, too."""
    before, after = _read(old), _read(new)
    if before is None or after is None or (before.head, before.rest) != (after.head, after.rest):
        return None
    loosen, extend, tighten = list[str](), list[str](), list[str]()
    added = [(name, kind, None, None) for name, kind, _, _ in after.columns[len(before.columns) :]]
    extend += [f"ALTER TABLE {after.name} ADD COLUMN {name} {kind};" for name, kind, _, _ in added]
    for was, now in zip_longest([*before.columns, *added], after.columns):
        if was is None or now is None or was[:2] != now[:2]:
            return None
        column = f"ALTER TABLE {after.name} ALTER COLUMN {now[0]}"
        if was[2] != now[2]:
            (loosen if now[2] is None else extend).append(
                f"{column} DROP DEFAULT;" if now[2] is None else f"{column} SET DEFAULT {now[2]};"
            )
        if was[3] == now[3]:
            continue
        if now[3] is None:
            loosen.append(f"{column} DROP NOT NULL;")
        elif (was[3], now[3]) == (None, _REQUIRED):
            tighten.append(f"{column} SET NOT NULL;")
        else:  # with another name than the server gives it
            return None
    for name, rule in before.checks.items():
        if after.checks.get(name) != rule:
            loosen.append(f"ALTER TABLE {after.name} DROP CONSTRAINT {name};")
    for name, rule in after.checks.items():
        if before.checks.get(name) != rule:
            tighten.append(f"ALTER TABLE {after.name} ADD CONSTRAINT {name} {rule};")
    return TableChange(tuple(loosen), (*extend, *_set_options(before, after)), tuple(tighten), grows=bool(added))


def name_requirements(table: str, definition: str) -> str:
    """Return a CREATE TABLE in which each NOT NULL has the name that it has where its table is made first.

    From version 18 on NOT NULL has a name, which pg_dump leaves out where it is this one. A server gives another one
    where any table has it already, as a partition has that was detached.
    """
    lines = definition.split("\n")
    for number, line in enumerate(lines[1:], start=1):
        if _END.match(line) or line.count("'") % 2:
            break
        column = _COLUMN.match(line.removesuffix(","))
        if column is None or not (column["required"] or "").startswith(_REQUIRED):
            continue
        named = f"{table}_{_unquote(column['name'])}_not_null".replace('"', '""')
        at = column.start("required")
        lines[number] = f'{line[:at]} CONSTRAINT "{named}"{line[at:]}'
    return "\n".join(lines)


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _set_options(before: _Table, after: _Table) -> list[str]:
    unset = [name for name in before.options if name not in after.options]
    changed = [f"{name}={value}" for name, value in after.options.items() if before.options.get(name) != value]
    statements = [f"ALTER TABLE {after.name} RESET ({', '.join(unset)});"] if unset else []
    return [*statements, f"ALTER TABLE {after.name} SET ({', '.join(changed)});"] if changed else statements


def _read(definition: str) -> _Table | None:
    lines = definition.splitlines()
    head = _HEAD.match(lines[0]) if lines else None
    if head is None:
        return None
    table = _Table(lines[0], head["name"])
    for number, line in enumerate(lines[1:], start=2):
        end = _END.match(line)
        if end is not None:
            return _read_end(table, lines[number:], is_over=end["end"] is not None)
        if not _read_line(table, line.removesuffix(",")):
            return None
    return None


def _read_line(table: _Table, line: str) -> bool:
    if line.count("'") % 2:  # a text goes on in the next line
        return False
    if check := _CHECK.match(line):
        table.checks[check["name"]] = check["rule"]
    elif (column := _COLUMN.match(line)) and column["name"] != "CONSTRAINT":
        kind = column["type"] + (column["collation"] or "")
        table.columns.append((column["name"], kind, column["default"], column["required"]))
    else:
        return False
    return True


def _read_end(table: _Table, lines: list[str], *, is_over: bool) -> _Table | None:
    if not is_over:
        options = _OPTIONS.match(lines[0]) if lines else None
        if options is None:
            return None
        table.options = {one["name"]: one["value"] for one in _OPTION.finditer(options["options"])}
        if ", ".join(f"{name}={value}" for name, value in table.options.items()) != options["options"]:
            return None
        lines = lines[1:]
    table.rest = "\n".join(lines).strip()
    return table
