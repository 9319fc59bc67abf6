"""Judges the node's state anew whenever its peers or its databases were looked at."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.node import Node
from services.primary_agent.node.peer_watch import PeerWatch
from services.primary_agent.node.ports import DatabaseFence
from services.primary_agent.node.record_copy import RecordCopy
from shared.clock import Clock
from shared.errors import WarmstandbyError
from shared.lifecycle import run_every
from shared.node.observation import Databases, Start
from shared.settings import Settings

PAUSE_SECONDS: Final = 1.0


class Judgement:
    """Brings together what was seen; `run` goes on for ever."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        node: Node,
        peers: PeerWatch,
        databases: DatabaseWatch,
        fence: DatabaseFence,
        copy: RecordCopy,
        looked: asyncio.Event,
    ) -> None:
        self._node = node
        self._copy = copy
        self._peers = peers
        self._databases = databases
        self._fence = fence
        self._clock = clock
        self._looked = looked
        self._pause_seconds = settings.agent.heartbeat_seconds
        self._survey_again_at = 0.0

    async def run(self) -> None:
        """Judge after each look, and every second for what depends on time."""
        await run_every(PAUSE_SECONDS, self.judge, name="judgement", clock=self._clock, wake=self._looked)

    async def judge(self) -> None:
        """Judge once; raise RecordUnwritable, and PostgresError while the copy of the record cannot be read."""
        if self._databases.postmaster_started_at is not None:
            await self._copy.check()
        started_at, is_closed = await self._look_at_start()
        await self._node.judge(
            self._peers.seen, databases=await self._survey(), postmaster_started_at=started_at, is_closed=is_closed
        )

    async def _look_at_start(self) -> tuple[datetime | None, bool]:
        """Return since when the server runs, and whether the databases are closed where the start depends on that."""
        started_at = self._databases.postmaster_started_at
        if self._node.start is not Start.UNKNOWN:
            return started_at, False
        try:
            return started_at, await self._fence.is_closed()
        except WarmstandbyError:
            return None, False

    async def _survey(self) -> Databases:
        """Look into the databases where that decides, at the pace of the other looks."""
        knows_pair = any(seen.term for seen in self._peers.seen.values())
        if not (self._node.needs_databases_judged and knows_pair) or self._clock.monotonic() < self._survey_again_at:
            return Databases.UNKNOWN
        surveyed = await self._databases.survey()
        self._survey_again_at = self._clock.monotonic() + self._pause_seconds
        return surveyed
