"""Subscriptions of the components' databases: what they bring is written by no session that could be refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from shared.errors import WarmstandbyError
from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sessions import Session, open_session, translated

_QUERIES: Final = load_queries("shared.fencing", "subscriptions.sql")


async def list_enabled(session: Session, databases: Sequence[str]) -> list[str]:
    """Return the enabled subscriptions of these databases, for people."""
    rows = await session.fetch(_QUERIES["list_enabled"], list(databases))
    return [f"{row['name']} in {row['database']}" for row in rows]


async def disable(session: Session, dsn: str, databases: Sequence[str]) -> list[str]:
    """Disable every subscription, each recorded before; return what could not be done, for people. Idempotent."""
    found = await session.fetch(_QUERIES["list_enabled"], list(databases))
    for row in found:
        async with session.transaction():
            await session.execute(_QUERIES["record_database"], row["database_oid"], row["database"], row["owner"])
            await session.execute(_QUERIES["record_subscription"], row["database_oid"], row["name"])
    return await _switch(dsn, found, "DISABLE")


async def enable(session: Session, dsn: str, databases: Sequence[str]) -> list[str]:
    """Enable again what was disabled; the record stays until the database opens. Idempotent."""
    return await _switch(dsn, await session.fetch(_QUERIES["list_recorded"], list(databases)), "ENABLE")


async def _switch(dsn: str, found: Sequence[asyncpg.Record], verb: str) -> list[str]:
    problems = []
    for row in found:
        try:
            async with open_session(dsn, database=row["database"]) as inside:
                with translated(f"subscription {row['name']} of database {row['database']}"):
                    name = quote_identifier(row["name"])
                    await inside.execute(_QUERIES["switch_subscription"].format(name=name, verb=verb))
        except WarmstandbyError as error:
            problems.append(error.detail)
    return problems
