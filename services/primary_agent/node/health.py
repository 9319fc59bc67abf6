"""The agent's own look at its PostgreSQL server, in the background, so that no route has to ask.

A look that fails keeps the last facts, names the problem and is told once; the next look starts afresh.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from shared.clock import Clock
from shared.errors import (
    DatabaseMissing,
    DatabaseUnreachable,
    RightsMissing,
    VersionUnsupported,
    WalLevelInsufficient,
    WarmstandbyError,
)
from shared.lifecycle import run_every
from shared.node.model import DatabaseHealth, Problem
from shared.node.observation import Databases
from shared.postgres.queries import load_queries
from shared.postgres.sessions import connect, open_session, translated
from shared.settings import Settings

log = logging.getLogger(__name__)

OLDEST_VERSION: Final = 150_000
UNKNOWN_AFTER_LOOKS: Final = 3

_SQL: Final = load_queries("services.primary_agent.node", "health.sql")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a look saw."""

    version_number: int
    version: str
    wal_level: str
    system_identifier: str
    postmaster_started_at: datetime


class DatabaseWatch:
    """Looks at the server every `heartbeat_seconds`; `health` and `facts` only tell what was seen."""

    def __init__(self, settings: Settings, clock: Clock, looked: asyncio.Event) -> None:
        self._settings = settings
        self._clock = clock
        self._looked = looked
        self._dsn = settings.postgres.dsn.get_secret_value()
        self._timeout_seconds = settings.postgres.connect_timeout_seconds
        self._session: asyncpg.Connection[asyncpg.Record] | None = None
        self._looked_at = clock.monotonic()
        self._problem: WarmstandbyError | None = DatabaseUnreachable("the server was not asked yet")
        self.facts: ServerFacts | None = None

    async def run(self) -> None:
        """Look for ever."""
        try:
            await run_every(self._settings.agent.heartbeat_seconds, self.look, name="database watch", clock=self._clock)
        finally:
            self._drop_session()

    async def look(self) -> None:
        """Look once; raise what is wrong with the server."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._look()
        except TimeoutError as error:
            self._problem = DatabaseUnreachable(f"the server gave no answer within {self._timeout_seconds:g} s")
            raise self._problem from error
        except WarmstandbyError as error:
            self._problem = error
            raise
        else:
            self._problem = None
        finally:
            if self._problem is not None:
                self._drop_session()
            self._looked_at = self._clock.monotonic()
            self._looked.set()

    @property
    def postmaster_started_at(self) -> datetime | None:
        """Return when the server was started, None unless the last look saw it."""
        return self.facts.postmaster_started_at if self.facts is not None and self.problem is None else None

    @property
    def problem(self) -> WarmstandbyError | None:
        """Return what is wrong; facts of long ago are no facts."""
        age = self._clock.monotonic() - self._looked_at
        if self._problem is None and age > UNKNOWN_AFTER_LOOKS * self._settings.agent.heartbeat_seconds:
            return DatabaseUnreachable(f"the last look at the server is {age:.0f} s old")
        return self._problem

    def health(self) -> DatabaseHealth:
        """Return what was seen, with its age."""
        problem = self.problem
        return DatabaseHealth(
            is_healthy=problem is None,
            checked_age_seconds=self._clock.monotonic() - self._looked_at,
            server_version=self.facts.version if self.facts else None,
            system_identifier=self.facts.system_identifier if self.facts else None,
            postmaster_started_at=self.facts.postmaster_started_at if self.facts else None,
            problem=Problem(code=problem.code, text=problem.detail, hint=problem.hint) if problem else None,
        )

    async def survey(self) -> Databases:
        """Say whether the components' databases hold tables; UNKNOWN where that cannot be seen."""
        try:
            async with asyncio.timeout(self._timeout_seconds * len(self._settings.components)):
                for component in self._settings.components:
                    if await self._holds_tables(component.database):
                        return Databases.IN_USE
        except (TimeoutError, WarmstandbyError):
            return Databases.UNKNOWN
        return Databases.EMPTY

    async def _holds_tables(self, database: str) -> bool:
        try:
            async with open_session(
                self._dsn, database=database, connect_timeout_seconds=self._timeout_seconds
            ) as session:
                with translated(f"looking into {database}"):
                    return bool(await session.fetchval(_SQL["holds_tables"]))
        except DatabaseMissing:
            return False

    async def _look(self) -> None:
        is_new = self._session is None or self._session.is_closed()
        if self._session is None or is_new:
            self._session = await connect(self._dsn, connect_timeout_seconds=self._timeout_seconds)
        with translated("looking at the server"):
            row = await self._session.fetchrow(_SQL["look_at_server"])
            assert row is not None
            self.facts = ServerFacts(**dict(row))
            _check_server(self.facts)
            await self._session.execute(_SQL["try_write"])
            if is_new:
                await self._check_rights(self._session)

    async def _check_rights(self, session: asyncpg.Connection[asyncpg.Record]) -> None:
        """Try what the role must be able to do, once for each connection."""
        role = await session.fetchval(_SQL["current_role"])
        if not await session.fetchval(_SQL["may_create"]):
            raise RightsMissing(f"the role {role} may not create schemas in the database of [postgres] dsn")
        try:
            await session.execute(_SQL["try_replication"])
        except asyncpg.InsufficientPrivilegeError as error:
            raise RightsMissing(
                f"the role {role} may not use replication slots",
                hint=f"Run `ALTER ROLE {role} REPLICATION;` as a superuser.",
            ) from error

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.terminate()
            self._session = None


def _check_server(facts: ServerFacts) -> None:
    if facts.version_number < OLDEST_VERSION:
        raise VersionUnsupported(f"the server is PostgreSQL {facts.version}")
    if facts.wal_level != "logical":
        raise WalLevelInsufficient(f"the server has wal_level = {facts.wal_level}")
