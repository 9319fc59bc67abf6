"""Events as files while the control database is away: one for each, with how it stands with each channel.

What a file says is what is known: a process that is killed loses nothing of it. No query, no sending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from services.standby_controller.policy.delivery import Delivery, DeliveryState
from services.standby_controller.policy.notice import Incident, Told, Wishes, addressees, topic_of
from services.standby_controller.store.events import NewEvent
from services.standby_controller.store.outbox import Parcel, public_id
from shared.files.atomic import sync_folder, write_atomically

log = logging.getLogger(__name__)

FOLDER: Final = "outbox"
MOST_FILES: Final = 10_000
_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class Spooled:
    """The content of a file; without deliveries nobody has said yet to whom the event goes."""

    event: NewEvent
    deliveries: tuple[Delivery, ...] | None


_CONTENT: Final = TypeAdapter(Spooled)


class Spool:
    """The files of one node."""

    def __init__(self, folder: Path, node: str, pair_id: str) -> None:
        """Begin with what the folder holds; it is made when it is needed."""
        self._folder = folder
        self._node = node
        self._pair_id = pair_id
        self._held = dict(_load(folder))
        self._writing = asyncio.Lock()
        self.incidents: dict[tuple[str, str], Incident] = {}
        """What the channels were told last, by channel and topic: as the database says, then as files do."""
        self.changed: dict[tuple[str, str], Incident] = {}

    @property
    def count(self) -> int:
        """Return how many events wait for the database."""
        return len(self._held)

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        return name in self._held

    def items(self) -> tuple[tuple[str, Spooled], ...]:
        """Return all files with their names, the oldest first."""
        return tuple(sorted(self._held.items()))

    async def add(self, event: NewEvent, channels: Sequence[Wishes] | None, fold_seconds: float, now: datetime) -> None:
        """Keep an event for the channels that want it; repeatable. Without settings it is sorted later."""
        name = f"{event.at:%Y%m%dT%H%M%S%f}-{event.key}{_SUFFIX}"
        if name in self._held:
            return
        if len(self._held) >= MOST_FILES:
            log.warning("event given up, the control database is away for too long", extra={"kind": event.kind.value})
            return
        deliveries = None if channels is None else tuple(self._sort(event, channels, fold_seconds, now))
        await self._write(name, Spooled(event, deliveries))

    def due(self, channel: str, now: datetime, limit: int) -> tuple[Parcel, ...]:
        """Return what a channel has to send now; what was never tried comes first."""
        found = [
            self._parcel(name, spooled.event, delivery)
            for name, spooled in self.items()
            for delivery in spooled.deliveries or ()
            if delivery.channel == channel
            and delivery.state is DeliveryState.WAITING
            and delivery.next_attempt_at <= now
        ]
        return tuple(sorted(found, key=lambda parcel: parcel.delivery.attempts > 0)[:limit])

    async def write(self, parcel: Parcel, delivery: Delivery) -> None:
        """Note how a delivery stands."""
        await self._change(parcel.id, {delivery.channel: delivery})

    async def fold(self, fold_seconds: float, now: datetime) -> None:
        """Make one delivery of what was held, where the window is over: the newest carries the others."""
        held: dict[tuple[str, str], list[tuple[str, NewEvent, Delivery]]] = {}
        for name, spooled in self.items():
            for one in spooled.deliveries or ():
                if one.state is DeliveryState.HELD:
                    held.setdefault((one.channel, one.incident), []).append((name, spooled.event, one))
        for (channel, incident), members in held.items():
            if min(one.next_attempt_at for _, _, one in members) > now:
                continue
            counts = Counter(event.kind.value for _, event, _ in members)
            *others, (carrier, _, last) = members
            for name, _, one in others:
                await self._change(name, {channel: replace(one, state=DeliveryState.FOLDED)})
            ready = replace(last, state=DeliveryState.WAITING, queued_at=now, next_attempt_at=now)
            repeats = dict(counts) if others else {}
            await self._change(carrier, {channel: replace(ready, repeats=repeats)})
            for place, known in self.incidents.items():
                if place[0] == channel and known.id == incident:
                    self._note(place, replace(known, window_ends_at=now + timedelta(seconds=fold_seconds)))

    async def remove(self, name: str) -> None:
        """Forget a file: the database has it."""
        async with self._writing:
            await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)
            self._held.pop(name, None)

    def _sort(
        self, event: NewEvent, channels: Sequence[Wishes], fold_seconds: float, now: datetime
    ) -> Iterator[Delivery]:
        told = Told(public_id(self._pair_id, event), event.kind.value, event.severity, event.subject)
        for channel, placed in addressees(told, channels, self.incidents, now, fold_seconds):
            self._note((channel, topic_of(told)), placed.incident)
            state = DeliveryState.WAITING if placed.held_until is None else DeliveryState.HELD
            yield Delivery(channel, placed.incident.id, state, now, placed.held_until or now)

    def _note(self, place: tuple[str, str], incident: Incident) -> None:
        self.incidents[place] = self.changed[place] = incident

    def _parcel(self, name: str, event: NewEvent, delivery: Delivery) -> Parcel:
        return Parcel(name, public_id(self._pair_id, event), self._node, event, delivery)

    async def _change(self, name: str, changes: Mapping[str, Delivery]) -> None:
        spooled = self._held.get(name)
        if spooled is None or spooled.deliveries is None:
            return
        deliveries = tuple(changes.get(one.channel, one) for one in spooled.deliveries)
        await self._write(name, Spooled(spooled.event, deliveries))

    async def _write(self, name: str, spooled: Spooled) -> None:
        """Keep it in memory in any case; a disk that refuses is logged, and it is sent all the same."""
        async with self._writing:
            self._held[name] = spooled
            try:
                await asyncio.to_thread(_store, self._folder, name, _CONTENT.dump_json(spooled))
            except OSError as error:
                log.warning("event not kept as a file", extra={"file": name, "detail": str(error)})


def _store(folder: Path, name: str, content: bytes) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
    write_atomically(folder / name, content)


def _load(folder: Path) -> Iterator[tuple[str, Spooled]]:
    if not folder.is_dir():
        return
    for path in sorted(folder.glob(f"[0-9]*{_SUFFIX}")):
        try:
            yield path.name, _CONTENT.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            detail: Any = str(error).splitlines()[0]
            log.warning("event in a file not understood", extra={"file": path.name, "detail": detail})
