"""Who changed what, when, from what to what: append-only, kept longer than events, equal on all nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from services.standby_controller.store.database import Connection, Database, Record, storable, storable_json
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "audit.sql")


class Action(StrEnum):
    """What somebody did; an action never changes its name once released."""

    CONFIG_CHANGED = "config_changed"
    CONFIG_OVERRULED = "config_overruled"
    TOKEN_CREATED = "token_created"
    TOKEN_DELETED = "token_deleted"
    SYNC_STARTED = "sync_started"
    SYNC_CANCELLED = "sync_cancelled"
    VERIFICATION_STARTED = "verification_started"
    FAILOVER_STARTED = "failover_started"
    SWITCHOVER_STARTED = "switchover_started"
    RESYNC_STARTED = "resync_started"
    NODE_FENCED = "node_fenced"
    NODE_UNFENCED = "node_unfenced"
    MAINTENANCE_SET = "maintenance_set"
    ARMING_SET = "arming_set"
    RESCUE_DISCARDED = "rescue_discarded"


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry before it is recorded; `before` and `after` hold no secrets."""

    at: datetime
    who: str
    action: Action
    subject: str | None = None
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """A recorded entry."""

    node: str
    seq: int
    entry: NewEntry

    @property
    def id(self) -> str:
        """Return the id that the API shows."""
        return f"{self.node}.{self.seq:010d}"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries a list holds; None asks for anything."""

    who: str | None = None
    action: Action | None = None
    at_from: datetime | None = None
    at_before: datetime | None = None


class Audit:
    """The audit trail of the pair; entries made here are this node's."""

    def __init__(self, database: Database, node: str) -> None:
        """Make entries as one node's."""
        self._database = database
        self._node = node

    async def add(self, entry: NewEntry, connection: Connection | None = None) -> None:
        """Note what somebody did, in the caller's transaction where one is given."""
        values = (
            self._node,
            entry.at,
            storable(entry.who),
            entry.action,
            None if entry.subject is None else storable(entry.subject),
            None if entry.before is None else storable_json(entry.before),
            None if entry.after is None else storable_json(entry.after),
        )
        if connection is None:
            await self._database.execute(_QUERIES["add_entry"], *values)
        else:
            await connection.execute(_QUERIES["add_entry"], *values)

    async def list_entries(self, wanted: EntryFilter, limit: int, cursor: str | None) -> Page[EntryRecord]:
        """Return a page of entries, newest first."""
        key = (None, None, None) if cursor is None else decode_cursor(cursor, datetime, str, int)
        rows = await self._database.fetch(
            _QUERIES["list_entries"], *key, wanted.who, wanted.action, wanted.at_from, wanted.at_before, limit + 1
        )
        records = tuple(map(_entry, rows[:limit]))
        last = records[-1] if len(rows) > limit else None
        return Page(records, None if last is None else encode_cursor(last.entry.at, last.node, last.seq))

    async def trim(self, now: datetime, keep_days: int) -> int:
        """Forget entries older than the limit and return how many."""
        return await self._database.execute(_QUERIES["trim_entries"], now - timedelta(days=keep_days))


def _entry(row: Record) -> EntryRecord:
    return EntryRecord(
        node=row["node"],
        seq=row["seq"],
        entry=NewEntry(
            at=row["at"],
            who=row["who"],
            action=Action(row["action"]),
            subject=row["subject"],
            before=None if row["before"] is None else json.loads(row["before"]),
            after=None if row["after"] is None else json.loads(row["after"]),
        ),
    )
