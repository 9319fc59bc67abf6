"""Standbys that never come back: after a time nothing is held for them, so that the spool of the others stays small.

They stay listed until they are seen again. What they missed by then is gone: they are refused as trimmed, and copy all.
"""

from __future__ import annotations

import logging
from typing import Final

from services.primary_agent.capture.spool import Capture
from shared.node.model import AbsentSubscriber
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session

_QUERIES: Final = load_queries("services.primary_agent.capture", "absent.sql")
_log = logging.getLogger(__name__)


async def drop_absent(session: Session, capture: Capture, days: int) -> tuple[tuple[AbsentSubscriber, ...], bool]:
    """Drop subscribers that were not seen for so long; return all dropped ones, and whether one is new."""
    rows = await session.fetch(_QUERIES["drop_absent"], capture.number, days)
    for row in rows:
        if row["is_new"]:
            _log.warning("subscriber dropped", extra={"subscriber": row["node_id"], "seen_at": row["last_seen_at"]})
    absent = tuple(AbsentSubscriber(node_id=row["node_id"], last_seen_at=row["last_seen_at"]) for row in rows)
    return absent, any(row["is_new"] for row in rows)
