"""The history of looks at peers: what each heartbeat said and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.standby_controller.store.database import Database, Record
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.node.model import State
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "heartbeats.sql")


@dataclass(frozen=True, slots=True)
class HeartbeatRecord:
    """One look at one peer; `result` is `ok` or the code of what went wrong."""

    peer: str
    at: datetime
    result: str
    state: State | None = None
    term_epoch: int | None = None
    round_trip_seconds: float | None = None
    offset_low_seconds: float | None = None
    offset_high_seconds: float | None = None
    silent_seconds: float | None = None
    """Since the answer before it, by the monotonic clock; None where this process had none yet."""


@dataclass(frozen=True, slots=True)
class HeartbeatFilter:
    """Which looks a list holds; None asks for anything."""

    peer: str | None = None
    result: str | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class Heartbeats:
    """Looks at all peers."""

    def __init__(self, database: Database) -> None:
        """Keep the way to the database."""
        self._database = database

    async def add(self, records: Sequence[HeartbeatRecord]) -> None:
        """Record some looks in one statement."""
        columns: list[list[Any]] = [
            [record.peer for record in records],
            [record.at for record in records],
            [record.result for record in records],
            [record.state for record in records],
            [record.term_epoch for record in records],
            [record.round_trip_seconds for record in records],
            [record.offset_low_seconds for record in records],
            [record.offset_high_seconds for record in records],
            [record.silent_seconds for record in records],
        ]
        await self._database.execute(_QUERIES["add_heartbeats"], *columns)

    async def list_heartbeats(self, wanted: HeartbeatFilter, limit: int, cursor: str | None) -> Page[HeartbeatRecord]:
        """Return a page of looks, newest first."""
        after = None if cursor is None else decode_cursor(cursor, int)[0]
        rows = await self._database.fetch(
            _QUERIES["list_heartbeats"],
            after,
            wanted.peer,
            wanted.result,
            wanted.at_from,
            wanted.at_before,
            limit + 1,
        )
        more = len(rows) > limit
        return Page(tuple(map(_heartbeat, rows[:limit])), encode_cursor(rows[limit - 1]["id"]) if more else None)

    async def trim(self, now: datetime, keep_days: int, keep_count: int) -> int:
        """Forget looks older than the limit or beyond the number, and return how many."""
        return await self._database.execute(_QUERIES["trim_heartbeats"], now - timedelta(days=keep_days), keep_count)


def _heartbeat(row: Record) -> HeartbeatRecord:
    return HeartbeatRecord(
        peer=row["peer"],
        at=row["at"],
        result=row["result"],
        state=None if row["state"] is None else State(row["state"]),
        term_epoch=row["term_epoch"],
        round_trip_seconds=row["round_trip_seconds"],
        offset_low_seconds=row["offset_low_seconds"],
        offset_high_seconds=row["offset_high_seconds"],
        silent_seconds=row["silent_seconds"],
    )
