"""What the daily digest says of the last day's syncs, and whether it was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.standby_controller.store.database import Database
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "digest.sql")


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """The pair's ended syncs since an instant."""

    count: int
    succeeded: int
    failed: int
    median_seconds: float | None
    longest_seconds: float | None


class DigestFacts:
    """Looks into the history."""

    def __init__(self, database: Database, node: str) -> None:
        """Keep the way to the database, and which node tells."""
        self._database = database
        self._node = node

    async def is_told(self, key: str) -> bool:
        """Say whether this node has told an event."""
        row = await self._database.fetch_row(_QUERIES["has_key"], self._node, key)
        return row is not None and bool(row["is_there"])

    async def count_syncs(self, since: datetime) -> SyncCounts:
        """Count the syncs of both nodes that have ended and began since then."""
        row = await self._database.fetch_row(_QUERIES["count_syncs"], since)
        assert row is not None, "a count is always a row"
        median, longest = row["median_seconds"], row["longest_seconds"]
        return SyncCounts(
            row["count"],
            row["succeeded"],
            row["failed"],
            None if median is None else float(median),
            None if longest is None else float(longest),
        )
