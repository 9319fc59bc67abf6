"""The active node's side of a return: the newest moment shared with the node that came back, and the keys it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import asyncpg

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.drain import CaptureLost
from services.primary_agent.capture.look import list_definitions, read_states, take_look
from services.primary_agent.capture.points import Common, find_common
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.capture.spool import Capture
from services.primary_agent.node.node import EnvelopeFields
from services.primary_agent.returning.divergence import describe_key
from shared.clock import Clock
from shared.errors import CaptureNotReady, CursorUnknown, RequestError, SchemaChanged
from shared.node.model import CaptureState
from shared.postgres.copy import copy_in
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, translated
from shared.replication.model import TableMode
from shared.replication.plan import plan_delta
from shared.replication.returning import Base, BaseFound, ChangedTable, FindBase, KeysStored

_QUERIES: Final = load_queries("services.primary_agent.returning", "returning.sql")


class MeetingNode(Protocol):
    """What must be known of the node."""

    def require_exporting(self, caller: str) -> None:
        """Raise NotActive unless this node may give its data to the caller."""

    def envelope(self) -> EnvelopeFields:
        """Return who speaks."""


class MeetingService:
    """Answers a peer that comes back."""

    def __init__(self, clock: Clock, node: MeetingNode, captures: CaptureService) -> None:
        self._clock = clock
        self._node = node
        self._captures = captures

    async def find_base(self, component: str, asked: FindBase, caller: str) -> BaseFound:
        """Return the newest moment that both nodes know and that all changes here are kept since.

        Raises NotActive, CaptureNotReady.
        """
        capture = await self._use(component, caller)
        async with capture.lock, capture.spool.session() as node:
            held = await _find_ready(capture, node)
            common = await find_common(node, held, asked.candidates)
            if common is None:
                return BaseFound(**self._node.envelope(), base=None)
            base = Base(candidate=common.place, since=common.point)
            changed, schema_change = await self._count(capture, node, held, common) if asked.has_counts else ((), None)
        return BaseFound(**self._node.envelope(), base=base, changed=changed, schema_change=schema_change)

    async def store_keys(
        self,
        component: str,
        table: tuple[str, str],
        key: Sequence[tuple[str, str]],
        caller: str,
        chunks: AsyncIterator[bytes],
    ) -> KeysStored:
        """Store keys (binary COPY of one bytea column) as if this node had just changed them, and count them.

        `table` is schema and name, `key` names and types in the order of the captured keys. Raises NotActive,
        SchemaChanged where the table's key is another one here, RequestError for bytes that are no such COPY.
        """
        capture = await self._use(component, caller)
        async with capture.spool.session() as node:
            try:
                await node.execute(_QUERIES["create_upload"])
                await copy_in(node, "uploaded_keys", chunks, schema="pg_temp", form="binary")
            except (asyncpg.DataError, asyncpg.NotNullViolationError) as error:
                raise RequestError(f"the keys cannot be read: {error}") from error
            async with capture.lock:
                held = await _find_ready(capture, node)
                relid, definition = await self._find_table(capture, table, key)
                # What was committed before is stored before: an older change that is decoded later would hide the key.
                await _drain(capture)
                async with capture.drainer.sessions():
                    count: int = await node.fetchval(_QUERIES["store_upload"], held.number, relid, definition)
        return KeysStored(**self._node.envelope(), count=count)

    async def _use(self, component: str, caller: str) -> ComponentCapture:
        self._node.require_exporting(caller)
        await self._captures.prepare()
        return self._captures.component(component)

    async def _find_table(
        self, capture: ComponentCapture, table: tuple[str, str], key: Sequence[tuple[str, str]]
    ) -> tuple[int, int]:
        """Return oid and key definition of a table whose captured keys are made just so."""
        async with capture.source.session() as application:
            tables = await capture.look(application)
        found = next((one for one in tables if (one.schema_name, one.name) == table), None)
        if found is None or not found.is_keyed or not capture.is_followed(found):
            raise SchemaChanged(f"changes of table {'.'.join(table)} are not told by keys on the active node")
        if list(zip(*describe_key(capture, found), strict=True)) != list(key):
            raise SchemaChanged(f"table {'.'.join(table)} has another key on the active node")
        return found.oid, capture.drainer.layouts[found.oid].layout.definition

    async def _count(
        self, capture: ComponentCapture, node: Session, held: Capture, common: Common
    ) -> tuple[tuple[ChangedTable, ...], str | None]:
        async with capture.source.session() as leader:
            with translated(f"counting changes of component {capture.component.name}"):
                look = await take_look(capture, leader, node, self._clock)
                await _drain(capture)
                states = await read_states(leader, look)
            known = await capture.spool.find_point(node, held, common.point)
            if known is None:
                raise CursorUnknown("the point was trimmed at this moment")
            pending = await capture.spool.count_keys(node, held, known.snapshot)
            plan = plan_delta(known.states, states, pending, list_definitions(capture, look.tables))
        names = {table.oid: table for table in look.tables}
        changed = tuple(
            ChangedTable(
                schema_name=names[planned.oid].schema_name,
                name=names[planned.oid].name,
                key_count=planned.key_count,
                whole=planned.reason if planned.mode is TableMode.WHOLE else None,
            )
            for planned in plan.tables
        )
        return changed, plan.schema_change


async def _find_ready(capture: ComponentCapture, node: Session) -> Capture:
    if capture.facts.state is CaptureState.PREPARING:
        raise CaptureNotReady("capture is being made")
    if capture.facts.state is not CaptureState.READY:
        await capture.ensure()
    held = await capture.spool.find_capture(node)
    if held is None:
        raise CaptureNotReady("capture was lost at this moment")
    return held


async def _drain(capture: ComponentCapture) -> None:
    """Store all that is committed now."""
    async with capture.source.session() as other:
        lsn = await capture.source.take_barrier(other)
    try:
        await capture.drainer.drain(lsn)
    except CaptureLost as error:
        await capture.lose(error)
        raise CursorUnknown(error.detail) from error
