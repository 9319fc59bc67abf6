"""Keeps a second copy of the record in the node's own database, and tells when the file is older than it.

Nothing waits for the copy: a database that is away gets it later. A file that a backup brought back would let a node
serve in a term that is over.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from services.primary_agent.node.node import Node
from shared.errors import DatabaseMissing
from shared.lifecycle import run_every
from shared.node.model import State
from shared.node.reasons import Reason
from shared.node.record import Record
from shared.postgres.queries import load_queries
from shared.postgres.sessions import open_session, translated
from shared.settings import Settings

_SQL: Final = load_queries("services.primary_agent.node", "record_copy.sql")
_PAUSE_SECONDS: Final = 5.0


class RecordCopy:
    """The copy; `run` brings it up to the record for ever."""

    def __init__(self, settings: Settings, node: Node) -> None:
        self._dsn = settings.postgres.dsn.get_secret_value()
        self._timeout_seconds = settings.postgres.connect_timeout_seconds
        self._node = node
        self._changed = node.watch()
        self._copied: int | None = None
        self._is_checked = asyncio.Event()

    async def check(self) -> None:
        """Fence the node if its record is older than the copy; once, as soon as the database answers.

        Raises PostgresError, RecordUnwritable.
        """
        if self._is_checked.is_set():
            return
        record = self._node.record
        try:
            serial = await self._read(record)
        except DatabaseMissing:
            serial = None
        if serial is not None and serial > record.serial and record.state is not State.UNINITIALISED:
            await self._node.close_rolled_back(partial(_roll_back, serial=serial))
        self._is_checked.set()

    async def _read(self, record: Record) -> int | None:
        async with open_session(self._dsn, connect_timeout_seconds=self._timeout_seconds) as session:
            with translated("reading the copy of the record"):
                if not await session.fetchval(_SQL["find_copy"]):
                    return None
                serial: int | None = await session.fetchval(_SQL["read_copy"], record.pair_id, record.node_id)
                return serial

    async def run(self) -> None:
        """Copy each change of the record soon after it."""
        await self._is_checked.wait()
        await run_every(_PAUSE_SECONDS, self._copy, name="copy of the record", wake=self._changed)

    async def _copy(self) -> None:
        record = self._node.record
        if self._copied == record.serial:
            return
        async with open_session(self._dsn, connect_timeout_seconds=self._timeout_seconds) as session:
            with translated("copying the record"):
                if await session.fetchval(_SQL["find_copy"]):
                    await session.execute(
                        _SQL["write_copy"], record.pair_id, record.node_id, record.serial, record.model_dump_json()
                    )
                    self._copied = record.serial


def _roll_back(record: Record, serial: int) -> Record:
    """Close the node; its serial goes past that of the copy."""
    update = {"state": State.FENCED, "reason": Reason.STATE_ROLLED_BACK, "attempt": None, "demotion": None}
    return record.model_copy(update={**update, "serial": serial})
