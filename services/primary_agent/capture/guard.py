"""The DDL guard in the application's database: installs it, and mends what it had to leave. Judges no captures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.postgres.queries import load_queries, qualified, quote_literal
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("services.primary_agent.capture", "guard.sql")
_EVENT_TRIGGERS_SWITCH: Final = 170000  # the first version that can switch them off for a statement


@dataclass(frozen=True, slots=True)
class LostTable:
    """A published table that has to leave the publication."""

    oid: int
    schema_name: str
    name: str


async def install_guard(session: Session, version: int) -> bool:
    """Install the guard or bring it up to date; False where somebody else could change what it calls. Idempotent.

    Our role is a superuser, and so is the guard: in a schema that another role made it would lend its rights away.
    """
    quiet = "event_triggers = off" if version >= _EVENT_TRIGGERS_SWITCH else "session_replication_role = replica"
    lost = _QUERIES["list_lost"].format(wanted="= ANY (touched)")
    statement = _QUERIES["install_guard"].replace("{lost}", lost).replace("{gate}", _QUERIES["try_gate"])
    statement = statement.replace("{quiet}", quiet)
    digest = hashlib.sha256(statement.encode()).hexdigest()
    found = await session.fetchrow(_QUERIES["find_guard"])
    assert found is not None
    if not found["is_ours"]:
        return False
    if found["digest"] != digest:
        async with session.transaction():
            await session.execute(statement.replace("{digest}", quote_literal(digest)))
    return True


async def remove_guard(session: Session) -> None:
    """Take the guard away; idempotent."""
    await session.execute(_QUERIES["remove_guard"])


async def list_lost(session: Session) -> list[LostTable]:
    """Return the published tables that must leave the publication, so that the application can go on."""
    rows = await session.fetch(_QUERIES["list_lost"].format(wanted="IS NOT NULL"))
    return [LostTable(**row) for row in rows]


async def has_lent(session: Session) -> bool:
    """Say whether the guard lent an identity to a table."""
    return bool(await session.fetchval(_QUERIES["has_lent"]))


async def list_lent(session: Session) -> list[LostTable]:
    """Return the published tables that were lent one."""
    return [LostTable(**row) for row in await session.fetch(_QUERIES["list_lent"])]


async def give_back_identities(session: Session) -> None:
    """Give tables that left the publication their own identity again; waits for nobody, a table in use comes later."""
    for row in await session.fetch(_QUERIES["list_returnable"]):
        try:
            async with session.transaction():
                if row["is_lent"]:
                    table = qualified(row["schema_name"], row["name"])
                    await session.execute(_QUERIES["hold_table"].format(table=table))
                    await session.execute(_QUERIES["give_back"].format(table=table, identity=row["identity"]))
                await session.execute(_QUERIES["forget_lent"], row["oid"])
        except (asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            continue
