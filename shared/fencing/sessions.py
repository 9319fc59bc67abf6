"""Who is inside the components' databases: looked at, ended, and the transactions prepared there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from shared.fencing.model import Inside, PreparedTransaction
from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session, open_session, translated

_QUERIES: Final = load_queries("shared.fencing", "sessions.sql")


async def list_inside(session: Session, databases: Sequence[str], spared: Sequence[str]) -> list[Inside]:
    """Return the backends in these databases but our own and those of the spared roles."""
    rows = await session.fetch(_QUERIES["list_inside"], list(databases), list(spared))
    return [Inside(**row) for row in rows]


async def list_entering(session: Session) -> list[Inside]:
    """Return the connections that are still being made, to whichever database."""
    rows = await session.fetch(_QUERIES["list_entering"])
    return [Inside(row["pid"], None, None, "", "starting", is_superuser=True, started_at=None) for row in rows]


async def end_sessions(session: Session, inside: Sequence[Inside]) -> bool:
    """Ask the server to end these backends; False where our rights do not reach all of them."""
    if not inside:
        return True
    rights = await session.fetchrow(_QUERIES["read_rights"])
    assert rights is not None
    pids = [one.pid for one in inside]
    if rights["is_superuser"]:
        await session.execute(_QUERIES["end_sessions"], pids)
        return True
    if rights["has_lent"]:
        await session.execute(_QUERIES["end_sessions_as_lent"], pids)
        return True
    complete = True
    for pid in pids:
        try:
            await session.execute(_QUERIES["end_sessions"], [pid])
        except asyncpg.InsufficientPrivilegeError:
            complete = False
    return complete


async def list_prepared(session: Session, databases: Sequence[str]) -> list[PreparedTransaction]:
    """Return the transactions prepared in these databases."""
    return [PreparedTransaction(**row) for row in await session.fetch(_QUERIES["list_prepared"], list(databases))]


async def rollback_prepared(dsn: str, prepared: PreparedTransaction) -> None:
    """Roll one back, as the role that prepared it; one that is gone is rolled back. Raises RightsMissing."""
    async with open_session(dsn, database=prepared.database) as session:
        with translated(f"rolling back {prepared}"):
            try:
                await session.execute(_QUERIES["act_as"].format(role=quote_identifier(prepared.owner)))
                await session.execute(_QUERIES["rollback_prepared"].format(gid=quote_literal(prepared.gid).strip()))
            except asyncpg.UndefinedObjectError:
                return
