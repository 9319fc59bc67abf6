"""One hand on the fence at a time: who comes last has it, so that a process that stands still holds up nobody."""

from __future__ import annotations

import asyncio
from typing import Final

from shared.clock import Clock
from shared.errors import DatabaseUnreachable
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("shared.fencing", "lock.sql")
_PATIENCE_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 6.0
_PAUSE_SECONDS: Final = 0.02


async def hold_lock(session: Session, clock: Clock) -> None:
    """Take the lock for as long as the session lasts; who has had it for two seconds meanwhile is ended."""
    begun = clock.monotonic()
    while not await session.fetchval(_QUERIES["try_lock"]):
        waited = clock.monotonic() - begun
        if waited > _LONGEST_SECONDS:
            raise DatabaseUnreachable("another process fences this node and does not end")
        if waited > _PATIENCE_SECONDS:
            await session.execute(_QUERIES["end_holder"])
        await asyncio.sleep(_PAUSE_SECONDS)
