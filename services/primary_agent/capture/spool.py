"""The spool in the node's own database: captures, subscribers, sync points, keys. Decodes and exports nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from shared.errors import CaptureDamaged, DatabaseMissing, NodeDatabaseMissing
from shared.postgres.queries import load_queries, quote_literal
from shared.postgres.sessions import Session, close, connect, translated
from shared.replication.model import SyncPoint
from shared.replication.plan import PendingKeys, TableStates

_QUERIES: Final = load_queries("services.primary_agent.capture", "spool.sql")

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


@contextmanager
def damage_noticed() -> Iterator[None]:
    """Raise CaptureDamaged where a table or function of ours is missing."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError) as error:
        raise CaptureDamaged(f"something of the capture is gone: {error}") from error


@dataclass(frozen=True, slots=True)
class Capture:
    """What is recorded of a component's capture."""

    number: int
    capture_id: str
    database_oid: int
    slot_name: str
    drained_lsn: str
    ready_xid: int
    trimmed_seq: int
    last_seq: int
    is_ahead: bool
    """Made ahead on a standby: it has collected nothing."""


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """A sync point found again."""

    seq: int
    snapshot: str
    states: TableStates


@dataclass(frozen=True, slots=True)
class Floor:
    """The oldest point that a subscriber may still ask from; no sequence number where nobody may ask at all."""

    subscribers: int
    seq: int | None


class Spool:
    """One component's part of the spool."""

    def __init__(self, dsn: str, component: str) -> None:
        """Connects on use."""
        self._dsn = dsn
        self.component = component

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open a session with the node's own database."""
        try:
            session = await connect(self._dsn)
        except DatabaseMissing as error:
            raise NodeDatabaseMissing(error.detail) from error
        try:
            with translated("using the node's own database"), damage_noticed():
                yield session
        finally:
            await close(session)

    async def find_capture(self, session: Session) -> Capture | None:
        """Return the component's capture, if there is one."""
        row = await session.fetchrow(_QUERIES["find_capture"], self.component)
        return None if row is None else Capture(**{**row, "ready_xid": int(row["ready_xid"])})

    async def create_capture(
        self,
        session: Session,
        *,
        database_oid: int,
        slot_name: str,
        drained_lsn: str,
        ready_xid: int,
        is_ahead: bool = False,
    ) -> Capture:
        """Record a new capture with an empty spool; what was there before is forgotten."""
        async with session.transaction():
            await self._forget(session)
            number = await session.fetchval(
                _QUERIES["create_capture"],
                self.component,
                secrets.token_hex(16),
                database_oid,
                slot_name,
                drained_lsn,
                str(ready_xid),
                is_ahead,
            )
            await session.execute(_QUERIES["create_partition"].format(capture=int(number)))
        capture = await self.find_capture(session)
        assert capture is not None
        return capture

    async def delete_capture(self, session: Session) -> None:
        """Forget the capture, its keys, points and subscribers; idempotent."""
        async with session.transaction():
            await self._forget(session)

    async def _forget(self, session: Session) -> None:
        number = await session.fetchval(_QUERIES["delete_capture"], self.component)
        if number is not None:
            await session.execute(_QUERIES["drop_partition"].format(capture=int(number)))

    async def lock(self, session: Session) -> bool:
        """Take the component's lock for the life of the session; False when another agent holds it."""
        return bool(await session.fetchval(_QUERIES["lock_capture"], self.component))

    async def set_served(self, session: Session, capture: Capture) -> None:
        """Note that a capture made ahead collects from now on; idempotent."""
        await session.execute(_QUERIES["set_served"], capture.number)

    async def set_drained(self, session: Session, capture: Capture, lsn: str) -> None:
        """Record how far the slot was read."""
        await session.execute(_QUERIES["set_drained"], capture.number, lsn)

    async def set_ready_xid(self, session: Session, capture: Capture, xid: int) -> None:
        """Count only snapshots past this transaction from now on."""
        await session.execute(_QUERIES["set_ready_xid"], capture.number, str(xid))

    async def add_point(
        self, session: Session, capture: Capture, *, snapshot: str, lsn: str, states: TableStates
    ) -> SyncPoint:
        """Record a sync point durably, with what the tables looked like."""
        document, digest = states.encode()
        nonce = secrets.token_hex(16)
        async with session.transaction():
            await session.execute(_QUERIES["insert_state"], capture.number, digest, document)
            seq = await session.fetchval(_QUERIES["insert_point"], capture.number, nonce, snapshot, lsn, digest)
        return SyncPoint(capture_id=capture.capture_id, seq=seq, nonce=nonce)

    async def find_point(self, session: Session, capture: Capture, point: SyncPoint) -> KnownPoint | None:
        """Return a point that this capture made, known by number and nonce."""
        row = await session.fetchrow(_QUERIES["find_point"], capture.number, point.seq, point.nonce)
        if row is None:
            return None
        return KnownPoint(row["seq"], row["snapshot"], TableStates.decode(json.loads(row["document"])))

    async def count_keys(self, session: Session, capture: Capture, snapshot: str) -> dict[int, PendingKeys]:
        """Return what changed and is not visible in the snapshot, by table oid."""
        rows = await session.fetch(_QUERIES["count_keys"], capture.number, snapshot)
        return {
            row["relid"]: PendingKeys(
                key_count=row["key_count"],
                is_marked=row["is_marked"],
                definitions=frozenset(
                    value for value in (row["lowest_definition"], row["highest_definition"]) if value is not None
                ),
            )
            for row in rows
        }

    async def copy_keys(
        self, session: Session, capture: Capture, relid: int, snapshot: str, sink: Sink, *, with_birth: bool = False
    ) -> None:
        """Write a table's keys not visible in the snapshot to the sink, as binary COPY of one bytea column.

        With their birth there is a second, boolean column: the key was inserted since, there was no such row before.
        """
        query = _QUERIES["copy_keys_with_birth" if with_birth else "copy_keys"]
        query = query.format(capture=capture.number, relid=int(relid), snapshot=quote_literal(snapshot))
        await session.copy_from_query(query, output=sink, format="binary")

    async def begin_seeding(self, session: Session, capture: Capture, node_id: str, seq: int) -> None:
        """Hold everything since a seed's point for a subscriber."""
        await session.execute(_QUERIES["begin_seeding"], capture.number, node_id, seq)

    async def see_subscriber(self, session: Session, capture: Capture, node_id: str, seq: int) -> None:
        """Note that a subscriber asked from a point; what came after it is held for one that is new here."""
        await session.execute(_QUERIES["see_subscriber"], capture.number, node_id, seq)

    async def confirm(self, session: Session, capture: Capture, node_id: str, seq: int) -> bool:
        """Move a subscriber to a point; False when the node is no subscriber. Idempotent, never backwards."""
        return await session.fetchval(_QUERIES["confirm_point"], capture.number, node_id, seq) is not None

    async def trim(self, session: Session, capture: Capture, *, is_confirmed: bool) -> None:
        """Delete what every subscriber has (when one has confirmed); without subscribers all that is visible now.

        The caller holds the export lock, so that no seed begins between the look and the deletion.
        """
        row = await session.fetchrow(_QUERIES["find_floor"], capture.number)
        floor = Floor(0, None) if row is None else Floor(row["subscribers"], row["seq"])
        if not floor.subscribers:
            snapshot = await session.fetchval(_QUERIES["take_snapshot"])
            trimmed_seq = capture.last_seq + 1
        elif is_confirmed and floor.seq is not None:
            snapshot = await session.fetchval(_QUERIES["find_snapshot"], capture.number, floor.seq)
            trimmed_seq = floor.seq
        else:
            return
        await session.execute(_QUERIES["raise_trimmed"], capture.number, trimmed_seq)
        await session.execute(_QUERIES["trim_keys"], capture.number, snapshot)
        await session.execute(_QUERIES["trim_points"], capture.number)

    async def measure(self, session: Session, capture: Capture) -> tuple[int, int]:
        """Return the spool's size: keys (as last analysed) and bytes on disk."""
        row = await session.fetchrow(_QUERIES["measure_spool"], f"agent.spool_{capture.number}")
        return (0, 0) if row is None else (row["keys"], row["bytes"])
