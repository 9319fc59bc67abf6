"""Stopping the role that applies, so that nothing of an older term can overwrite a database; and letting it go on.

Its right to log in goes first, then its sessions, then the guard rows say no: a session that was on its way in
meanwhile finds them when it begins to write.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from shared.errors import ApplyNotStopped, DatabaseMissing
from shared.errors.groups import first_of
from shared.postgres.application import set_application_guard, set_node_guard
from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sessions import Session, open_session, translated

_QUERIES: Final = load_queries("shared.fencing", "apply_role.sql")
_LOOK_SECONDS: Final = 0.01
_LOOKS_TO_ASK_AGAIN: Final = 20
_log = logging.getLogger(__name__)


def role_of(dsn: str) -> str:
    """Return the role that a PostgreSQL URL logs in as."""
    parts = urlsplit(dsn)
    if parts.username:
        return unquote(parts.username)
    named = parse_qs(parts.query).get("user")
    return named[-1] if named else getpass.getuser()


async def stop_apply(dsn: str, role: str, databases: Sequence[str], deadline_seconds: float) -> None:
    """Take the role's login, end its sessions and see them gone, close all guards.

    Raises ApplyNotStopped at the deadline.
    """
    if role == role_of(dsn):
        raise ApplyNotStopped(
            f"role {role} applies and is our own role: it cannot be stopped alone",
            hint="Give [postgres] apply_dsn a role of its own, warmstandby_apply of docs/roles.sql.",
        )
    doing = ["connecting"]
    try:
        async with asyncio.timeout(deadline_seconds), open_session(dsn) as session:
            with translated(f"stopping role {role}"):
                doing[0] = "taking its login"
                await _set_login(session, role, may_login=False)
                doing[0] = "ending its sessions"
                await _end_sessions(session, role)
                doing[0] = "closing the guards of the databases"
                await _set_guards(session, dsn, databases, accepts_apply=False)
    except TimeoutError:
        raise ApplyNotStopped(f"role {role} is not stopped within {deadline_seconds:g} s: {doing[0]}") from None


async def resume_apply(dsn: str, role: str, databases: Sequence[str]) -> None:
    """Let the role log in and write again; idempotent."""
    async with open_session(dsn) as session:
        with translated(f"letting role {role} go on"):
            await _set_login(session, role, may_login=True)
            await _set_guards(session, dsn, databases, accepts_apply=True)


async def _set_login(session: Session, role: str, *, may_login: bool) -> None:
    """Change it unless it is so; without the right to, the guards alone stop the role, and that is told."""
    found = await session.fetchrow(_QUERIES["read_role"], role)
    if found is None or found["may_login"] is may_login:
        return
    try:
        if not found["is_superuser"] and found["has_lent"] and found["is_usual"]:
            await session.execute(_QUERIES["set_login_as_lent"], may_login)
        else:
            login = "LOGIN" if may_login else "NOLOGIN"
            await session.execute(_QUERIES["set_login"].format(role=quote_identifier(role), login=login))
    except asyncpg.InsufficientPrivilegeError as error:
        _log.warning(
            "our role may not change who may log in; run docs/roles.sql again",
            extra={"role": role, "may_login": may_login, "detail": str(error)},
        )


async def _end_sessions(session: Session, role: str) -> None:
    look = 0
    while await session.fetch(_QUERIES["list_sessions"], role):
        if look % _LOOKS_TO_ASK_AGAIN == 0:
            await _ask_to_end(session, role)
        look += 1
        await asyncio.sleep(_LOOK_SECONDS)


async def _ask_to_end(session: Session, role: str) -> None:
    found = await session.fetchrow(_QUERIES["read_role"], role)
    if found is None:
        return
    if not found["is_superuser"] and found["has_lent"] and found["is_usual"]:
        await session.execute(_QUERIES["end_sessions_as_lent"])
    else:
        await session.execute(_QUERIES["end_sessions"], role)


async def _set_guards(session: Session, dsn: str, databases: Sequence[str], *, accepts_apply: bool) -> None:
    """Set the node's guard row, then those of the databases at once; what is not there yet guards nothing."""
    if await session.fetchval(_QUERIES["has_node_guard"]):
        await set_node_guard(session, accepts_apply)
    try:
        async with asyncio.TaskGroup() as group:
            for database in databases:
                group.create_task(_set_guard(dsn, database, accepts_apply=accepts_apply))
    except ExceptionGroup as errors:
        raise first_of(errors) from None


async def _set_guard(dsn: str, database: str, *, accepts_apply: bool) -> None:
    try:
        async with open_session(dsn, database=database) as session:
            with translated(f"setting the guard of database {database}"):
                if await session.fetchval(_QUERIES["has_application_guard"]):
                    await set_application_guard(session, accepts_apply)
    except DatabaseMissing:
        return
