"""Which database an export is of: what tells one that was made anew under the same name. Reads only."""

from __future__ import annotations

from typing import Final

from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import SourceIdentity

_QUERIES: Final = load_queries("services.primary_agent.export", "identity.sql")


async def identify_source(session: Session, *, has_size: bool) -> SourceIdentity:
    """Return which server and database a session is with; with its size on disk where it is asked for."""
    row = await session.fetchrow(_QUERIES["identify_source"], has_size)
    assert row is not None
    return SourceIdentity(**row)
