"""Keeps what verifications found: recorded, told, and at hand for the gate and for advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.standby_controller.policy.gate_facts import Verification
from services.standby_controller.recorder import Recorder
from services.standby_controller.store.records import SyncRecord
from services.standby_controller.store.verifications import Standing, Verifications
from services.standby_controller.verify.model import Comparison, Order
from services.standby_controller.verify.telling import events_of_comparison
from shared.clock import Clock


class VerificationBook:
    """What is known of each component's copy."""

    def __init__(
        self, verifications: Verifications, recorder: Recorder, components: Sequence[str], clock: Clock
    ) -> None:
        """Know nothing before `recall`."""
        self._verifications = verifications
        self._recorder = recorder
        self._components = tuple(components)
        self._clock = clock
        self._standings: Mapping[str, Standing] = {}

    def standing(self, component: str) -> Standing | None:
        """Return what is known of a component's copy; None before it was read."""
        return self._standings.get(component)

    def verdict(self, component: str) -> Verification:
        """Say how a component's copy was verified; differences stand until a comparison finds none there."""
        standing = self._standings.get(component, Standing())
        if standing.open_count:
            return Verification.FAILED
        return Verification.NEVER if standing.compared_at is None else Verification.PASSED

    async def recall(self) -> None:
        """Read what is known; raises PostgresError."""
        self._standings = await self._verifications.standings(self._components)

    async def begin(self, sync: SyncRecord, order: Order) -> None:
        """Record that a sync is to compare; again changes nothing. Raises PostgresError."""
        await self._verifications.begin(sync, order)

    async def note(self, sync: SyncRecord, found: Comparison) -> None:
        """Record what a component came to and tell it; raises PostgresError, and may be repeated then."""
        now = self._clock.now()
        if self._standings.get(found.component) is None:
            await self.recall()
        before = self._standings.get(found.component, Standing())
        await self._verifications.add(sync, found, now)
        await self.recall()
        after = self._standings.get(found.component, Standing())
        had_open = bool(before.open_count) and not after.open_count
        for event in events_of_comparison(found, sync.id, now, had_open=had_open):
            self._recorder.add_event(event)
