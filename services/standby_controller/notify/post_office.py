"""The loops that tell people: events are sorted, folded and sent, each channel by itself. Nothing else waits for them.

While the control database is away, events are kept as files and sent from there; it gets them when it is back.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from services.standby_controller.notify.courier import Courier
from services.standby_controller.notify.health import Health
from services.standby_controller.notify.spool import Spool
from services.standby_controller.pair_channels import MailChannel, NotificationsGroup, WebhookChannel
from services.standby_controller.policy.delivery import Delivery, Outcome, after_attempt
from services.standby_controller.policy.notice import Wishes
from services.standby_controller.policy.sights import ChannelSight
from services.standby_controller.recorder import Recorder
from services.standby_controller.store.database import Database
from services.standby_controller.store.events import EventKind, Events, NewEvent
from services.standby_controller.store.outbox import Outbox, Parcel
from shared.clock import Clock
from shared.errors import DatabaseUnreachable, WarmstandbyError
from shared.lifecycle import Sibling, run_every
from shared.log import fields_of

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
COUNT_SECONDS: Final = 5.0
BATCH: Final = 20
IMPORTED_AT_ONCE: Final = 200
KEPT_AGAIN: Final = timedelta(hours=1)
"""So often what nobody needs any more is looked for."""
PATIENT_SECONDS: Final = 4.0
"""So long the database may take to record an event before the event is kept as a file."""
_HANGS_AFTER_SECONDS: Final = 10.0

AnyChannel = MailChannel | WebhookChannel


class Store(Protocol):
    """Where deliveries are kept."""

    async def write(self, parcel: Parcel, delivery: Delivery) -> None:
        """Note how a delivery stands."""


class PostOffice:
    """Sends what this node has observed to those who want to know."""

    def __init__(
        self,
        *,
        group: Callable[[], NotificationsGroup | None],
        courier: Courier,
        outbox: Outbox,
        spool: Spool,
        events: Events,
        recorder: Recorder,
        database: Database,
        clock: Clock,
    ) -> None:
        """Take the settings from there; None while they are not known."""
        self._group = group
        self._courier = courier
        self._outbox = outbox
        self._spool = spool
        self._events = events
        self._recorder = recorder
        self._database = database
        self._clock = clock
        self._lock = asyncio.Lock()
        self._wakes: dict[str, asyncio.Event] = {}
        self._kept: tuple[str, ...] | None = None
        self._kept_at = clock.now()
        self._unwritten: dict[str, tuple[Parcel, Delivery]] = {}
        self.health = Health()

    def siblings(self) -> list[Sibling]:
        """Return the loops."""
        return [
            Sibling("notification files", functools.partial(run_every, 0.5, self.spool_overdue, name="event files")),
            Sibling("notifications", functools.partial(run_every, LOOK_SECONDS, self.tend, name="notifications")),
            Sibling("channel counts", functools.partial(run_every, COUNT_SECONDS, self.count, name="channel counts")),
            Sibling("channels", self._send_all),
        ]

    @property
    def is_database_away(self) -> bool:
        """Say whether the control database was not reached last."""
        return not (self._database.is_prepared and self._database.is_answering)

    def sights(self) -> tuple[ChannelSight, ...]:
        """Return how the channels that are on do."""
        return tuple(map(self.health.sight, self._enabled()))

    async def send_test(self, name: str, channel: AnyChannel, parcel: Parcel) -> Outcome:
        """Try a channel at once, by the way that all events go."""
        outcome = await self._courier.send(channel, parcel)
        self._note(name, outcome)
        return outcome

    def note_test(self, event: NewEvent) -> None:
        """Record that the channels were tried."""
        self._recorder.add_event(event)

    async def tell(self, event: NewEvent) -> None:
        """Keep an event as a file for those who want it; repeatable."""
        group = self._group()
        wishes = None if group is None else self._wishes(group)
        fold = 0 if group is None else group.fold_seconds
        async with self._lock:
            await self._spool.add(self._events.stamped(event), wishes, fold, self._clock.now())
        self._wake()

    async def spool_overdue(self, patient_seconds: float = PATIENT_SECONDS) -> None:
        """Keep as files what the database does not take."""
        seconds = patient_seconds if self._database.is_answering else 0.0
        for event in self._recorder.overdue(seconds):
            await self.tell(event)
            self._recorder.forget(event)

    async def tend(self) -> None:
        """Sort and fold what is new, and give the database what it has missed; raises PostgresError."""
        group, now = self._group(), self._clock.now()
        if group is not None:
            await self._spool.fold(group.fold_seconds, now)
        if not self._database.is_prepared or group is None:
            return
        try:
            async with asyncio.timeout(_HANGS_AFTER_SECONDS):
                await self._tend_database(group)
        except TimeoutError as error:
            self._database.note_silence()
            raise DatabaseUnreachable("the control database hangs") from error

    async def count(self) -> None:
        """Count what waits and what is dead; raises PostgresError."""
        if self._database.is_prepared:
            group = self._group()
            self.health.take_tallies(await self._outbox.tallies(sorted(group.channels) if group else ()))

    async def _tend_database(self, group: NotificationsGroup) -> None:
        now, names = self._clock.now(), tuple(sorted(group.channels))
        if names != self._kept or now - self._kept_at > KEPT_AGAIN:
            await self._outbox.keep_only(names, now)
            self.health.keep_only(names)
            self._spool.incidents = {**await self._outbox.incidents(), **self._spool.changed}
            self._kept, self._kept_at = names, now
        await self._write_late()
        await self._import(names)
        if self._spool.count:
            return  # what files say of an event counts before it is sorted
        has_new, has_held = await self._outbox.has_work(now)
        if has_held:
            await self._outbox.fold(group.fold_seconds, now)
        if has_new:
            await self._outbox.sort(lambda: self._wishes(self._group() or group), group.fold_seconds, now)
            self._spool.incidents = await self._outbox.incidents()
        if has_new or has_held:
            self._wake()

    async def _import(self, channels: tuple[str, ...]) -> None:
        """Give the database what files hold, so many at once as it takes easily."""
        if not self._spool.count:
            return
        async with self._lock:
            for name, spooled in self._spool.items()[:IMPORTED_AT_ONCE]:
                if spooled.deliveries is None:
                    await self._events.add(spooled.event)
                else:
                    kept = tuple(one for one in spooled.deliveries if one.channel in channels)
                    await self._outbox.take(spooled.event, kept)
                await self._spool.remove(name)
            await self._outbox.take_incidents(self._spool.changed)
            self._spool.changed.clear()

    async def _send_all(self) -> None:
        """Keep one sender for each channel that is on, until cancelled."""
        async with asyncio.TaskGroup() as group:
            senders: dict[str, asyncio.Task[None]] = {}
            while True:
                enabled = set(self._enabled())
                for name in senders.keys() - enabled:
                    senders.pop(name).cancel()
                    self._wakes.pop(name, None)
                for name in enabled - senders.keys():
                    wake, serve = self._wakes.setdefault(name, asyncio.Event()), functools.partial(self._serve, name)
                    senders[name] = group.create_task(run_every(LOOK_SECONDS, serve, name=f"channel {name}", wake=wake))
                await asyncio.sleep(LOOK_SECONDS)

    async def _serve(self, name: str) -> None:
        """Send what a channel has to send now; an attempt that nobody answers ends the round."""
        for parcel in await self._due(name):
            group = self._group()
            channel = None if group is None else group.channels.get(name)
            if group is None or channel is None or not channel.enabled:
                return
            outcome = await self._courier.send(channel, parcel)
            now = self._clock.now()
            after = after_attempt(
                parcel.delivery, outcome, now, give_up_hours=group.give_up_hours, chance=random.random()
            )
            await self._write(parcel, after)
            was_failing = self.health.of(name).failures_in_a_row > 0
            self._note(name, outcome)
            if outcome.problem is not None and not outcome.delivered and not outcome.refused and not outcome.is_final:
                return
            if was_failing:
                await self._hasten(name)

    async def _due(self, name: str) -> tuple[Parcel, ...]:
        now = self._clock.now()
        found = self._spool.due(name, now, BATCH)
        if found or self.is_database_away:
            return found
        try:
            async with asyncio.timeout(_HANGS_AFTER_SECONDS):
                await self._write_late()
                found = await self._outbox.due(name, now, BATCH)
        except TimeoutError as error:
            self._database.note_silence()
            raise DatabaseUnreachable("the control database hangs") from error
        return found

    async def _write(self, parcel: Parcel, delivery: Delivery) -> None:
        """Note how a delivery stands, wherever its event is kept now."""
        async with self._lock:
            if self._spool.has(parcel.id):
                await self._spool.write(parcel, delivery)
                return
        self._unwritten[parcel.id] = (parcel, delivery)
        try:
            async with asyncio.timeout(_HANGS_AFTER_SECONDS):
                await self._write_late()
        except TimeoutError:
            self._database.note_silence()
        except WarmstandbyError as error:
            log.info("delivery not noted yet", extra=fields_of(error))

    async def _write_late(self) -> None:
        """Note what could not be noted; what was sent is not sent again for it while this process lives."""
        for key, (parcel, delivery) in tuple(self._unwritten.items()):
            await self._outbox.write(parcel, delivery)
            self._unwritten.pop(key, None)

    async def _hasten(self, name: str) -> None:
        if not self.is_database_away:
            await self._outbox.hasten(name, self._clock.now())

    def _note(self, name: str, outcome: Outcome) -> None:
        event = self.health.note(name, outcome, self._clock.now())
        if outcome.problem is not None or outcome.refused:
            log.warning("notification not sent", extra={"channel": name, "detail": outcome.problem or "refused"})
        if event is not None:
            self._recorder.add_event(event)

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    def _enabled(self) -> tuple[str, ...]:
        group = self._group()
        return () if group is None else tuple(sorted(name for name, one in group.channels.items() if one.enabled))

    def _wishes(self, group: NotificationsGroup) -> tuple[Wishes, ...]:
        exclude = () if group.digest else (EventKind.DIGEST.value,)
        return tuple(
            Wishes(name, one.min_severity, one.include, (*one.exclude, *exclude))
            for name, one in group.channels.items()
            if one.enabled
        )
