"""Judges the node's state anew whenever its peers or its databases were looked at."""

from __future__ import annotations

import asyncio
from typing import Final

from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.node import Node
from services.primary_agent.node.peer_watch import PeerWatch
from services.primary_agent.node.record_copy import RecordCopy
from shared.clock import Clock
from shared.lifecycle import run_every
from shared.node.observation import Databases
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
        copy: RecordCopy,
        looked: asyncio.Event,
    ) -> None:
        self._node = node
        self._copy = copy
        self._peers = peers
        self._databases = databases
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
        await self._node.judge(
            self._peers.seen,
            databases=await self._survey(),
            postmaster_started_at=self._databases.postmaster_started_at,
        )

    async def _survey(self) -> Databases:
        """Look into the databases where that decides, at the pace of the other looks."""
        knows_pair = any(seen.term for seen in self._peers.seen.values())
        if not (self._node.needs_databases_judged and knows_pair) or self._clock.monotonic() < self._survey_again_at:
            return Databases.UNKNOWN
        surveyed = await self._databases.survey()
        self._survey_again_at = self._clock.monotonic() + self._pause_seconds
        return surveyed
