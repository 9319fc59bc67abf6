"""Materialized views of a copy: filled from the rows that it holds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import asyncpg

from shared.errors import SeedRefused
from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import TableName

_QUERIES: Final = load_queries("services.standby_controller.apply", "seed.sql")


async def fill_views(session: Session, views: Collection[TableName]) -> None:
    """Fill materialized views; one that reads another waits for it.

    Raises SeedRefused for one that cannot be filled.
    """
    waiting = list(views)
    while waiting:
        later: list[TableName] = []
        error: asyncpg.PostgresError | None = None
        for view in waiting:
            name = qualified(view.schema_name, view.name)
            try:
                async with session.transaction():
                    await session.execute(_QUERIES["refresh_view"].format(view=name))
            except asyncpg.ObjectNotInPrerequisiteStateError as unpopulated:
                error = unpopulated
                later.append(view)
        if len(later) == len(waiting):
            raise SeedRefused(f"a materialized view could not be filled: {error}") from error
        waiting = later
