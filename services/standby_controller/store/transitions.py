"""The history of transitions: the agents' journals, what controllers knew, and each transition as both tell it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.standby_controller.policy.transition_story import (
    HOOK,
    Evidence,
    JournalLine,
    Topic,
    Transition,
    TransitionResult,
    tell_transition,
)
from services.standby_controller.store.database import Connection, Database, Record, storable, storable_json
from services.standby_controller.store.events import Events
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from services.standby_controller.transition_events import events_of_entry
from shared.clock import format_instant
from shared.errors import NotFound
from shared.node.model import JournalEntry
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "transitions.sql")
_OWN_JOURNAL: Final = "journal"
_WITNESS_WITHIN: Final = timedelta(days=1)
_SETTLED_AFTER: Final = timedelta(seconds=5)
"""Looks and events are written behind the back of those who make them."""
_LOOKED_BEFORE: Final = timedelta(seconds=60)
_LOOKS: Final = 24
_RECENT_FAILOVERS: Final = 20


@dataclass(frozen=True, slots=True)
class TransitionFilter:
    """Which transitions a list holds; None and nothing ask for anything."""

    kinds: tuple[str, ...] = ()
    results: tuple[TransitionResult, ...] = ()
    node: str | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """The last entry of the own journal that was copied; `at` tells it from one of a journal made anew."""

    seq: int
    at: str


class Transitions:
    """Changes of roles of the pair; `primary` is the node of that mode."""

    def __init__(self, database: Database, events: Events, node: str, primary: str | None) -> None:
        """Copy the journal of one node, and read those of all."""
        self._database = database
        self._events = events
        self._node = node
        self._primary = primary

    async def place(self) -> JournalPlace | None:
        """Return how far the own journal was copied; None when nothing was, or it has to be copied again."""
        row = await self._database.fetch_row(_QUERIES["read_place"], _OWN_JOURNAL)
        return None if row is None or row["value"] == 0 else JournalPlace(row["value"], row["generation"])

    async def forget_place(self) -> None:
        """Have the own journal copied from its beginning: it was made anew."""
        await self._database.execute(_QUERIES["write_place"], _OWN_JOURNAL, "", 0)

    async def copy(self, entries: Sequence[JournalEntry]) -> int:
        """Copy entries of the own journal, with their events, and return how many are new; repeatable."""
        if not entries:
            return 0
        added = 0
        async with self._database.transaction() as connection:
            begun_at = await connection.fetchval(_QUERIES["read_begin"])
            latest = await connection.fetchval(_QUERIES["last_line"], self._node)
            touched = set()
            for entry in entries:
                if entry.kind == HOOK and latest is not None:
                    placed = entry.model_copy(update={"transition_id": latest})
                else:
                    placed, latest = entry, entry.transition_id
                touched.add(placed.transition_id)
                is_first = not await connection.fetchval(_QUERIES["has_lines"], self._node, placed.transition_id)
                if await connection.fetchrow(_QUERIES["add_line"], self._node, *_values(placed)) is None:
                    continue
                added += 1
                if entry.at >= begun_at:  # of what was before that, an earlier database has told
                    for event in events_of_entry(placed, self._node, is_first=is_first):
                        await self._events.add(event, connection)
            last = entries[-1]
            await connection.execute(_QUERIES["write_place"], _OWN_JOURNAL, format_instant(last.at), last.seq)
            await self.retell(connection, touched)
        return added

    async def begun_at(self) -> datetime:
        """Return since when this database keeps history."""
        row = await self._database.fetch_row(_QUERIES["read_begin"])
        assert row is not None, "the migration writes it and nothing deletes it"
        begun: datetime = row["begun_at"]
        return begun

    async def add_evidence(self, transition_id: str, topic: Topic, at: datetime, data: dict[str, Any]) -> None:
        """Note what this controller knows of a transition; of two notes on one topic the later counts."""
        await self._database.execute(
            _QUERIES["add_evidence"], self._node, transition_id, topic, at, storable_json(data)
        )

    async def find_promotion(self, epoch: int) -> str | None:
        """Return the id of the transition that made a term."""
        row = await self._database.fetch_row(_QUERIES["find_by_epoch"], epoch)
        return None if row is None else str(row["id"])

    async def witness(self, now: datetime) -> int:
        """Note for each recent transition how this node's looks at its peers went in the minute before it."""
        found = await self._database.fetch(
            _QUERIES["find_unwitnessed"], self._node, now - _WITNESS_WITHIN, now - _SETTLED_AFTER
        )
        for row in found:
            at = row["started_at"]
            looks = await self._database.fetch(_QUERIES["looks_before"], at - _LOOKED_BEFORE, at, _LOOKS)
            data = {"looks": [_look(look) for look in reversed(looks)]}
            await self.add_evidence(row["id"], Topic.LOOKS, at, data)
        return len(found)

    async def last_automatic_failover(self) -> datetime | None:
        """Return when a node of the pair last took over by itself; None where that is not known to have happened."""
        wanted = TransitionFilter(kinds=("failover",), results=(TransitionResult.SUCCEEDED,))
        found = (await self.list_transitions(wanted, _RECENT_FAILOVERS, None)).items
        return next((one.ended_at for one in found if not one.is_by_hand), None)

    async def count_losses(self, now: datetime) -> int:
        """Note for each failover that this node has come back after what it alone had; its rescues tell."""
        found = await self._database.fetch(_QUERIES["find_returns"], self._node, now - _SETTLED_AFTER)
        for row in found:
            counted = await self._database.fetch_row(_QUERIES["count_rescued"], self._node, str(row["term_epoch"]))
            assert counted is not None, "a count is always a row"
            data = {"rescues": counted["rescues"], "databases": counted["databases"]}
            if not counted["databases"]:
                data["rows"] = counted["rows"]
            await self.add_evidence(row["id"], Topic.LOSS, row["at"], data)
        return len(found)

    async def read(self, transition_id: str) -> Transition:
        """Return one transition; raises NotFound."""
        if "\0" not in transition_id:
            async with self._database.transaction() as connection:
                if await connection.fetchrow(_QUERIES["find_transition"], transition_id) is not None:
                    return (await self._tell(connection, [transition_id]))[0]
        raise NotFound(f"there is no transition {transition_id!r}")

    async def list_transitions(self, wanted: TransitionFilter, limit: int, cursor: str | None) -> Page[Transition]:
        """Return a page of transitions, newest first."""
        key: Sequence[Any] = (None, None) if cursor is None else decode_cursor(cursor, datetime, str)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                _QUERIES["list_transitions"],
                *key,
                list(wanted.kinds) or None,
                list(wanted.results) or None,
                wanted.node,
                wanted.started_from,
                wanted.started_before,
                limit + 1,
            )
            items = await self._tell(connection, [row["id"] for row in rows[:limit]])
        more = encode_cursor(rows[limit - 1]["started_at"], rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page(items, more)

    async def retell(self, connection: Connection, ids: Iterable[str]) -> None:
        """Write anew how these transitions stand, and those that were not over."""
        running = [row["id"] for row in await connection.fetch(_QUERIES["find_running"])]
        for told in await self._tell(connection, sorted({*ids, *running})):
            if told.kind != HOOK:
                await connection.execute(
                    _QUERIES["write_transition"],
                    told.id,
                    told.node,
                    told.kind,
                    told.result,
                    told.term_epoch,
                    told.started_at,
                    told.ended_at,
                )

    async def trim(self, now: datetime, keep_days: int) -> int:
        """Forget what is older than the limit."""
        row = await self._database.fetch_row(_QUERIES["trim_transitions"], now - timedelta(days=keep_days))
        return 0 if row is None else int(row["count"])

    async def _tell(self, connection: Connection, ids: Sequence[str]) -> tuple[Transition, ...]:
        """Return the stories of transitions in this order; those without an entry are left out."""
        if not ids:
            return ()
        lines: dict[str, list[JournalLine]] = {}
        for row in await connection.fetch(_QUERIES["read_lines"], ids):
            lines.setdefault(row["transition_id"], []).append(JournalLine(row["node"], _entry(row)))
        evidence: dict[str, list[Evidence]] = {}
        for row in await connection.fetch(_QUERIES["read_evidence"], ids):
            evidence.setdefault(row["transition_id"], []).append(_evidence(row))
        superseded: dict[str, set[str]] = {}
        for row in await connection.fetch(_QUERIES["find_superseded"], ids):
            superseded.setdefault(row["transition_id"], set()).add(row["node"])
        return tuple(
            tell_transition(
                lines[one],
                evidence.get(one, ()),
                primary=self._primary,
                superseded=frozenset(superseded.get(one, ())),
            )
            for one in ids
            if one in lines
        )


def _values(entry: JournalEntry) -> tuple[Any, ...]:
    return (
        entry.seq,
        entry.at,
        storable(entry.transition_id),
        entry.kind,
        entry.step,
        entry.outcome,
        entry.seconds,
        storable(entry.detail),
        storable_json(entry.data),
        entry.monotonic_seconds,
    )


def _entry(row: Record) -> JournalEntry:
    return JournalEntry(
        seq=row["seq"],
        at=row["at"],
        transition_id=row["transition_id"],
        kind=row["kind"],
        step=row["step"],
        outcome=row["outcome"],
        seconds=row["seconds"],
        monotonic_seconds=row["monotonic_seconds"],
        detail=row["detail"],
        data=json.loads(row["data"]),
    )


def _evidence(row: Record) -> Evidence:
    return Evidence(node=row["node"], topic=Topic(row["topic"]), at=row["at"], data=json.loads(row["data"]))


def _look(row: Record) -> dict[str, Any]:
    return {
        "peer": row["peer"],
        "at": format_instant(row["at"]),
        "result": row["result"],
        "state": row["state"],
        "term_epoch": row["term_epoch"],
        "round_trip_seconds": row["round_trip_seconds"],
    }
