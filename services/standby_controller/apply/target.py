"""Sessions with the copy: what all writing to it begins with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, open_session, translated
from shared.settings import Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")


@asynccontextmanager
async def open_target(settings: Settings, database: str) -> AsyncIterator[Session]:
    """Open a session of the role that applies; locks of readers are waited for only so long."""
    async with open_session(
        settings.postgres.apply_dsn.get_secret_value(),
        database=database,
        lock_timeout_seconds=settings.controller.lock_timeout_seconds,
    ) as session:
        with translated(f"using database {database}"):
            yield session


async def use_origin(session: Session, component: str) -> None:
    """Mark what is written as coming from the other node, so that a later capture here can leave it out.

    The functions are a superuser's, and a grant on them does not survive a seed: without it nothing is marked.
    """
    if not await session.fetchval(_QUERIES["may_use_origin"]):
        return
    origin = f"warmstandby_{component}"
    if not await session.fetchval(_QUERIES["find_origin"], origin):
        with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await session.execute(_QUERIES["create_origin"].replace("$1", f"'{origin}'"))
    await session.execute(_QUERIES["use_origin"].replace("$1", f"'{origin}'"))
