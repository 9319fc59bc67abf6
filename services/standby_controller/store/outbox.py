"""What is still to be sent, was sent, and could not be, for each event of this node and each channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.standby_controller.policy.delivery import Delivery, DeliveryState, to_resend
from services.standby_controller.policy.notice import LONGEST_INCIDENT, Incident, Told, Wishes, addressees, topic_of
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import Connection, Database, Record, storable
from services.standby_controller.store.events import EventKind, Events, NewEvent, event_of
from services.standby_controller.store.pages import Page, decode_cursor, encode_cursor
from shared.errors import NotFound, NotificationNotDead
from shared.postgres.queries import load_queries

_QUERIES: Final = load_queries("services.standby_controller.store", "outbox.sql")
_BATCH: Final = 200
_BIGGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery with its event; `id` is its place in the store that it comes from."""

    id: str
    event_id: str
    node: str
    event: NewEvent
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Tally:
    """What a channel has to do and could not."""

    waiting: int
    dead: int
    sent_at: datetime | None


def public_id(pair_id: str, event: NewEvent) -> str:
    """Return what an event is called outside: the same however often, from wherever and by whatever it is told."""
    return f"{pair_id}/{event.epoch or 0}/{event.kind.value}/{event.key}"


class Outbox:
    """The outbox in the control database."""

    def __init__(self, database: Database, events: Events, node: str, pair_id: str) -> None:
        """Send what one node of a pair has observed."""
        self._database = database
        self._events = events
        self._node = node
        self._pair_id = pair_id

    async def sort(self, wishes: Callable[[], Sequence[Wishes]], fold_seconds: float, now: datetime) -> int:
        """Queue new events for the channels that want them, and return how many events there were.

        The channels are asked for when the events are known: one that was added before an event gets it.
        """
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_QUERIES["take_unsorted"], _BATCH)
            if not rows:
                return 0
            channels = wishes()
            incidents = {
                (row["channel"], row["topic"]): _incident(row)
                for row in await connection.fetch(_QUERIES["read_incidents"])
            }
            changed: dict[tuple[str, str], Incident] = {}
            deliveries = []
            for row in rows:
                event = event_of(row).event
                told = Told(public_id(self._pair_id, event), event.kind.value, event.severity, event.subject)
                for channel, placed in addressees(told, channels, incidents, now, fold_seconds):
                    changed[channel, topic_of(told)] = incidents[channel, topic_of(told)] = placed.incident
                    state = DeliveryState.WAITING if placed.held_until is None else DeliveryState.HELD
                    delivery = Delivery(channel, placed.incident.id, state, now, placed.held_until or now)
                    deliveries.append(_values(row["node"], row["seq"], delivery))
            await connection.executemany(_QUERIES["add_delivery"], deliveries)
            for (channel, topic), incident in changed.items():
                await connection.execute(_QUERIES["write_incident"], channel, topic, *_incident_values(incident))
            for node in {row["node"] for row in rows}:
                seqs = [row["seq"] for row in rows if row["node"] == node]
                await connection.execute(_QUERIES["forget_unsorted"], node, seqs)
        return len(rows)

    async def has_work(self, now: datetime) -> tuple[bool, bool]:
        """Say whether there is anything to sort, and anything to fold."""
        row = await self._database.fetch_row(_QUERIES["has_work"], now)
        assert row is not None, "it is always a row"
        return bool(row["has_new"]), bool(row["has_held"])

    async def fold(self, fold_seconds: float, now: datetime) -> None:
        """Make one delivery of what was held, where the window is over."""
        await self._database.execute(_QUERIES["fold_held"], now, now + timedelta(seconds=fold_seconds))

    async def take(self, event: NewEvent, deliveries: Sequence[Delivery]) -> None:
        """Take an event with its deliveries as they stand, told while this database was away; repeatable."""
        async with self._database.transaction() as connection:
            await self._events.add(event, connection)
            row = await connection.fetchrow(_QUERIES["find_event"], self._node, event.key)
            assert row is not None, "it is there, since now or before"
            await connection.execute(_QUERIES["forget_unsorted"], row["node"], [row["seq"]])
            for delivery in deliveries:
                await connection.execute(_QUERIES["add_delivery"], *_values(row["node"], row["seq"], delivery))

    async def take_incidents(self, incidents: Mapping[tuple[str, str], Incident]) -> None:
        """Take what the channels were told while this database was away."""
        for (channel, topic), incident in incidents.items():
            await self._database.execute(_QUERIES["write_incident"], channel, topic, *_incident_values(incident))

    async def incidents(self) -> dict[tuple[str, str], Incident]:
        """Return what the channels were told last, by channel and topic."""
        rows = await self._database.fetch(_QUERIES["read_incidents"])
        return {(row["channel"], row["topic"]): _incident(row) for row in rows}

    async def due(self, channel: str, now: datetime, limit: int) -> tuple[Parcel, ...]:
        """Return what a channel has to send now."""
        return tuple(map(self._parcel, await self._database.fetch(_QUERIES["list_due"], channel, now, limit)))

    async def write(self, parcel: Parcel, delivery: Delivery) -> None:
        """Note how a delivery stands; one that was kept in a file is found by its event."""
        number = int(parcel.id) if parcel.id.isdigit() else None
        if number is None:
            found = (self._node, parcel.event.key, delivery.channel)
            row = await self._database.fetch_row(_QUERIES["find_by_key"], *found)
            number = None if row is None else row["id"]
        if number is not None:
            await _write(self._database, number, delivery)

    async def hasten(self, channel: str, now: datetime) -> None:
        """Have tried again now what waits for a channel that works."""
        await self._database.execute(_QUERIES["hasten"], channel, now)

    async def keep_only(self, channels: Sequence[str], now: datetime) -> None:
        """Forget what waits for channels that there are no more, and old stories."""
        await self._database.execute(_QUERIES["drop_unsent"], list(channels))
        await self._database.execute(_QUERIES["drop_incidents"], list(channels))
        await self._database.execute(_QUERIES["trim_incidents"], now - 2 * LONGEST_INCIDENT)

    async def list_parcels(
        self, states: Sequence[DeliveryState], channel: str | None, limit: int, cursor: str | None
    ) -> Page[Parcel]:
        """Return a page of deliveries, newest first."""
        (before,) = (None,) if cursor is None else decode_cursor(cursor, int)
        rows = await self._database.fetch(_QUERIES["list_deliveries"], before, list(states) or None, channel, limit + 1)
        more = encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page(tuple(map(self._parcel, rows[:limit])), more)

    async def read(self, number: int) -> Parcel:
        """Return one delivery; raises NotFound."""
        row = await self._database.fetch_row(_QUERIES["find_delivery"], number) if number <= _BIGGEST else None
        if row is None:
            raise NotFound(f"there is no notification {number}")
        return self._parcel(row)

    async def resend(self, number: int, channels: Collection[str], now: datetime) -> Parcel:
        """Queue a dead delivery again for those who do not have it; raises NotFound and NotificationNotDead.

        `channels` are those that there are.
        """
        await self.read(number)
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_QUERIES["lock_delivery"], number)
            if row is None:
                raise NotFound(f"there is no notification {number}")
            parcel = self._parcel(row)
            if parcel.delivery.state is not DeliveryState.DEAD:
                raise NotificationNotDead(f"notification {number} is {parcel.delivery.state}")
            if parcel.delivery.channel not in channels:
                raise NotFound(f"there is no channel {parcel.delivery.channel!r} any more")
            await _write(connection, number, to_resend(parcel.delivery, now))
        return await self.read(number)

    async def tallies(self, channels: Sequence[str]) -> dict[str, Tally]:
        """Return what each of these channels has to do and could not."""
        rows = await self._database.fetch(_QUERIES["count_by_channel"], list(channels))
        return {row["channel"]: Tally(row["waiting"], row["dead"], row["sent_at"]) for row in rows}

    def _parcel(self, row: Record) -> Parcel:
        told = json.loads(row["event"])
        event = NewEvent(
            at=datetime.fromisoformat(told["at"]),
            kind=EventKind(told["kind"]),
            severity=Severity(told["severity"]),
            subject=told["subject"],
            text=told["text"],
            data=told["data"],
            key=told["key"],
            epoch=told["epoch"],
        )
        return Parcel(str(row["id"]), public_id(self._pair_id, event), row["node"], event, _delivery(row))


async def _write(connection: Connection | Database, number: int, delivery: Delivery) -> None:
    await connection.execute(_QUERIES["write_delivery"], number, *_standing(delivery))


def _values(node: str, seq: int, delivery: Delivery) -> tuple[Any, ...]:
    begin, repeats = (node, seq, delivery.channel, delivery.incident), json.dumps(dict(delivery.repeats))
    return (*begin, *_standing(delivery), repeats)


def _standing(delivery: Delivery) -> tuple[Any, ...]:
    """Return the columns that an attempt changes."""
    return (
        delivery.state,
        delivery.queued_at,
        delivery.next_attempt_at,
        delivery.attempts,
        delivery.sent_at,
        None if delivery.problem is None else storable(delivery.problem),
        json.dumps(list(delivery.delivered)),
        json.dumps({name: storable(why) for name, why in delivery.refused.items()}),
    )


def _delivery(row: Record) -> Delivery:
    return Delivery(
        channel=row["channel"],
        incident=row["incident"],
        state=DeliveryState(row["state"]),
        queued_at=row["queued_at"],
        next_attempt_at=row["next_attempt_at"],
        attempts=row["attempts"],
        sent_at=row["sent_at"],
        problem=row["problem"],
        delivered=tuple(json.loads(row["delivered"])),
        refused=json.loads(row["refused"]),
        repeats=json.loads(row["repeats"]),
    )


def _incident(row: Record) -> Incident:
    return Incident(
        id=row["id"],
        is_open=row["is_open"],
        begun_at=row["begun_at"],
        last_at=row["last_at"],
        window_ends_at=row["window_ends_at"],
        kinds=frozenset(row["kinds"]),
    )


def _incident_values(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.id,
        incident.is_open,
        incident.begun_at,
        incident.last_at,
        incident.window_ends_at,
        sorted(incident.kinds),
    )
