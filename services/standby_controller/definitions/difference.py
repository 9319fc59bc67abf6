"""What leads from the definitions of a copy to those of the active node: what goes, what is made, what is copied. Pure.

An object that changed goes and is made again with all that depends on it, as the archives tell; a table among them is
copied whole. Where a statement can change the object in place, it stays, and so do its dependents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from services.standby_controller.definitions.amending import Amendment, amend
from services.standby_controller.definitions.archive import Entry, Section
from services.standby_controller.definitions.undoing import take_back
from shared.errors import SchemaChanged
from shared.replication.model import TableName

_TABLES: Final = frozenset({"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"})
_WITH_TABLE: Final = frozenset({"CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "TRIGGER", "RULE", "POLICY", "STATISTICS"})
_FIRST_AFTER_ROWS: Final = frozenset({"CONSTRAINT", "INDEX"})
_RIGHTS: Final = frozenset({"ACL", "DEFAULT ACL"})
_LAST: Final = _RIGHTS | {"SEQUENCE OWNED BY"}
"""What may need a column that a table only gets, or its new owner."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is done to a copy, in this order; numbers are those of entries of the newer archive."""

    apart: tuple[str, ...]
    """Statements that are committed before anything else, and do no harm alone."""
    undo: tuple[str, ...]
    make: frozenset[int]
    amend: tuple[str, ...]
    index: frozenset[int]
    """Made once the rows are there."""
    attach: tuple[str, ...]
    """Partitions that are attached once their own indexes are there, so that the table's make no others."""
    tighten: tuple[str, ...]
    """What only the new rows need satisfy."""
    finish: frozenset[int]
    copied: frozenset[TableName]
    """Tables made anew, or with another key, whose rows are all to be brought."""
    altered: frozenset[TableName]
    """Tables whose own definition changes while their rows stay: what came of it is to be looked at."""
    changed: tuple[str, ...]
    """In words, for people: what is not as it was."""

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is to be done."""
        return not self.changed


def find_difference(before: Sequence[Entry], after: Sequence[Entry]) -> Difference:
    """Return how a copy with the definitions of `before` gets those of `after`.

    Raises SchemaChanged where a change has no statement of its own: then everything is copied.
    """
    return _Comparison(before, after).find()


def find_unlike(tables: Iterable[TableName], own: Sequence[Entry], after: Sequence[Entry]) -> list[TableName]:
    """Return the tables of which two archives do not say the same; rights are a matter of roles."""
    return [name for name in tables if _said_of(name, own) != _said_of(name, after)]


def _said_of(name: TableName, entries: Sequence[Entry]) -> list[tuple[tuple[str, str, str], str]]:
    tables = [one for one in entries if one.kind == "TABLE" and (one.schema, one.tag) == (name.schema_name, name.name)]
    numbers = {table.dump_id for table in tables}
    about = [one for one in entries if one.kind not in _RIGHTS and not numbers.isdisjoint(one.depends_on)]
    return sorted((one.key, one.definition) for one in (*tables, *about))


class _Comparison:
    def __init__(self, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        self._before, self._after = before, after
        self._old = {entry.dump_id: entry for entry in before}
        self._old_named, self._new_named = _by_key(before), _by_key(after)
        self._dependents: dict[int, list[int]] = defaultdict(list)
        for entry in before:
            for number in entry.depends_on:
                self._dependents[number].append(entry.dump_id)
        self._gone: set[int] = set()
        self._fresh: set[int] = set()
        self._amended: dict[int, tuple[Entry, Amendment]] = {}
        self._changed: list[str] = []

    def find(self) -> Difference:
        for old, new in self._pairs():
            self._change(old, new)
        self._remove_roots_of_indexes()
        self._make_rights_last()
        self._say_again()
        self._make_what_goes_again()
        while hindered := self._hindered():
            self._fresh.add(self._amended.pop(hindered)[0].dump_id)
            self._remove(self._old[hindered])
            self._remove_roots_of_indexes()
            self._make_what_goes_again()
        undo = self._undo()
        amended = [found for number, found in self._amended.items() if number not in self._gone]
        # A function may read a new column, and a sequence has the owner of its table.
        amended.sort(key=lambda found: found[0].kind != "TABLE")
        attach = self._late_attached()
        fresh = [entry for entry in self._after if entry.dump_id in self._fresh - {one.dump_id for one in attach}]
        sections = {entry.dump_id: entry.section for entry in self._after}
        altered = {new.dump_id for new, found in amended if found.grows or found.after_rows}
        rows_first = [
            entry
            for entry in fresh
            if _section(entry, sections) is Section.POST_DATA
            or (entry.section == Section.NONE and not altered.isdisjoint(entry.depends_on))
        ]
        return Difference(
            apart=tuple(text for _, found in amended for text in found.before),
            undo=(*undo, *(text for _, found in amended for text in found.first)),
            make=_numbers(entry for entry in fresh if entry not in rows_first),
            amend=tuple(text for _, found in amended for text in found.statements),
            index=_numbers(entry for entry in rows_first if entry.kind in _FIRST_AFTER_ROWS),
            attach=tuple(entry.definition for entry in attach),
            tighten=tuple(text for _, found in amended for text in found.after_rows),
            finish=_numbers(entry for entry in rows_first if entry.kind not in _FIRST_AFTER_ROWS),
            copied=frozenset(
                TableName(schema_name=entry.schema, name=entry.tag)
                for entry in (*(entry for entry in fresh if entry.kind == "TABLE"), *self._without_key())
            ),
            altered=frozenset(
                TableName(schema_name=new.schema, name=new.tag)
                for number, (new, _) in self._amended.items()
                if new.kind == "TABLE" and number not in self._gone and new.definition != self._old[number].definition
            ),
            changed=tuple(self._changed),
        )

    def _pairs(self) -> Iterable[tuple[list[Entry], list[Entry]]]:
        """Yield what is not the same before and after, of each name; those with statements of their own come first."""
        keys = dict.fromkeys([*self._old_named, *self._new_named])
        found = [(self._old_named.get(key, []), self._new_named.get(key, [])) for key in keys]
        unlike = [pair for pair in found if sorted(map(_said, pair[0])) != sorted(map(_said, pair[1]))]
        return sorted(unlike, key=lambda pair: not all(entry.drop for entry in pair[0]))

    def _change(self, olds: list[Entry], news: list[Entry]) -> None:
        self._changed.append(
            f"{(olds or news)[0].words} {'changed' if olds and news else 'is new' if news else 'gone'}"
        )
        if len(olds) == len(news) == 1 and not self._is_of_a_family(olds[0], news[0]):
            amendment = amend(olds[0], news[0])
            if amendment is not None:
                self._amended[olds[0].dump_id] = news[0], amendment
                return
        self._fresh.update(entry.dump_id for entry in news)
        for old in olds:
            self._remove(old)

    def _is_of_a_family(self, old: Entry, new: Entry) -> bool:
        """Say whether a table that changed has partitions or children, or is one: its columns are not its alone."""
        if old.kind != "TABLE" or old.definition == new.definition:
            return False
        return any(
            one.dump_id in other.depends_on and other.kind in ("TABLE", "TABLE ATTACH")
            for one, others in ((old, self._before), (new, self._after))
            for other in others
        )

    def _remove(self, old: Entry) -> None:
        """Note that an entry goes, with all that depends on it; without a statement it takes its table along."""
        if old.dump_id in self._gone:
            return
        if take_back(old) is None and not self._goes_with_another(old):
            parents = [self._old[number] for number in old.depends_on if number in self._old]
            owners = [parent for parent in parents if parent.kind in _TABLES or parent.kind == old.kind]
            if old.kind == "INDEX":  # one that is attached to another goes with that, and its table stays
                owners = [parent for parent in parents if parent.kind in _FIRST_AFTER_ROWS] or owners
            if not owners:
                raise SchemaChanged(f"{old.words} changed, which no statement brings about")
            for owner in owners:
                self._remove(owner)
        self._gone.add(old.dump_id)
        for number in self._dependents[old.dump_id]:
            self._remove(self._old[number])

    def _goes_with_another(self, old: Entry) -> bool:
        return any(number in self._gone for number in old.depends_on)

    def _remove_roots_of_indexes(self) -> None:
        """Let an index of a partition that goes take along the one it is attached to, unless its table goes anyway."""
        while roots := [root for number in self._gone for root in self._attached_to(number) if root not in self._gone]:
            for root in roots:
                self._remove(self._old[root])

    def _attached_to(self, number: int) -> list[int]:
        """Return the indexes that an index of a partition is a part of, where the partition stays."""
        old = self._old[number]
        others = [self._old[other] for other in old.depends_on if other in self._old]
        if old.kind not in _FIRST_AFTER_ROWS or any(
            other.kind in _TABLES and other.dump_id in self._gone for other in others
        ):
            return []
        return [other.dump_id for other in others if other.kind in _FIRST_AFTER_ROWS]

    def _make_rights_last(self) -> None:
        """Take default rights away while objects are made: those that are made have the rights that are dumped."""
        if not self._fresh and not self._gone:
            return
        for old in self._before:
            if old.kind == "DEFAULT ACL":
                self._remove(old)

    def _say_again(self) -> None:
        """Say once more what is said of a table's checks where some are made again."""
        for number, (_, found) in self._amended.items():
            for old in (self._old[other] for other in self._dependents[number] if found.after_rows):
                if old.kind == "COMMENT" and old.tag.startswith("CONSTRAINT "):
                    self._remove(old)

    def _make_what_goes_again(self) -> None:
        for number in self._gone:
            self._fresh.update(entry.dump_id for entry in self._new_named.get(self._old[number].key, ()))

    def _hindered(self) -> int | None:
        """Return a table that cannot be altered: what is made before its rows come may use columns that it gets.

        An identity wants its column to be one that is never empty.
        """
        fresh = [entry for entry in self._after if entry.dump_id in self._fresh and entry.section == Section.PRE_DATA]
        fresh = [entry for entry in fresh if entry.kind not in _LAST]
        for number, (new, found) in self._amended.items():
            made = [entry for entry in fresh if new.dump_id in entry.depends_on and number not in self._gone]
            if any(found.grows or (entry.kind == "SEQUENCE" and found.after_rows) for entry in made):
                return number
        return None

    def _undo(self) -> tuple[str, ...]:
        statements: list[str] = []
        for old in reversed(self._before):
            if old.dump_id not in self._gone or self._goes_by_itself(old):
                continue
            statement = take_back(old)
            if statement:
                statements.append(statement)
        return tuple(statements)

    def _goes_by_itself(self, old: Entry) -> bool:
        """Say whether dropping what it belongs to does it."""
        gone = [self._old[number] for number in old.depends_on if number in self._gone]
        gone = [other for other in gone if other.kind not in _RIGHTS]  # the rights on a column outlive the table's
        if old.kind in _WITH_TABLE:
            is_part = old.kind in _FIRST_AFTER_ROWS and any(other.kind in _FIRST_AFTER_ROWS for other in gone)
            return is_part or any(other.kind in _TABLES and _owns(other, old) for other in gone)
        return not old.drop and bool(gone)

    def _without_key(self) -> Iterable[Entry]:
        """Yield the tables that stay and lose their key: while rows are brought it is not there to find them by."""
        for number in self._gone:
            old = self._old[number]
            is_key = old.kind == "CONSTRAINT" and " PRIMARY KEY " in old.definition
            if is_key or (old.kind in ("CONSTRAINT", "INDEX") and " REPLICA IDENTITY USING INDEX " in old.definition):
                tables = [self._old[other] for other in old.depends_on if other in self._old]
                yield from (
                    table
                    for table in tables
                    if table.kind == "TABLE" and table.dump_id not in self._gone and table.key in self._new_named
                )

    def _late_attached(self) -> list[Entry]:
        """Return the partitions that come to a table which stays."""
        made = {(entry.schema, entry.tag) for entry in self._after if entry.dump_id in self._fresh}
        found: list[Entry] = []
        for entry in self._after:
            if entry.kind == "TABLE ATTACH" and entry.dump_id in self._fresh:
                tables = [other for other in self._after if other.dump_id in entry.depends_on and other.kind == "TABLE"]
                roots = [table for table in tables if (table.schema, table.tag) != (entry.schema, entry.tag)]
                if any((root.schema, root.tag) not in made for root in roots):
                    self._require_indexes(entry, roots)
                    found.append(entry)
        return found

    def _require_indexes(self, attached: Entry, roots: list[Entry]) -> None:
        """Raise SchemaChanged where a table has an index that a partition has not: attaching it would make one."""
        numbers = {root.dump_id for root in roots}
        parts = [entry for entry in self._after if entry.kind == "INDEX ATTACH"]
        has = {
            number for part in parts if set(attached.depends_on) <= set(part.depends_on) for number in part.depends_on
        }
        for entry in self._after:
            if entry.kind in _FIRST_AFTER_ROWS and numbers & set(entry.depends_on) and entry.dump_id not in has:
                raise SchemaChanged(f"{attached.words} came, and {entry.words} has no part there")


def _by_key(entries: Sequence[Entry]) -> dict[tuple[str, str, str], list[Entry]]:
    found: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.key, []).append(entry)
    return found


def _said(entry: Entry) -> tuple[str, str, str]:
    return entry.definition, entry.owner, entry.place


def _numbers(entries: Iterable[Entry]) -> frozenset[int]:
    return frozenset(entry.dump_id for entry in entries)


def _owns(table: Entry, old: Entry) -> bool:
    """Say whether something that names its table first, or nothing but itself, belongs to this table."""
    return old.kind in ("INDEX", "STATISTICS") or (old.schema == table.schema and old.tag.startswith(f"{table.tag} "))


def _section(entry: Entry, sections: dict[int, int]) -> Section:
    """Return when an entry is made; what is said of an object follows it, and rights come last."""
    if entry.kind in _LAST:
        return Section.POST_DATA
    if entry.section != Section.NONE:
        return Section(entry.section)
    of_others = [sections[number] for number in entry.depends_on if number in sections]
    return Section.POST_DATA if Section.POST_DATA in of_others else Section.PRE_DATA
