"""The small schema `warmstandby` of a replicated database: installs it, and sets its guard row."""

from __future__ import annotations

from typing import Final

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("shared.postgres", "application.sql")


async def install_application_schema(session: Session) -> None:
    """Make the schema unless it is there in its present form; idempotent, safe at the same time twice."""
    if await session.fetchval(_QUERIES["has_application_schema"]):
        return
    async with session.transaction():
        await session.execute(_QUERIES["lock_installation"])
        await session.execute(_QUERIES["install_application_schema"])


async def set_application_guard(session: Session, accepts_apply: bool) -> None:
    """Say whether this database may be overwritten; writes nothing when it says so already."""
    await session.execute(_QUERIES["set_application_guard"], accepts_apply)
