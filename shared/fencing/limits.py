"""Closing a database by its rights: CONNECT taken, connection limit 0, read-only by default; recorded, and given back.

What is taken is recorded in the transaction that takes it, in the node's own database: both are there or neither. An
access list that was never written (null) comes back written out, which means the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("shared.fencing", "limits.sql")
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.05
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """A role that is let in."""

    oid: int
    name: str
    is_superuser: bool


async def find_roles(session: Session, names: Sequence[str]) -> tuple[Role, ...]:
    """Return the roles of those named that exist."""
    return tuple(Role(**row) for row in await session.fetch(_QUERIES["list_roles"], list(names)))


def may_limit(roles: Sequence[Role]) -> bool:
    """Say whether a connection limit of 0 keeps none of these out: it counts for all but superusers."""
    return bool(roles) and all(role.is_superuser for role in roles)


async def forget_dropped(session: Session) -> None:
    """Forget databases that are gone: their number may be given to another one."""
    await session.execute(_QUERIES["forget_dropped"])


async def list_open(session: Session, databases: Sequence[str], let_in: Sequence[str]) -> dict[str, str]:
    """Return the databases that are not closed by their rights, with the reason; one that is not there is closed."""
    limit = may_limit(await find_roles(session, let_in))
    rows = await session.fetch(_QUERIES["list_open"], list(databases), list(let_in), limit)
    return {row["database"]: row["reason"] for row in rows}


async def are_here(session: Session, databases: Sequence[str]) -> bool:
    """Say whether all these databases exist."""
    return bool(await session.fetchval(_QUERIES["count_databases"], list(databases)) == len(databases))


async def list_recorded(session: Session, databases: Sequence[str]) -> list[str]:
    """Return the databases of which something was taken and not given back."""
    return [row["database"] for row in await session.fetch(_QUERIES["list_recorded"], list(databases))]


async def list_superusers(session: Session, let_in: Sequence[str]) -> tuple[str, ...]:
    """Return the superusers that no right and no limit stops."""
    return tuple(row["name"] for row in await session.fetch(_QUERIES["list_superusers"], list(let_in)))


async def close_database(session: Session, database: str, let_in: Sequence[str]) -> None:
    """Close one database and record what that took; idempotent, a database that is not there is closed.

    Raises what the server refuses; then nothing is changed.
    """
    await _in_transaction(session, _close, database, let_in)


async def open_database(session: Session, database: str) -> None:
    """Give back what closing took; idempotent, nothing on record is nothing to give."""
    await _in_transaction(session, _open, database)


async def _in_transaction(session: Session, step: Any, *arguments: Any) -> None:
    """Do it all or nothing; a row of the catalog that somebody else writes at the moment is tried again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            async with session.transaction():
                await step(session, *arguments)
            return
        except asyncpg.InternalServerError:  # "tuple concurrently updated", which has no code of its own
            if attempt == _ATTEMPTS:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def _close(session: Session, database: str, let_in: Sequence[str]) -> None:
    found = await session.fetchrow(_QUERIES["find_database"], database)
    if found is None:
        return
    roles = await find_roles(session, let_in)
    limits = may_limit(roles)
    ours = {role.oid for role in roles}
    given = {row["grantee"]: row["name"] for row in await session.fetch(_QUERIES["list_given"], found["oid"])}
    await session.execute(
        _QUERIES["record_database"],
        found["oid"],
        database,
        found["owner"],
        found["connection_limit"] if limits else None,
        found["read_only"],
    )
    known = sorted(ours | given.keys()) if found["is_recorded"] else None
    await session.execute(_QUERIES["record_grants"], found["oid"], known)
    await _let_in_alone(session, database, found, roles, given)
    name = quote_identifier(database)
    if limits and found["connection_limit"] != 0:
        await session.execute(_QUERIES["set_limit"].format(database=name, limit=0))
    elif not limits and found["connection_limit"] == 0 and found["limit_before"]:
        await session.execute(_QUERIES["set_limit"].format(database=name, limit=int(found["limit_before"])))
    if found["read_only"] != "on":
        await session.execute(_QUERIES["set_read_only"].format(database=name, value="on"))


async def _let_in_alone(
    session: Session, database: str, found: asyncpg.Record, roles: Sequence[Role], given: dict[int, str | None]
) -> None:
    """Leave the right to connect to these roles alone."""
    name, ours = quote_identifier(database), {role.oid for role in roles}
    present = await session.fetch(_QUERIES["list_grants"], found["oid"])
    for grantee in dict.fromkeys(row["grantee"] for row in present):
        if grantee not in ours:
            role = next(row["name"] for row in present if row["grantee"] == grantee)
            await session.execute(_QUERIES["revoke_connect"].format(database=name, role=_grantee(grantee, role)))
            if grantee in given:
                await session.execute(_QUERIES["forget_given"], found["oid"], grantee)
    able = {row["grantee"] for row in present}
    for role in roles:
        if role.oid not in able and not role.is_superuser:
            await session.execute(
                _QUERIES["grant_connect"].format(database=name, role=quote_identifier(role.name), option="")
            )
            await session.execute(_QUERIES["record_given"], found["oid"], found["owner"], role.oid)


def _grantee(oid: int, name: str | None) -> str:
    return "PUBLIC" if oid == 0 else quote_identifier(name or "")


async def _open(session: Session, database: str) -> None:
    found = await session.fetchrow(_QUERIES["find_record"], database)
    if found is None:
        return
    name = quote_identifier(database)
    if found["is_limited"]:
        for row in await session.fetch(_QUERIES["list_given"], found["oid"]):
            if row["name"] is not None:
                role = quote_identifier(row["name"])
                await session.execute(_QUERIES["revoke_connect"].format(database=name, role=role))
        await _give_grants(session, database, found["oid"])
        if found["limit_before"] is not None and found["connection_limit"] == 0:
            await session.execute(_QUERIES["set_limit"].format(database=name, limit=int(found["limit_before"])))
        if found["read_only"] == "on":
            before = found["read_only_before"]
            statement = (
                _QUERIES["reset_read_only"].format(database=name)
                if before is None
                else _QUERIES["set_read_only"].format(database=name, value=quote_literal(before))
            )
            await session.execute(statement)
    for step in ("forget_grants", "forget_limits", "forget_database"):
        await session.execute(_QUERIES[step], found["oid"])


async def _give_grants(session: Session, database: str, oid: int) -> None:
    """Give each right by the role that had given it; where we may not act as that role, by the owner."""
    name = quote_identifier(database)
    for row in await session.fetch(_QUERIES["list_taken"], oid):
        role = await session.fetchval(_QUERIES["owner_name"], oid) if row["is_to_owner"] else row["name"]
        if role is None and row["grantee"] != 0:
            _log.warning("a role that could connect is gone", extra={"database": database, "role": row["grantee"]})
            continue
        option = " WITH GRANT OPTION" if row["is_grantable"] and not row["is_to_owner"] else ""
        statement = _QUERIES["grant_connect"].format(database=name, role=_grantee(row["grantee"], role), option=option)
        if row["is_by_owner"] or not await _give_as(session, row["grantor_name"], statement):
            await session.execute(statement)


async def _give_as(session: Session, grantor: str | None, statement: str) -> bool:
    if grantor is None:
        return False
    try:
        async with session.transaction():
            await session.execute(_QUERIES["act_as"].format(role=quote_identifier(grantor)))
            await session.execute(statement)
            await session.execute(_QUERIES["act_as_ourselves"])
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidGrantOperationError):
        return False
    return True
