"""Statements that lead from one definition of an object to the next while it stays: nothing that uses it goes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from services.standby_controller.definitions.archive import Entry
from services.standby_controller.definitions.tables import alter_table

_LABEL: Final = re.compile(r"^    ('(?:[^']|'')*'),?$", re.MULTILINE)
_ENUM: Final = re.compile(r"CREATE (?:TYPE) (?P<name>.+) AS ENUM \(\n")
_SAID_AFTER: Final = re.compile(r"^ALTER TABLE .+ (?:CLUSTER ON|REPLICA IDENTITY USING INDEX) .+;$", re.MULTILINE)
_SEQUENCE: Final = re.compile(r"CREATE (?:UNLOGGED )?(?=SEQUENCE )")


@dataclass(frozen=True, slots=True)
class Amendment:
    """Statements of the transaction that brings the rows, and those that must be committed before it."""

    statements: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    """Before anything is made."""
    after_rows: tuple[str, ...] = ()
    grows: bool = False
    """Columns are added: what uses them can be made only then."""


def amend(old: Entry, new: Entry) -> Amendment | None:
    """Return what changes an object in place; None where it must be dropped and made again."""
    if old.place != new.place:
        return None
    owner = () if old.owner == new.owner else _write_owner(new)
    if owner is None:
        return None
    if replace(old, owner=new.owner).definition == new.definition:
        return Amendment(owner)
    match new.kind:
        case "FUNCTION" | "PROCEDURE" if _signature(old) == _signature(new):
            return Amendment((_replace_routine(new), *owner))
        case "SEQUENCE" if _SEQUENCE.match(old.definition) and _SEQUENCE.match(new.definition):
            return Amendment((_alter_sequence(new), *owner))
        case "CONSTRAINT" | "INDEX":
            followed = _follow_up(old, new)
            return None if followed is None else Amendment((*followed, *owner))
        case "TABLE":
            change = alter_table(old.definition, new.definition)
            if change is None:
                return None
            statements = (*change.extend, *owner)
            return Amendment(statements, first=change.loosen, after_rows=change.tighten, grows=change.grows)
        case "TYPE":
            added = _add_labels(old, new)
            return None if added is None else Amendment(owner, added)
        case _:
            return None


def _write_owner(new: Entry) -> tuple[str, ...] | None:
    """ALTER takes the same name as DROP; rights and comments have no owner that counts."""
    if not new.drop.startswith("DROP ") or not new.owner:
        return ()
    what = new.drop.removeprefix("DROP ").rstrip().removesuffix(";")
    if what.startswith(("TRIGGER ", "RULE ", "POLICY ")) or " ON " in what:
        return ()
    owner = new.owner.replace('"', '""')
    return (f'ALTER {what} OWNER TO "{owner}";',)


def _follow_up(old: Entry, new: Entry) -> tuple[str, ...] | None:
    """Return what is said of an index after it was made, where the index itself is the same."""
    before, after = _SAID_AFTER.findall(old.definition), _SAID_AFTER.findall(new.definition)
    if _SAID_AFTER.sub("", old.definition).rstrip() != _SAID_AFTER.sub("", new.definition).rstrip():
        return None
    taken_back: list[str] = []
    for statement in before:
        if statement not in after:
            table = statement.partition(" CLUSTER ON ")[0].partition(" REPLICA IDENTITY ")[0]
            taken_back.append(
                f"{table} {'SET WITHOUT CLUSTER' if ' CLUSTER ON ' in statement else 'REPLICA IDENTITY DEFAULT'};"
            )
    return (*taken_back, *(statement for statement in after if statement not in before))


def _signature(entry: Entry) -> tuple[str, str]:
    """Return what CREATE OR REPLACE cannot change: names and types of arguments and of the result."""
    return entry.drop, entry.definition.partition("\n")[0]


def _replace_routine(new: Entry) -> str:
    return new.definition.replace(f"CREATE {new.kind} ", f"CREATE OR REPLACE {new.kind} ", 1)


def _alter_sequence(new: Entry) -> str:
    """What is not said is what a new sequence has; one that is altered keeps what it had."""
    text = _SEQUENCE.sub("ALTER ", new.definition, count=1).rstrip().removesuffix(";")
    kind = "" if re.search(r"^\s+AS ", text, re.MULTILINE) else "\n    AS bigint"
    cycle = "" if re.search(r"^\s+CYCLE$", text, re.MULTILINE) else "\n    NO CYCLE"
    return f"{text}{kind}{cycle};"


def _add_labels(old: Entry, new: Entry) -> tuple[str, ...] | None:
    """Return what adds the labels of an enum that are new, where the others stay in their order."""
    name = _ENUM.match(new.definition)
    if name is None or _ENUM.match(old.definition) is None:
        return None
    before, after = _LABEL.findall(old.definition), _LABEL.findall(new.definition)
    present = set(before)
    if [label for label in after if label in present] != before:
        return None
    statements: list[str] = []
    for place, label in enumerate(after):
        if label not in present:
            where = f"AFTER {after[place - 1]}" if place else f"BEFORE {after[1]}" if len(after) > 1 else ""
            statements.append(f"ALTER TYPE {name['name']} ADD VALUE IF NOT EXISTS {label} {where};")
    return tuple(statements)
