"""The capture of all components: one loop each while the node is active."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from services.primary_agent.capture.component import ComponentCapture
from shared.clock import Clock
from shared.errors import NotFound, WarmstandbyError
from shared.node.model import ComponentStatus
from shared.postgres.migrations import migrate
from shared.settings import Settings

_REST_FACTOR: Final = 4
"""While a transaction stays open every round reads the log again from its start; a rest of so many times a round's
length keeps capture to a fifth of a processor."""
_LONGEST_REST_SECONDS: Final = 60.0
_INACTIVE_SECONDS: Final = 1.0
"""How soon capture begins on a node that becomes active."""


class NodeState(Protocol):
    """What capture needs to know of its node."""

    @property
    def is_active(self) -> bool:
        """Say whether this node serves the application."""


class CaptureService:
    """Collects the changes of every component while the node is active."""

    def __init__(self, settings: Settings, clock: Clock, node: NodeState) -> None:
        """Put the components together; connects in `run`."""
        self._settings = settings
        self._clock = clock
        self._node = node
        self._is_migrated = False
        self.components = {
            component.name: ComponentCapture.build(settings, component, clock) for component in settings.components
        }

    def status(self, component: str) -> ComponentStatus:
        """Return what is known of a component without asking a database."""
        return self.component(component).status()

    def component(self, name: str) -> ComponentCapture:
        """Return a component's capture; raise NotFound."""
        found = self.components.get(name)
        if found is None:
            raise NotFound(
                f"there is no component {name!r} on this node", hint="Its name must be in [[components]] of both nodes."
            )
        return found

    async def prepare(self) -> None:
        """Bring the node's own database to the newest schema; idempotent."""
        if not self._is_migrated:
            await migrate(
                self._settings.postgres.dsn.get_secret_value(),
                package="services.primary_agent.capture.migrations",
                schema="agent",
            )
            self._is_migrated = True

    async def run(self) -> None:
        """Run every component's loop; never returns."""
        async with asyncio.TaskGroup() as group:
            for capture in self.components.values():
                group.create_task(self._run(capture), name=f"capture {capture.component.name}")

    async def _run(self, capture: ComponentCapture) -> None:
        pause = self._settings.capture.interval_seconds
        try:
            while True:
                begun = self._clock.monotonic()
                await self._tick(capture)
                rest = _REST_FACTOR * (self._clock.monotonic() - begun) if capture.is_pinned else 0.0
                usual = pause if self._node.is_active else min(pause, _INACTIVE_SECONDS)
                await asyncio.sleep(max(usual, min(rest, _LONGEST_REST_SECONDS)))
        finally:
            await capture.drainer.close()

    async def _tick(self, capture: ComponentCapture) -> None:
        try:
            await self.prepare()
        except WarmstandbyError as error:
            capture.report(error)
            return
        if self._node.is_active:
            await capture.tick()
        else:
            capture.rest()
