"""The history of the pair as a log that peers read on from a place, and what was read from theirs.

Rows are the columns of the tables as JSON. What a newer release writes and this one does not understand is left out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import asyncpg

from services.standby_controller.pair_groups import HistoryGroup
from services.standby_controller.severity import Severity
from services.standby_controller.store.audit import Action
from services.standby_controller.store.database import Connection, Database, storable_json
from services.standby_controller.store.events import EventKind
from services.standby_controller.store.records import SyncResult, Trigger
from services.standby_controller.store.transitions import Transitions
from shared.node.pair import HistoryItem
from shared.postgres.queries import load_queries

log = logging.getLogger(__name__)

_QUERIES: Final = load_queries("services.standby_controller.store", "history_log.sql")
_PEER: Final = "peer "

PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Place:
    """How far a history was read; `value` counts within a generation."""

    generation: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some rows, and the place after them."""

    items: tuple[HistoryItem, ...]
    reached: Place
    has_more: bool


class HistoryLog:
    """The history of this database, in the order in which it came here."""

    def __init__(self, database: Database, transitions: Transitions) -> None:
        """Keep the way to the database, and who tells transitions anew."""
        self._database = database
        self._transitions = transitions

    async def read_after(self, place: Place, limit: int = PAGE) -> LogPage:
        """Return what came after a place; of another generation, from the beginning.

        A reader who is ahead of this database shows that it was put back to an earlier state: a new generation begins.
        """
        clock = await self._clock()
        if place.generation == clock.generation and place.value > clock.value:
            log.warning("control database was put back to an earlier state", extra={"generation": clock.generation})
            async with self._database.transaction() as connection:
                await connection.execute(_QUERIES["renew_generation"], clock.generation)
                await connection.fetch(_QUERIES["skip_numbers"], place.value - clock.value)
            clock = await self._clock()
        begin = place.value if place.generation == clock.generation else 0
        rows = await self._database.fetch(_QUERIES["rows_after"], begin, clock.value, limit)
        items = tuple(HistoryItem(change=row["change"], kind=row["kind"], row=json.loads(row["body"])) for row in rows)
        has_more = len(rows) == limit
        reached = items[-1].change if has_more else clock.value
        return LogPage(items, Place(clock.generation, reached), has_more)

    async def place_at(self, peer: str) -> Place:
        """Return how far a peer's history was read."""
        row = await self._database.fetch_row(_QUERIES["read_place"], _PEER + peer)
        return Place() if row is None else Place(row["generation"], row["value"])

    async def take(self, peer: str, page: LogPage, kept: HistoryGroup, now: datetime) -> int:
        """Take a peer's rows that are not here, note the place, and return how many were taken; repeatable."""
        limits = {
            "event": now - timedelta(days=kept.sync_days),
            "sync": now - timedelta(days=kept.sync_days),
            "journal": now - timedelta(days=kept.transition_days),
            "evidence": now - timedelta(days=kept.transition_days),
            "audit": now - timedelta(days=kept.audit_days),
        }
        taken, touched = 0, set[str]()
        async with self._database.transaction() as connection:
            for item in page.items:
                if not await _take(connection, item, limits):
                    continue
                taken += 1
                if item.kind in ("journal", "evidence"):
                    touched.add(str(item.row["transition_id"]))
            if touched:
                await self._transitions.retell(connection, touched)
            reached = page.reached
            await connection.execute(_QUERIES["write_place"], _PEER + peer, reached.generation, reached.value)
        return taken

    async def _clock(self) -> Place:
        row = await self._database.fetch_row(_QUERIES["read_clock"])
        assert row is not None, "the migration writes it and nothing deletes it"
        return Place(row["generation"], row["value"])


async def _take(connection: Connection, item: HistoryItem, limits: Mapping[str, datetime]) -> bool:
    """Take one row unless it is before its kind's limit, and say whether it is new.

    One that cannot be taken is logged and left out.
    """
    if item.kind not in _UNDERSTOOD or not _UNDERSTOOD[item.kind](item.row):
        log.warning("row of history not understood", extra={"kind": item.kind, "change": item.change})
        return False
    row = storable_json(item.row)
    try:
        async with connection.transaction():
            tag = await connection.execute(_QUERIES[f"take_{item.kind}"], row, limits[item.kind])
            is_new = not tag.endswith(" 0")
            if is_new and item.kind == "sync":
                await connection.execute(_QUERIES["take_components"], row)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        extra = {"kind": item.kind, "change": item.change, "detail": str(error)}
        log.warning("row of history cannot be taken", extra=extra)
        return False
    return is_new


def _is_event(row: Mapping[str, Any]) -> bool:
    return _is_one_of(row.get("kind"), EventKind) and _is_one_of(row.get("severity"), Severity)


def _is_sync(row: Mapping[str, Any]) -> bool:
    has_ended = _is_one_of(row.get("result"), SyncResult) and row.get("result") != SyncResult.RUNNING
    return has_ended and _is_one_of(row.get("trigger"), Trigger)


def _is_entry(row: Mapping[str, Any]) -> bool:
    return _is_one_of(row.get("action"), Action)


def _is_one_of(value: Any, kinds: type[StrEnum]) -> bool:
    return isinstance(value, str) and value in set(kinds)


def _is_of_transition(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("transition_id"), str)


_UNDERSTOOD: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = MappingProxyType(
    {
        "event": _is_event,
        "sync": _is_sync,
        "journal": _is_of_transition,
        "evidence": _is_of_transition,
        "audit": _is_entry,
    }
)
