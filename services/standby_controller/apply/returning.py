"""How a node that comes back finds what it shares with the active one, and what each had alone since."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.errors import CursorTrimmed, CursorUnknown, PeerRefusal, SchemaChanged
from shared.node.client import NodeClient
from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session
from shared.replication.model import SyncPoint, TableName
from shared.replication.returning import (
    BaseFound,
    ChangedTable,
    Divergence,
    DivergentTable,
    FindBase,
    PreparedTransaction,
)

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")
_NO_BASE: Final = frozenset({CursorUnknown.code, CursorTrimmed.code})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Return:
    """What a return begins from: where both were equal, and what this node had alone since."""

    since: SyncPoint
    """The active node's name of the moment both share."""
    divergence: Divergence | None
    """None for a copy, which was never served: it has nothing alone."""


@dataclass(frozen=True, slots=True)
class ReturnView:
    """What is to be known before a component is brought back, for whoever approves it."""

    component: str
    is_clean: bool
    """It may be brought back without asking: this node had nothing alone."""
    needs_seed: str | None
    """Why only a full copy helps; this node's database is kept beside it then."""
    here: tuple[ChangedTable, ...] = ()
    there: tuple[ChangedTable, ...] = ()
    prepared: tuple[PreparedTransaction, ...] = ()
    untold: tuple[TableName, ...] = ()
    """Tables whose changes are not captured: what of them differs is seen while they are overwritten."""


async def find_return(component: str, *, client: NodeClient, own: NodeClient) -> Return | str:
    """Return what a return begins from, or in words why there is nothing that both nodes share."""
    found = await _meet(component, client=client, own=own, has_counts=False)
    return found if isinstance(found, str) else found[0]


async def find_divergence(component: str, *, client: NodeClient, own: NodeClient) -> ReturnView:
    """Count what each node has that the other has not; changes nothing. Raises PeerError and its kin."""
    points = await own.shared_points(component)
    if points.is_copy:
        return ReturnView(component, is_clean=True, needs_seed=None)
    found = await _meet(component, client=client, own=own, has_counts=True)
    if isinstance(found, str):
        return ReturnView(component, is_clean=False, needs_seed=found)
    begin, base = found
    told = begin.divergence
    if told is None:
        return ReturnView(component, is_clean=True, needs_seed=base.schema_change, there=base.changed)
    return ReturnView(
        component,
        is_clean=told.is_clean and base.schema_change is None,
        needs_seed=told.schema_change or base.schema_change,
        here=told.tables,
        there=base.changed,
        prepared=told.prepared,
        untold=told.untold,
    )


async def _meet(
    component: str, *, client: NodeClient, own: NodeClient, has_counts: bool
) -> tuple[Return, BaseFound] | str:
    points = await own.shared_points(component)
    if not points.items:
        return "this node keeps no sync point that changes could be told since"
    found = await client.find_base(component, FindBase(candidates=points.items, has_counts=has_counts))
    if found.base is None:
        return f"node {found.node_id} keeps no sync point that this node shares"
    point = points.items[found.base.candidate].own
    if point is None:
        return Return(found.base.since, None), found
    try:
        divergence = await own.divergence(component, point)
    except PeerRefusal as refusal:
        if refusal.peer_code not in _NO_BASE:
            raise
        return refusal.detail
    return Return(found.base.since, divergence), found


async def bring_keys(begin: Return, *, client: NodeClient, own: NodeClient) -> tuple[TableName, ...]:
    """Have the active node take the keys that this node had changed alone; return the tables it has to send whole."""
    told = begin.divergence
    if told is None:
        return ()
    whole: list[TableName] = []
    for table in told.tables:
        name = TableName(schema_name=table.schema_name, name=table.name)
        if table.whole is not None or not await _bring_table(told, table, name, client=client, own=own):
            whole.append(name)
    return tuple(whole)


async def _bring_table(
    told: Divergence, table: DivergentTable, name: TableName, *, client: NodeClient, own: NodeClient
) -> bool:
    """Say whether the active node took the keys; it does not where it has another key."""
    key = list(zip(table.key, table.key_types, strict=True))
    async with own.divergent_keys(told.component, table.number) as chunks:
        try:
            await client.put_divergent_keys(told.component, name, key, chunks)
        except PeerRefusal as refusal:
            if refusal.peer_code != SchemaChanged.code:
                raise
            _log.info("a table comes whole", extra={"component": told.component, "detail": refusal.detail})
            return False
    return True


async def roll_back_prepared(session: Session, transactions: tuple[PreparedTransaction, ...]) -> None:
    """End transactions that were prepared here, as their owner where our own rights do not suffice."""
    for transaction in transactions:
        statement = _QUERIES["rollback_prepared"].format(gid=quote_literal(transaction.gid))
        try:
            await session.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            await session.execute(f"SET ROLE {quote_identifier(transaction.owner)}")
            try:
                await session.execute(statement)
            finally:
                await session.execute("RESET ROLE")
