"""Statements that give a database the comment, settings and rights of another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shared.postgres.queries import quote_identifier, quote_literal
from shared.replication.model import DatabaseProperties, DatabaseSetting, Grant

_LIST_SETTINGS: Final = frozenset(
    {"search_path", "datestyle", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"}
)
_OF_CLOSING: Final = "default_transaction_read_only"
_CONNECT: Final = "CONNECT"


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """What changes, in words, and the statement that does it."""

    words: str
    statement: str


def find_property_changes(
    database: str, now: DatabaseProperties, wanted: DatabaseProperties
) -> Iterator[PropertyChange]:
    """Yield what gives a closed copy what its source has; what closing changes stays: who may connect, how many may."""
    name = quote_identifier(database)
    if now.comment != wanted.comment:
        yield PropertyChange("comment", write_comment(name, wanted.comment))
    before, after = _by_name(now.settings), _by_name(wanted.settings)
    for key in sorted(before.keys() | after.keys(), key=lambda pair: (pair[0] or "", pair[1])):
        if before.get(key) != after.get(key):
            role, setting = key
            words = f"setting {setting}" + (f" of role {role}" if role else "")
            yield PropertyChange(
                words,
                write_setting(name, role, f"{setting}={after[key]}")
                if key in after
                else f"ALTER {_whose(name, role)} RESET {quote_identifier(setting)}",
            )
    had, has = _rights(now), _rights(wanted)
    for grant in sorted(had - has, key=_words):
        taken = f"REVOKE {grant.privilege} ON DATABASE {name} FROM {_grantee(grant)} CASCADE"
        yield PropertyChange(_words(grant), taken)
    for grant in sorted(has if had - has else has - had, key=_words):  # what was passed on goes with what is taken
        yield PropertyChange(_words(grant), write_grant(name, grant))


def write_comment(database: str, comment: str | None) -> str:
    """Return the statement for a comment; None takes it away."""
    return f"COMMENT ON DATABASE {database} IS {'NULL' if comment is None else quote_literal(comment)}"


def write_setting(database: str, role: str | None, assignment: str) -> str:
    """Return the statement for a setting as pg_db_role_setting has it: `name=value`."""
    name, _, value = assignment.partition("=")
    # List settings are stored as they were written, quotes and all; one literal would make one element of them.
    written = value if name.lower() in _LIST_SETTINGS and value else quote_literal(value)
    return f"ALTER {_whose(database, role)} SET {quote_identifier(name)} TO {written}"


def write_grant(database: str, grant: Grant) -> str:
    """Return the statement that gives a right."""
    option = " WITH GRANT OPTION" if grant.is_grantable else ""
    return f"GRANT {grant.privilege} ON DATABASE {database} TO {_grantee(grant)}{option}"


def write_grants(database: str, properties: DatabaseProperties) -> Iterable[str]:
    """Return the statements that give a new database all its rights."""
    if properties.grants is None:
        yield f"GRANT CONNECT ON DATABASE {database} TO PUBLIC"
        return
    yield f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"
    for grant in properties.grants:
        yield write_grant(database, grant)


def _whose(database: str, role: str | None) -> str:
    return f"DATABASE {database}" if role is None else f"ROLE {quote_identifier(role)} IN DATABASE {database}"


def _by_name(settings: Iterable[DatabaseSetting]) -> dict[tuple[str | None, str], str]:
    found = {}
    for setting in settings:
        name, _, value = setting.assignment.partition("=")
        if setting.role is not None or name != _OF_CLOSING:
            found[setting.role, name] = value
    return found


def _rights(properties: DatabaseProperties) -> set[Grant]:
    """Return who may do what besides connecting; of an owner, nothing need be said."""
    grants = properties.grants
    if grants is None:  # as CREATE DATABASE leaves it
        grants = (Grant(privilege="TEMPORARY", is_grantable=False),)
    return {grant for grant in grants if grant.privilege != _CONNECT and grant.grantee != properties.owner}


def _grantee(grant: Grant) -> str:
    return "PUBLIC" if grant.grantee is None else quote_identifier(grant.grantee)


def _words(grant: Grant) -> str:
    return f"right {grant.privilege} of {grant.grantee or 'everybody'}"
