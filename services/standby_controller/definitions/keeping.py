"""What a copy is made of, kept in the copy itself: true in the same commit as the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.standby_controller.definitions.archive import Entry, pack, unpack
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("services.standby_controller.definitions", "definitions.sql")


async def read_entries_kept(session: Session, component: str) -> tuple[Entry, ...] | None:
    """Return the entries that the copy was made by; None where they are not known."""
    packed = await session.fetchval(_QUERIES["read_entries"], component)
    return None if packed is None else unpack(packed)


async def are_entries_kept(session: Session, component: str) -> bool:
    """Say whether it is known what the copy was made of, without reading it."""
    return bool(await session.fetchval(_QUERIES["has_entries"], component))


async def keep_entries(session: Session, component: str, entries: Sequence[Entry]) -> None:
    """Note what the copy is made of from now on."""
    await session.execute(_QUERIES["keep_entries"], component, pack(entries))
