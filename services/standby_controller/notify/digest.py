"""Tells once a day how the pair does, across restarts: the day is in the key of the event."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.pair_channels import NotificationsGroup
from services.standby_controller.policy.advice import advise, summarise
from services.standby_controller.policy.digest import digest_key, digest_lines, tells_digest
from services.standby_controller.severity import Severity
from services.standby_controller.situation import Lookout
from services.standby_controller.store.database import Database
from services.standby_controller.store.digest import DigestFacts
from services.standby_controller.store.events import EventKind, Events, NewEvent
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every

LOOK_SECONDS: Final = 10.0


class Digest:
    """The daily digest."""

    def __init__(
        self,
        group: Callable[[], NotificationsGroup | None],
        lookout: Lookout,
        gatekeeper: Gatekeeper,
        *,
        facts: DigestFacts,
        events: Events,
        database: Database,
        clock: Clock,
    ) -> None:
        self._group = group
        self._lookout = lookout
        self._gatekeeper = gatekeeper
        self._facts = facts
        self._events = events
        self._database = database
        self._clock = clock
        self._told: str | None = None

    def sibling(self) -> Sibling:
        """Return the loop."""
        return Sibling("digest", functools.partial(run_every, LOOK_SECONDS, self.look, name="digest"))

    async def look(self) -> None:
        """Tell the digest if it is due; raises PostgresError."""
        group, now, situation = self._group(), self._clock.now(), self._lookout.look()
        if group is None or not group.digest or not any(one.enabled for one in group.channels.values()):
            return
        key = digest_key(now, group.digest_at, ZoneInfo(group.zone))
        if key is None or key == self._told or not self._database.is_prepared or not tells_digest(situation):
            return
        if not await self._facts.is_told(key):
            judgement = self._gatekeeper.judge()
            syncs = await self._facts.count_syncs(now - timedelta(days=1))
            text = (
                f"{'Protected' if judgement.is_protected else 'NOT protected'}. "
                f"Syncs of the last day: {syncs.succeeded} succeeded, {syncs.failed} failed. {summarise(situation)}"
            )
            data = digest_lines(
                is_protected=judgement.is_protected,
                reasons=[reason.text for reason in judgement.reasons],
                summary=summarise(situation),
                data_ages=[(one.name, one.data_age_seconds) for one in situation.components],
                advisories=advise(situation),
            )
            data["syncs"] = {name: round(value, 1) for name, value in asdict(syncs).items() if value is not None}
            await self._events.add(NewEvent(now, EventKind.DIGEST, Severity.INFO, None, text, data, key=key))
        self._told = key
