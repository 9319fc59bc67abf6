"""The list of closed databases that pg_hba.conf rejects by name: its text, its rules judged, and their loading.

The administrator puts lines into pg_hba.conf once that let our roles in and then reject `@FILE`; FILE is this list. An
empty or a missing file would keep the server from starting, so it always holds a name that no database has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.clock import Clock
from shared.errors import FenceListUnwritable
from shared.fencing.model import FenceStrength
from shared.files.atomic import write_atomically
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, open_session

NO_DATABASE: Final = "warmstandby: no database"
_HEAD: Final = "# Written by Warmstandby: the databases of this server that applications may not enter now.\n"
_QUERIES: Final = load_queries("shared.fencing", "hba.sql")
_LOADED_PAUSE_SECONDS: Final = 0.01
_LOADED_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of pg_hba.conf, its files of names read in."""

    line: int
    type: str | None
    databases: tuple[str, ...]
    roles: tuple[str, ...]
    address: str | None
    method: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class RulesJudged:
    """Whether the rules reject whatever the list names, and which names it holds now."""

    problem: str | None
    names: frozenset[str]

    @property
    def strength(self) -> FenceStrength:
        """Return what these rules give."""
        return FenceStrength.HBA if self.problem is None else FenceStrength.LIMIT


def is_listable(database: str) -> bool:
    """Say whether a file of names can hold this one and nothing else: a leading `/` is a pattern since version 16."""
    return not database.startswith("/") and not {"\n", "\r", "\0"} & set(database)


def render_list(databases: Iterable[str]) -> str:
    """Return the file's text, names quoted so that `all` is a name too."""
    names = [NO_DATABASE, *sorted(name for name in databases if is_listable(name))]
    return _HEAD + "".join('"' + name.replace('"', '""') + '"\n' for name in names)


def read_list(path: Path) -> str | None:
    """Return the file's text; None where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def write_list(path: Path, databases: Iterable[str]) -> None:
    """Replace the file durably unless it says so already, readable for the server; raise FenceListUnwritable."""
    text = render_list(databases)
    if read_list(path) == text:
        return
    try:
        write_atomically(path, text.encode(), mode=0o644)
    except OSError as error:
        raise FenceListUnwritable(f"{path} cannot be written: {error.strerror or error}") from error


def judge_rules(rules: Sequence[Rule], databases: Collection[str], let_in: Collection[str]) -> RulesJudged:
    """Say whether the rules reject each database that the list names, for every role but those let in.

    A rule that may let somebody else in before counts as if it did: patterns and groups are not resolved.
    """
    broken = next((rule for rule in rules if rule.error is not None), None)
    if broken is not None:
        return RulesJudged(f"line {broken.line} of pg_hba.conf is wrong: {broken.error}", frozenset())
    names: list[frozenset[str]] = []
    for kind in ("local", "host"):
        listed, problem = _judge_kind(rules, kind, databases, let_in)
        if problem is not None:
            return RulesJudged(problem, frozenset())
        names.append(listed)
    return RulesJudged(None, frozenset.intersection(*names) - {NO_DATABASE})


def _judge_kind(
    rules: Sequence[Rule], kind: str, databases: Collection[str], let_in: Collection[str]
) -> tuple[frozenset[str], str | None]:
    for rule in rules:
        if rule.type is None or not (rule.type == kind or (kind == "host" and rule.type.startswith("host"))):
            continue
        if rule.method == "reject":
            reaches_all = rule.type == kind and "all" in rule.roles and (kind == "local" or rule.address == "all")
            if reaches_all and NO_DATABASE in rule.databases:
                return frozenset(rule.databases), None
            continue
        if any(_may_match(name, databases) for name in rule.databases) and not set(rule.roles) <= set(let_in):
            others = ", ".join(sorted(set(rule.roles) - set(let_in)))
            where = f"line {rule.line} of pg_hba.conf ({rule.type})"
            return frozenset(), f"{where} lets {others} in before the closed databases are rejected"
    return frozenset(), f"pg_hba.conf has no {kind} line that rejects the closed databases"


def _may_match(name: str, databases: Collection[str]) -> bool:
    return name in databases or name in ("all", "sameuser", "samerole", "samegroup") or name[:1] in ("/", "+")


async def read_rules(session: Session, databases: Collection[str], let_in: Collection[str]) -> RulesJudged:
    """Judge the rules in the server's files, as far as our role may see them."""
    rights = await session.fetchrow(_QUERIES["read_rights"])
    assert rights is not None
    if not rights["may_reload"] or not rights["may_read"]:
        what = "read pg_hba_file_rules" if rights["may_reload"] else "reload the server's configuration"
        return RulesJudged(f"our role may not {what}", frozenset())
    rows = await session.fetch(_QUERIES["list_rules"])
    rules = [Rule(**{**row, "databases": tuple(row["databases"]), "roles": tuple(row["roles"])}) for row in rows]
    return judge_rules(rules, databases, let_in)


async def reload_rules(session: Session, dsn: str, clock: Clock) -> bool:
    """Have the server load its rules; False where new connections did not have them in time.

    A session takes its rules from the server's first process when it begins: a new one is asked when they were loaded.
    """
    before = await session.fetchval(_QUERIES["reload"])
    deadline = clock.monotonic() + _LOADED_SECONDS
    while clock.monotonic() < deadline:
        async with open_session(dsn) as newest:
            if await newest.fetchval(_QUERIES["read_loaded"], before):
                return True
        await asyncio.sleep(_LOADED_PAUSE_SECONDS)
    return False
