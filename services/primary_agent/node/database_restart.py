"""Has a PostgreSQL server that does not answer restarted by the hook restart_database, on the active node alone.

A takeover by the other node is decided elsewhere; this only spares it where a restart helps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from services.primary_agent.node.hooks import HookResult, Hooks
from shared.clock import Clock
from shared.errors import DatabaseUnreachable, WarmstandbyError
from shared.lifecycle import run_every
from shared.postgres.sessions import open_session
from shared.settings import Settings
from shared.surroundings import HookName

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
SURE_AFTER_SECONDS: Final = 2.0
"""A server that is restarted by somebody else is given this time to come back."""
START_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
WELL_AFTER_SECONDS: Final = 60.0
"""A server that falls down sooner again is not restarted again."""


class DatabaseRestart:
    """Looks every second; one outage has one series of tries."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        hooks: Hooks,
        *,
        is_active: Callable[[], bool],
        problem: Callable[[], WarmstandbyError | None],
    ) -> None:
        self._dsn = settings.postgres.dsn.get_secret_value()
        self._clock = clock
        self._hooks = hooks
        self._is_active = is_active
        self._problem = problem
        self._down_since: float | None = None
        self._well_since: float | None = None
        self._was_tried = False

    async def run(self) -> None:
        """Look for ever."""
        await run_every(LOOK_SECONDS, self.look, name="database restart", clock=self._clock)

    async def look(self) -> None:
        """Look once, and run the hook where it is due."""
        if not self._hooks.has(HookName.RESTART_DATABASE) or not self._is_due():
            return
        if await self._answers(0.0):
            return
        self._was_tried = True
        told = {"reason": DatabaseUnreachable.code, "state_before": "active", "state_after": "active"}
        await self._hooks.run_until(HookName.RESTART_DATABASE, told, self._has_come_back)
        if not await self._answers(0.0):
            log.error("database not restarted", extra={"hook": HookName.RESTART_DATABASE.value})

    def _is_due(self) -> bool:
        """Say whether the server has been away for long enough, and not tried in vain before."""
        now = self._clock.monotonic()
        if not self._is_active() or not isinstance(self._problem(), DatabaseUnreachable):
            self._down_since = None
            self._well_since = self._well_since or now
            if now - self._well_since >= WELL_AFTER_SECONDS:
                self._was_tried = False
            return False
        self._well_since = None
        self._down_since = self._down_since or now
        return not self._was_tried and now - self._down_since >= SURE_AFTER_SECONDS

    async def _has_come_back(self, _: HookResult) -> bool:
        return not self._is_active() or await self._answers(START_SECONDS)

    async def _answers(self, patience_seconds: float) -> bool:
        """Ask the server by a session of our own: what was seen before may be old."""
        deadline = self._clock.monotonic() + patience_seconds
        while True:
            try:
                async with open_session(self._dsn, connect_timeout_seconds=CONNECT_SECONDS):
                    return True
            except WarmstandbyError:
                left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(0.5, left))
