"""One drain: changed keys from the slot into the spool, stored before the slot moves. May repeat, never loses.

The order is peek, store, commit, advance; `get` would forget before we stored. All peeks of a component go through
one lock. An idle drain writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from services.primary_agent.capture.layout import KeyedLayout, Layout, fits, parse_relation, parse_truncate
from services.primary_agent.capture.lsn import bound_chunk, distance
from services.primary_agent.capture.source import PUBLICATION, Source
from services.primary_agent.capture.spool import Capture, Spool, damage_noticed
from shared.errors import CaptureNotReady, ReplicationError
from shared.postgres.copy import copy_in, pipe_copy
from shared.postgres.queries import load_queries, quote_literal
from shared.postgres.sessions import Session, translated

_SOURCE: Final = load_queries("services.primary_agent.capture", "source.sql")
_SPOOL: Final = load_queries("services.primary_agent.capture", "spool.sql")
_STAGE: Final = "drain_stage"
_ATTEMPTS: Final = 10
_ATTEMPT_SECONDS: Final = 0.3
_EMPTY_COPY_BYTES: Final = 21
"""Head and end of a binary COPY without a row."""
_IDLE_BYTES: Final = 2**20
"""Log of others is read again up to this much rather than recorded as read."""
_KEPT_BYTES: Final = 4 * 2**20
"""From this much kept log on, the server is asked to let the slot's start move up."""


class CaptureLost(ReplicationError):
    """The history of changes is broken; capture starts anew and the standbys are seeded."""

    code = "capture_lost"


@dataclass(slots=True)
class DrainFacts:
    """What the last drains saw."""

    drained_lsn: str | None = None
    kept_bytes: int | None = None
    changes: int = 0
    restart_lsn: str | None = None
    read_again_bytes: int = 0
    """Log between the slot's start and what is stored: every drain goes through it again."""


@dataclass(slots=True)
class Drainer:
    """Drains one component; owns the two sessions that do it and the component's lock."""

    source: Source
    spool: Spool
    chunk_bytes: int
    layouts: Mapping[int, KeyedLayout] = field(default_factory=dict)
    facts: DrainFacts = field(default_factory=DrainFacts)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _stack: AsyncExitStack | None = None
    _sessions: tuple[Session, Session] | None = None
    _seen_lsn: str | None = None
    _may_log_snapshot: bool = False
    _noted_xid: str | None = None
    """The oldest transaction when the server was last asked to note them: while it goes on, the slot's start stays."""

    @asynccontextmanager
    async def sessions(self) -> AsyncIterator[tuple[Session, Session]]:
        """Give the application's and the node's session to one user at a time; any error closes both."""
        async with self._lock:
            if self._sessions is None or any(session.is_closed() for session in self._sessions):
                await self._open()
            assert self._sessions is not None
            try:
                with translated(f"draining component {self.spool.component}"), damage_noticed():
                    yield self._sessions
            except BaseException:
                await self._close()
                raise

    async def close(self) -> None:
        """End both sessions; the next use opens new ones."""
        async with self._lock:
            await self._close()

    async def drain(self, upto: str | None = None) -> Capture:
        """Store what the slot holds up to a position (everything on disk by default); return the capture.

        Raises CaptureLost when slot and spool do not fit together, CaptureNotReady when another agent holds the lock or
        an old session the slot. What an agent that was killed left behind is waited for.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                return await self._drain_now(upto)
            except CaptureNotReady:
                if attempts == _ATTEMPTS:
                    raise
            await asyncio.sleep(_ATTEMPT_SECONDS)

    async def _drain_now(self, upto: str | None) -> Capture:
        async with self.sessions() as (application, node):
            try:
                return await self._drain(application, node, upto)
            except asyncpg.ObjectInUseError as error:
                await self.source.end_slot_user(application)
                raise CaptureNotReady(
                    f"slot {self.source.slot_name} was held by an old session, which was ended"
                ) from error
            except asyncpg.UndefinedObjectError as error:  # the publication, at some place in the log; or the slot
                raise CaptureLost(f"the log can no longer be decoded: {error}") from error

    async def _open(self) -> None:
        await self._close()
        async with AsyncExitStack() as stack:
            application = await stack.enter_async_context(self.source.session())
            node = await stack.enter_async_context(self.spool.session())
            if not await self.spool.lock(node):
                raise CaptureNotReady(f"another agent captures component {self.spool.component} of this server")
            await application.execute(_SOURCE["use_memory"])
            await node.execute(_SPOOL["create_stage"])
            self._may_log_snapshot = await self.source.may_log_snapshot(application)
            self._stack = stack.pop_all()
        self._sessions = (application, node)
        self._seen_lsn = None

    async def _close(self) -> None:
        stack, self._stack, self._sessions = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def _drain(self, application: Session, node: Session, upto: str | None) -> Capture:
        capture = await self.spool.find_capture(node)
        slot = await self.source.find_slot(application)
        if capture is None or slot is None:
            raise CaptureLost("there is no slot" if slot is None else "there is no spool")
        if slot.wal_status == "lost" or slot.confirmed_lsn is None or slot.restart_lsn is None:
            raise CaptureLost(f"the server has dropped log that slot {self.source.slot_name} needed")
        ahead = distance(slot.confirmed_lsn, capture.drained_lsn)
        if ahead > 0:
            raise CaptureLost(
                f"slot {self.source.slot_name} is past what was stored: the server was restored, or somebody read it"
            )
        if ahead < 0:
            await self.advance(application, capture.drained_lsn)
        wanted = upto or await self.source.read_flush_lsn(application)
        position = wanted if wanted == self._seen_lsn else capture.drained_lsn
        self.facts.changes = 0
        if wanted != self._seen_lsn:
            is_noted = upto is None and self._may_log_snapshot and (slot.kept_bytes or 0) > _KEPT_BYTES
            if is_noted:
                oldest = await self.source.read_oldest_xid(application)
                is_noted, self._noted_xid = oldest != self._noted_xid, oldest
            if is_noted:
                await self.source.log_snapshot(application)
                wanted = await self.source.take_barrier(application)  # this drain reads what was just noted
            chunk_bytes = self.chunk_bytes
            while distance(wanted, position) > 0:
                end = bound_chunk(wanted, position, slot.restart_lsn, chunk_bytes)
                stored = await self._drain_chunk(application, node, capture, end)
                # Each peek reads from the start of the oldest open transaction: within a huge one the pieces grow.
                chunk_bytes = self.chunk_bytes if stored else 2 * chunk_bytes
                is_far = distance(end, capture.drained_lsn) > _IDLE_BYTES
                if stored or is_far or is_noted:
                    if not stored:
                        await node.execute(_SPOOL["set_drained"], capture.number, end)
                    await self.advance(application, end)
                position = end
            self._seen_lsn = wanted
            slot = await self.source.find_slot(application) or slot
        self.facts.drained_lsn, self.facts.kept_bytes = position, slot.kept_bytes
        self.facts.restart_lsn = slot.restart_lsn
        self.facts.read_again_bytes = distance(position, slot.restart_lsn or position)
        return capture

    async def advance(self, application: Session, lsn: str) -> None:
        """Move the slot behind what is stored."""
        await self.source.advance(application, lsn)

    async def _drain_chunk(self, application: Session, node: Session, capture: Capture, end: str) -> bool:
        """Decode up to a position and store it with the position in one commit; False when there was nothing."""
        known = self.layouts  # an export may bring others while this drain runs
        reference = await application.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        query = _SOURCE["copy_changes"].format(
            **_write_layouts([keyed.layout for keyed in known.values()]),
            slot=quote_literal(self.source.slot_name),
            upto=quote_literal(end),
            publication=quote_literal(f'"{PUBLICATION}"'),
            reference=int(reference),
        )
        before = self.facts.changes
        # Decoded text comes as the database has it: no byte is changed, or refused, on the way to another encoding.
        await application.execute("SET client_encoding = 'SQL_ASCII'")
        await pipe_copy(
            lambda sink: application.copy_from_query(query, output=sink, format="binary"),
            lambda chunks: self._store(node, capture, end, known, chunks),
        )
        await application.execute("SET client_encoding = 'UTF8'")
        return self.facts.changes > before

    async def _store(
        self,
        node: Session,
        capture: Capture,
        end: str,
        layouts: Mapping[int, KeyedLayout],
        chunks: AsyncIterator[bytes],
    ) -> None:
        """Store decoded keys with the position in one commit; without any, not even the log of the server grows."""
        first = await anext(chunks)
        if len(first) <= _EMPTY_COPY_BYTES:
            return
        async with node.transaction():
            await copy_in(node, _STAGE, _chain(first, chunks), schema="pg_temp", form="binary")
            await _mark_misread(node, layouts)
            count: int = await node.fetchval(_SPOOL["count_stage"])
            if count:
                if await node.fetchval(_SPOOL["is_empty"], capture.number):
                    await node.execute(_SPOOL["store_first_keys"], capture.number)
                else:
                    newest = await node.fetchval(_SPOOL["find_newest_snapshot"], capture.number)
                    await node.execute(_SPOOL["store_keys"], capture.number, newest)
                await node.execute(_SPOOL["set_drained"], capture.number, end)
        self.facts.changes += count


async def _mark_misread(node: Session, layouts: Mapping[int, KeyedLayout]) -> None:
    """Turn changes that were cut by a layout no longer (or not yet) true into marks of the whole table."""
    misread: set[int] = set()
    for row in await node.fetch(_SPOOL["read_messages"]):
        if row["kind"] == "T":
            await node.execute(_SPOOL["mark_truncated"], list(parse_truncate(row["message"])), row["xid"])
            continue
        relation = parse_relation(row["message"])
        known = layouts.get(relation.relid)
        if known is None or not fits(relation, known.layout, known.key):
            misread.add(relation.relid)
    if misread:
        await node.execute(_SPOOL["mark_relations"], list(misread))


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _write_layouts(layouts: Sequence[Layout]) -> dict[str, str]:
    """Return the statement's lists of layouts, as literals: the server reads them faster than rows of values."""
    positions = (f'"{{{",".join(map(str, layout.positions))}}}"' for layout in layouts)
    return {
        "numbers": _write_array(map(str, range(1, len(layouts) + 1))),
        "relids": _write_array(f'"\\\\x{layout.relid:08x}"' for layout in layouts),
        "positions": _write_array(positions),
        "definitions": _write_array(str(layout.definition) for layout in layouts),
    }


def _write_array(items: Iterable[str]) -> str:
    return quote_literal("{" + ",".join(items) + "}")
