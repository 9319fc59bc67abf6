"""What the peers' controllers last said they know; asked at the pace of the heartbeats, in every state."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from services.standby_controller.doors import ControllerSource
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every
from shared.node.controller_model import ControllerView


@dataclass(frozen=True, slots=True)
class HeardView:
    """What a controller said, and when that arrived (monotonic)."""

    view: ControllerView
    heard_at_seconds: float


class PeerViews:
    """The last word of each peer's controller."""

    def __init__(
        self,
        controllers: Mapping[str, ControllerSource],
        *,
        interval_seconds: float,
        limit_seconds: float,
        clock: Clock,
    ) -> None:
        self._controllers = controllers
        self._interval_seconds = interval_seconds
        self._limit_seconds = limit_seconds
        self._clock = clock
        self._heard: dict[str, HeardView] = {}

    def siblings(self) -> list[Sibling]:
        """Return the loops, one for each peer."""
        loops = []
        for node_id in self._controllers:
            name, ask = f"view of {node_id}", functools.partial(self.ask, node_id)
            run = functools.partial(run_every, self._interval_seconds, ask, name=name, clock=self._clock)
            loops.append(Sibling(name, run))
        return loops

    async def ask(self, node_id: str) -> None:
        """Ask one controller once; raises PeerError and RoleError."""
        view = await self._controllers[node_id].view()
        self._heard[node_id] = HeardView(view, self._clock.monotonic())

    def present(self, node_id: str) -> ControllerView | None:
        """Return what a controller said, unless that is too old to count."""
        heard = self._heard.get(node_id)
        if heard is None or self._clock.monotonic() - heard.heard_at_seconds > self._limit_seconds:
            return None
        return heard.view

    def last(self, node_id: str) -> HeardView | None:
        """Return what a controller said last, however long ago."""
        return self._heard.get(node_id)

    def automatic_failover_age_seconds(self) -> float | None:
        """Return how long ago a peer took over by itself, as the peers said however long ago; None where none did."""
        now = self._clock.monotonic()
        ages = [
            heard.view.automatic_failover_age_seconds + now - heard.heard_at_seconds
            for heard in self._heard.values()
            if heard.view.automatic_failover_age_seconds is not None
        ]
        return min(ages, default=None)
