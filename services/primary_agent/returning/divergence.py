"""What a node that came back had changed alone since a moment it shares with others: counted, and its keys streamed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.drain import CaptureLost
from services.primary_agent.capture.look import Look, list_definitions, read_states, take_look
from services.primary_agent.capture.points import list_points
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.capture.spool import Capture
from services.primary_agent.node.node import EnvelopeFields
from shared.clock import Clock
from shared.errors import CursorUnknown, DatabaseMissing, NotFound, NotStandby
from shared.node.model import State
from shared.postgres.application import read_standing
from shared.postgres.catalog import Table, describe_server
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, translated
from shared.replication.model import SyncPoint, TableMode, TableName
from shared.replication.plan import DeltaPlan, plan_delta
from shared.replication.returning import Divergence, DivergentTable, PreparedTransaction, SharedPoint, SharedPoints

_QUERIES: Final = load_queries("services.primary_agent.returning", "returning.sql")
_RETURNED: Final = frozenset({State.FENCED, State.STANDBY})

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


class ReturningNode(Protocol):
    """What must be known of the node."""

    @property
    def state(self) -> State:
        """What it does now."""

    def envelope(self) -> EnvelopeFields:
        """Return who speaks."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What was last told of a component, so that its keys can be asked for by number."""

    capture: Capture
    snapshot: str
    relids: Mapping[int, int]


class DivergenceService:
    """Tells, on the unix socket, what this node has alone; for a node that does not serve."""

    def __init__(self, clock: Clock, node: ReturningNode, captures: CaptureService) -> None:
        self._clock = clock
        self._node = node
        self._captures = captures
        self._told: dict[str, _Told] = {}

    async def list_points(self, component: str) -> SharedPoints:
        """Return the moments that changes here are told since, and the one at which a copy stands."""
        capture = await self._find(component)
        standing, points = None, tuple[SharedPoint, ...]()
        try:
            async with capture.source.session() as application, capture.spool.session() as node:
                standing = await read_standing(application, component)
                server = await capture.source.check_server(application)
                held = await capture.find_whole(application, node, server)
                if held is not None and not held.is_ahead and standing is None:
                    points = await list_points(node, held)
        except DatabaseMissing:
            pass  # nothing is there that anything could be shared with
        if standing is not None:
            points = (SharedPoint(peer=standing.point),)
        return SharedPoints(**self._node.envelope(), is_copy=standing is not None, items=points)

    async def find(self, component: str, point: SyncPoint) -> Divergence:
        """Drain to the end of the log, and tell what changed since one of our own points.

        Raises NotStandby on a node that serves, CursorUnknown where the changes since that point are not all there.
        """
        capture = await self._find(component)
        async with (
            capture.lock,
            capture.source.session() as leader,
            capture.source.session() as application,
            capture.spool.session() as node,
        ):
            server = await capture.source.check_server(application)
            held = await capture.find_whole(application, node, server)
            if held is None or held.capture_id != point.capture_id or point.seq < held.trimmed_seq:
                raise CursorUnknown("this node no longer keeps what it changed since that sync point")
            known = await capture.spool.find_point(node, held, point)
            if known is None:
                raise CursorUnknown(f"this node did not make sync point {point.seq} (or was restored since)")
            with translated(f"looking for what only this node has of component {component}"):
                look = await take_look(capture, leader, node, self._clock)
                await self._drain(capture, await capture.source.take_barrier(application))
                states = await read_states(leader, look)
                pending = await capture.spool.count_keys(node, held, known.snapshot)
                plan = plan_delta(known.states, states, pending, list_definitions(capture, look.tables))
                prepared = await _list_prepared(application)
                _, encoding, _ = await describe_server(application)
        relids = {number: table.oid for number, table in enumerate(plan.tables)}
        self._told[component] = _Told(held, known.snapshot, relids)
        return Divergence(
            **self._node.envelope(),
            component=component,
            point=point,
            encoding=encoding,
            tables=_list_tables(capture, look, plan),
            untold=tuple(
                TableName(schema_name=table.schema_name, name=table.name)
                for table in look.tables
                if table.holds_data and not capture.is_followed(table)
            ),
            schema_change=plan.schema_change,
            prepared=prepared,
        )

    async def copy_keys(self, component: str, number: int, sink: Sink, *, with_birth: bool) -> None:
        """Write a table's keys, as last told of, to the sink; see Spool.copy_keys."""
        capture = await self._find(component)
        told = self._told.get(component)
        if told is None or number not in told.relids:
            raise NotFound(f"no table {number} was told of", hint="Ask for the divergence first.")
        async with capture.spool.session() as node:
            await capture.spool.copy_keys(
                node, told.capture, told.relids[number], told.snapshot, sink, with_birth=with_birth
            )

    async def _find(self, component: str) -> ComponentCapture:
        if self._node.state not in _RETURNED:
            raise NotStandby(f"this node is {self._node.state}: only one that does not serve tells what it has alone")
        await self._captures.prepare()
        return self._captures.component(component)

    async def _drain(self, capture: ComponentCapture, lsn: str) -> None:
        try:
            await capture.drainer.drain(lsn)
        except CaptureLost as error:
            raise CursorUnknown(error.detail) from error


async def _list_prepared(session: Session) -> tuple[PreparedTransaction, ...]:
    return tuple(PreparedTransaction(**row) for row in await session.fetch(_QUERIES["list_prepared"]))


def _list_tables(capture: ComponentCapture, look: Look, plan: DeltaPlan) -> tuple[DivergentTable, ...]:
    by_oid = {table.oid: table for table in look.tables}
    told: list[DivergentTable] = []
    for number, planned in enumerate(plan.tables):
        table = by_oid[planned.oid]
        names, types = describe_key(capture, table)
        told.append(
            DivergentTable(
                number=number,
                schema_name=table.schema_name,
                name=table.name,
                key=names,
                key_types=types,
                key_count=planned.key_count,
                whole=planned.reason if planned.mode is TableMode.WHOLE else None,
            )
        )
    return tuple(told)


def describe_key(capture: ComponentCapture, table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and types of a table's key columns, in the order in which captured keys hold them."""
    columns = [column for column in capture.columns[table.oid] if column.name in table.key]
    return tuple(column.name for column in columns), tuple(column.type for column in columns)
