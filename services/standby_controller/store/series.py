"""Sums over the history for curves and shares: looks at peers, and syncs, in equal spans of time.

Looks that are forgotten stay as hours; percentiles over several of those are the means of theirs, weighted by answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.records import SyncResult
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "series.sql")
MOST_SPANS: Final = 500


@dataclass(frozen=True, slots=True)
class Window:
    """A time, its end not included."""

    at_from: datetime
    at_before: datetime

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return (self.at_before - self.at_from).total_seconds()


@dataclass(frozen=True, slots=True)
class HeartbeatSpan:
    """The looks at one peer in a span of time."""

    peer: str
    at: datetime
    looks: int
    answered: int
    silent_seconds: float | None
    round_trip_p50_seconds: float | None
    round_trip_p95_seconds: float | None
    round_trip_p99_seconds: float | None
    round_trip_max_seconds: float | None
    offset_seconds: float | None


@dataclass(frozen=True, slots=True)
class SyncSpan:
    """The syncs that began in a span of time, or one of them; the result is the worst, the duration the longest."""

    started_at: datetime
    sync_id: str | None
    syncs: int
    succeeded: int
    failed: int
    result: SyncResult | None
    duration_seconds: float | None
    rows: int
    bytes: int


class Series:
    """Sums over the control database."""

    def __init__(self, database: Database) -> None:
        """Keep the way to the database."""
        self._database = database

    async def heartbeats(
        self, peers: Sequence[str], window: Window, span_seconds: float | None = None
    ) -> tuple[HeartbeatSpan, ...]:
        """Return each peer's spans, also those without a look; one for the whole window unless a length is given."""
        seconds = window.seconds if span_seconds is None else float(span_seconds)
        rows = await self._database.fetch(
            _QUERIES["heartbeat_spans"], window.at_from, window.at_before, seconds, list(peers)
        )
        return tuple(HeartbeatSpan(**dict(row)) for row in rows)

    async def syncs(self, window: Window, span_seconds: float | None = None) -> tuple[SyncSpan, ...]:
        """Return spans with their syncs, oldest first; without a length each sync by itself, the newest of them."""
        if span_seconds is None:
            rows = await self._database.fetch(_QUERIES["sync_each"], window.at_from, window.at_before, MOST_SPANS)
            return tuple(_sync_span(row) for row in reversed(rows))
        rows = await self._database.fetch(_QUERIES["sync_spans"], window.at_from, window.at_before, float(span_seconds))
        return tuple(map(_sync_span, rows))

    async def sum_up_hours(self, now: datetime) -> int:
        """Keep the sums of the hours that are over, and return how many are new or changed; repeatable."""
        return await self._database.execute(_QUERIES["sum_up_hours"], now)

    async def trim_hours(self, now: datetime, keep_days: int) -> int:
        """Forget hours older than the limit and return how many."""
        return await self._database.execute(_QUERIES["trim_hours"], now - timedelta(days=keep_days))


def _sync_span(row: Record) -> SyncSpan:
    return SyncSpan(
        started_at=row["started_at"],
        sync_id=None if row["node"] is None else f"{row['node']}.{row['seq']:010d}",
        syncs=row["syncs"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        result=None if row["result"] is None else SyncResult(row["result"]),
        duration_seconds=row["duration_seconds"],
        rows=row["rows"],
        bytes=row["bytes"],
    )
