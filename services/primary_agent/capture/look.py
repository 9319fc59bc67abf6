"""A look at a component's database that counts: one snapshot, its tables, and nothing older still open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.source import PUBLICATION
from shared.clock import Clock
from shared.errors import CaptureDamaged, CaptureNotReady
from shared.postgres.catalog import Table, list_tables, read_shape_tokens
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.plan import CAPTURED_BY, TableState, TableStates

_QUERIES: Final = load_queries("services.primary_agent.capture", "source.sql")
_READY_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.2
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Look:
    """The database as the leader's snapshot shows it."""

    snapshot: str
    snapshot_id: str
    taken_at: datetime
    tables: Sequence[Table]
    publication: str


async def take_look(component: ComponentCapture, leader: Session, node: Session, clock: Clock) -> Look:
    """Begin the leader's transaction on a snapshot that counts, for the holder of the component's lock.

    The publication holds every table it should, and no transaction older than the capture is still open. Raises
    CaptureNotReady where that does not come true within seconds, CaptureDamaged where there is nothing to wait for.
    """
    blockers: list[str] = []
    deadline = clock.monotonic() + _READY_SECONDS
    for _ in range(_ATTEMPTS):
        while True:
            await leader.execute(_QUERIES["begin_look"])
            row = await leader.fetchrow(_QUERIES["take_snapshot"])
            assert row is not None
            taken_at = clock.now()
            capture = await component.spool.find_capture(node)
            if capture is None:
                raise CaptureDamaged("there is no spool any more")
            if int(row["xmin"]) > capture.ready_xid:
                break
            await leader.execute("ROLLBACK")
            if clock.monotonic() > deadline:
                blockers = await component.source.list_blockers(leader, capture.ready_xid)
                raise CaptureNotReady("transactions older than the capture are still open: " + "; ".join(blockers))
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        publication = await component.source.identify_publication(leader)
        if publication is None:
            raise CaptureNotReady("somebody alters the publication at this moment")
        tables = await component.look(leader)
        if not component.needs_reconcile(tables):
            return Look(row["snapshot"], row["snapshot_id"], taken_at, tables, publication)
        await leader.execute("ROLLBACK")
        async with component.source.session() as application:
            fresh = await list_tables(application, PUBLICATION)
            await component.reconcile(application, node, capture, fresh)
    raise CaptureNotReady("the tables' definitions keep changing")


async def read_states(leader: Session, look: Look) -> TableStates:
    """Return what the tables look like in the leader's snapshot."""
    return TableStates(
        tables={
            table.oid: TableState(
                table.qualified_name,
                table.filenode,
                table.token,
                table.shape,
                table.publication_entry,
                table.columns_shape,
                table.column_count,
            )
            for table in look.tables
            if table.holds_data
        },
        shapes={**await read_shape_tokens(leader), CAPTURED_BY: look.publication},
    )


def list_definitions(component: ComponentCapture, tables: Sequence[Table]) -> dict[int, int]:
    """Return the key definition of each table that a delta keeps current, by oid."""
    layouts = component.drainer.layouts
    return {
        table.oid: layouts[table.oid].layout.definition
        for table in tables
        if table.is_keyed and component.is_followed(table)
    }
