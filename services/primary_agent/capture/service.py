"""The capture of all components: one loop each, whatever the node does; what it does decides what there is to do."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from services.primary_agent.capture.base import BASE_SECONDS, BaseKind, BaseResult, begin_term
from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.damage import make_node_schema, spare_disk
from services.primary_agent.capture.off_duty import look_after
from shared.clock import Clock
from shared.errors import DatabaseMissing, NodeDatabaseMissing, NotFound, WarmstandbyError
from shared.node.model import ComponentStatus, State
from shared.settings import Settings

_REST_FACTOR: Final = 4
"""While a transaction stays open every round reads the log again from its start; a rest of so many times a round's
length keeps capture to a fifth of a processor."""
_LONGEST_REST_SECONDS: Final = 60.0
_STATE_SECONDS: Final = 0.25
"""How soon capture sees that the node does something else."""


class NodeState(Protocol):
    """What capture needs to know of its node."""

    @property
    def state(self) -> State:
        """What this node does now."""


class CaptureService:
    """Collects the changes of every component while the node is active, and keeps or makes ahead what that needs."""

    def __init__(self, settings: Settings, clock: Clock, node: NodeState) -> None:
        """Put the components together; connects in `run`."""
        self._settings = settings
        self._clock = clock
        self._node = node
        self._is_migrated = False
        self.components = {
            component.name: ComponentCapture.build(settings, component, clock) for component in settings.components
        }
        for capture in self.components.values():
            capture.is_on_duty = self._is_on_duty
            capture.forget_schema = self._forget_schema

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
            try:
                await make_node_schema(self._settings.postgres.dsn.get_secret_value())
            except DatabaseMissing as error:
                raise NodeDatabaseMissing(error.detail) from error
            self._is_migrated = True

    def _forget_schema(self) -> None:
        self._is_migrated = False

    async def begin_term(
        self, epoch: int, *, sequence_headroom: int = 0, limit_seconds: float = BASE_SECONDS
    ) -> tuple[BaseResult, ...]:
        """Record where each copy stands at a promotion; never raises, and takes no longer than the limit in all.

        Unplanned, sequences move on by a headroom: what the other node gave out last is not known.

        To be called after the point of no return, with apply stopped, before the databases open; never once they did:
        what the application wrote by then would be missing. Idempotent for an epoch.
        """
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(limit_seconds):
                await self.prepare()
        except (WarmstandbyError, TimeoutError) as error:
            reason = error.detail if isinstance(error, WarmstandbyError) else "the node's own database does not answer"
            return tuple(BaseResult(name, BaseKind.LOST, reason) for name in self.components)
        rest = limit_seconds - (self._clock.monotonic() - begun)
        bases = (
            begin_term(one, epoch, self._clock, sequence_headroom=sequence_headroom, limit_seconds=rest)
            for one in self.components.values()
        )
        return tuple(await asyncio.gather(*bases))

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
                await self.tick(capture)
                rest = _REST_FACTOR * (self._clock.monotonic() - begun) if capture.is_pinned else 0.0
                await self._sleep(max(pause, min(rest, _LONGEST_REST_SECONDS)))
        finally:
            await capture.drainer.close()

    async def _sleep(self, seconds: float) -> None:
        """Wait for the next round; it comes at once when the node begins to do something else."""
        state, until = self._node.state, self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0 and self._node.state is state:  # noqa: ASYNC110
            await asyncio.sleep(min(left, _STATE_SECONDS))

    async def tick(self, capture: ComponentCapture) -> None:
        """Do one round of a component, whatever its node does now."""
        state = self._node.state
        if state in (State.UNINITIALISED, State.WAITING, State.PROMOTING):
            capture.rest()
            return
        try:
            await self.prepare()
        except WarmstandbyError as error:
            capture.report(error)
            await spare_disk(capture)
            return
        if state is State.ACTIVE:
            await capture.tick()
            if capture.facts.problem is not None:
                await spare_disk(capture)
        elif state is State.DEMOTING:
            await capture.tick(may_trim=False)
        else:
            await look_after(capture, self._is_off_duty, is_standby=state is State.STANDBY)

    def _is_on_duty(self) -> bool:
        return self._node.state in (State.ACTIVE, State.DEMOTING)

    def _is_off_duty(self) -> bool:
        return self._node.state in (State.STANDBY, State.FENCED)
