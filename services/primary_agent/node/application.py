"""The agent's own look whether the application works, in the background and only while the node serves.

A look that fails counts; so many in a row mean that the application is down. What follows is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import httpx

from services.primary_agent.node.programs import run_program
from shared.clock import Clock
from shared.configuration import secrets_of
from shared.http.tls import client_context
from shared.lifecycle import run_every
from shared.log import Redactor
from shared.node.failures import describe
from shared.node.model import ApplicationHealth
from shared.settings import Settings

log = logging.getLogger(__name__)

Look = Callable[[], Awaitable[str | None]]


class ApplicationWatch:
    """Looks every `interval_seconds` while the node is active; `health` only tells what was seen."""

    def __init__(self, settings: Settings, clock: Clock, is_active: Callable[[], bool]) -> None:
        self._settings = settings.application
        self._clock = clock
        self._is_active = is_active
        self._look = _look_of(settings)
        self._active_since: float | None = None
        self._looked_at: float | None = None
        self._was_healthy = False
        self._failures = 0
        self._detail = ""

    async def run(self) -> None:
        """Look for ever."""
        await run_every(self._settings.interval_seconds, self.look, name="application watch", clock=self._clock)

    async def look(self) -> None:
        """Look once, where there is something to look at."""
        if self._look is None or not self._is_active():
            self._forget()
            return
        if self._active_since is None:
            self._active_since = self._clock.monotonic()
        problem = await self._look()
        if self._is_active():
            self._note(problem)

    def health(self) -> ApplicationHealth | None:
        """Return what was seen, with its age; None where nothing is known."""
        if self._looked_at is None or not self._is_active():
            return None
        return ApplicationHealth(
            is_healthy=self._is_healthy,
            checked_age_seconds=self._clock.monotonic() - self._looked_at,
            failures=self._failures,
            detail=self._detail,
        )

    @property
    def _is_healthy(self) -> bool:
        return self._failures < self._settings.failures

    def _note(self, problem: str | None) -> None:
        before = self._is_healthy
        self._looked_at = self._clock.monotonic()
        self._detail = problem or ""
        if problem is None:
            self._failures, self._was_healthy = 0, True
        elif not self._is_starting:
            self._failures += 1
        if before and not self._is_healthy:
            log.warning("application down", extra={"detail": self._detail, "failures": self._failures})
        elif self._is_healthy and not before:
            log.info("application works again")

    @property
    def _is_starting(self) -> bool:
        """Say whether the application may still be on its way; once seen well, it is not."""
        assert self._active_since is not None
        return not self._was_healthy and self._clock.monotonic() - self._active_since < self._settings.start_seconds

    def _forget(self) -> None:
        self._active_since = self._looked_at = None
        self._failures, self._was_healthy, self._detail = 0, False, ""


def _look_of(settings: Settings) -> Look | None:
    """Return the configured way to look: it gives what is wrong, None where all is well."""
    url, command = settings.application.health_url, settings.application.health_command
    if url is not None:
        return lambda: _ask_page(url, settings)
    return None if command is None else lambda: _ask_program(command, settings)


async def _ask_page(url: str, settings: Settings) -> str | None:
    """Ask for the head of the answer alone; a redirection is an answer."""
    seconds = settings.application.timeout_seconds
    verify = client_context(settings.tls.ca_file) if url.startswith("https://") else False
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=verify, trust_env=False, timeout=seconds) as http,
            http.stream("GET", url) as answer,
        ):
            status = answer.status_code
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return describe(error)
    return None if 200 <= status < 400 else f"HTTP status {status}"


async def _ask_program(command: Sequence[str], settings: Settings) -> str | None:
    node = settings.node
    result = await run_program(
        command,
        {"WARMSTANDBY_PAIR": node.pair_id, "WARMSTANDBY_NODE": node.id},
        limit_seconds=settings.application.timeout_seconds,
        redact=Redactor(secrets_of(settings)),
    )
    return None if result.is_success else result.sentence
