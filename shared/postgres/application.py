"""The small schema `warmstandby` of a replicated database, and the guard rows: installs it, and sets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import SyncPoint

_QUERIES: Final = load_queries("shared.postgres", "application.sql")


async def install_application_schema(session: Session) -> None:
    """Make the schema unless it is there in its present form; idempotent, safe at the same time twice."""
    if await session.fetchval(_QUERIES["has_application_schema"]):
        return
    async with session.transaction():
        await session.execute(_QUERIES["lock_installation"])
        await session.execute(_QUERIES["install_application_schema"])


@dataclass(frozen=True, slots=True)
class Standing:
    """The sync point of another node at which a copy stands."""

    point: SyncPoint
    source_node: str


async def read_standing(session: Session, component: str) -> Standing | None:
    """Return where a copy stands; None where the database is no copy."""
    if not await session.fetchval(_QUERIES["has_application_schema"]):
        return None
    row = await session.fetchrow(_QUERIES["read_standing"], component)
    if row is None:
        return None
    return Standing(
        SyncPoint(capture_id=row["capture_id"], seq=row["seq"], nonce=row["nonce"]), source_node=row["source_node"]
    )


async def forget_cursor(session: Session, component: str) -> None:
    """Make a database nobody's copy, because its node serves it: no delta may be brought to it from its old point."""
    await session.execute(_QUERIES["forget_cursor"], component)


async def set_application_guard(session: Session, accepts_apply: bool) -> None:
    """Say whether this database may be overwritten; writes nothing when it says so already."""
    await session.execute(_QUERIES["set_application_guard"], accepts_apply)


async def set_node_guard(session: Session, accepts_apply: bool) -> None:
    """Say whether databases of this node may be swapped; writes nothing when it says so already."""
    await session.execute(_QUERIES["set_node_guard"], accepts_apply)
