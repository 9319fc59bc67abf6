"""Materialized views: their rows cannot be copied, so they are filled anew when the source's were, as a sync ends.

A view is filled when its digest is not the source's, once for each digest that the source's has: what it then shows are
the tables of this sync, while the source's may be older than its tables.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from services.standby_controller.apply.comparing import LOCKED, TwoDigests, name_of, read_digests
from services.standby_controller.progress import Progress
from shared.errors import SeedRefused
from shared.node.client import NodeClient
from shared.node.model import UnkeptTable
from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import ExportedTable, Manifest, TableMode, TableName

_QUERIES: Final = load_queries("services.standby_controller.apply", "uncaptured.sql")
_SEED: Final = load_queries("services.standby_controller.apply", "seed.sql")
_TARGET: Final = load_queries("services.standby_controller.apply", "target.sql")
_NOT_HERE: Final = "materialized view that is not here yet: the sync that brings its definition fills it"
_log = logging.getLogger(__name__)

Digests = Mapping[str, tuple[int, str]]


@dataclass(slots=True)
class StagedViews:
    """What is to be done with the views in the transaction that applies the rest."""

    session: Session
    component: str
    statements: dict[str, str] = field(default_factory=dict)
    """What fills or empties a view, by its name, in the order in which they read each other."""
    digests: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The source's digests that ours answer to, once this is done."""
    left: list[UnkeptTable] = field(default_factory=list)

    async def refresh(self) -> None:
        """Fill and empty; a view that cannot be filled stays as it is, and is told of."""
        for name, statement in self.statements.items():
            try:
                async with self.session.transaction():
                    await self.session.execute(statement)
            except asyncpg.PostgresError as error:
                self.digests.pop(name, None)
                self.left.append(UnkeptTable(name=name, reason=f"materialized view that could not be filled: {error}"))
            else:
                _log.info("materialized view is filled anew", extra={"component": self.component, "view": name})

    async def remember(self) -> None:
        """Keep what the source's views looked like beside the cursor, which has just moved."""
        if self.digests:
            await self.session.execute(_QUERIES["remember_views"], self.component, json.dumps(self.digests))


async def stage_views(session: Session, client: NodeClient, manifest: Manifest, progress: Progress) -> StagedViews:
    """Compare the views with the source's and find what is to be filled."""
    staged = StagedViews(session, manifest.component)
    told = {(table.schema_name, table.name): table for table in manifest.tables if table.mode is TableMode.REFRESHED}
    rows = await session.fetch(_QUERIES["list_views"])
    present = {(row["schema_name"], row["name"]): bool(row["is_populated"]) for row in rows}
    staged.left += [
        UnkeptTable(name=name_of(table), reason=_NOT_HERE) for name, table in told.items() if name not in present
    ]
    both = [table for name, table in told.items() if present.get(name)]
    found = await read_digests(session, client, manifest, both, may_have_other_columns=True)
    digests = {(pair.table.schema_name, pair.table.name): pair for pair in found}
    for table in told.values():
        progress.finish_table(name_of(table), 0)
    remembered = await _recall(session, manifest.component) if found else {}
    populated = {(view.schema_name, view.name) for view in manifest.populated_views}
    for name, is_populated in present.items():
        full_name = ".".join(name)
        if name in told:
            _decide(staged, told[name], digests.get(name), remembered.get(full_name))
        elif name not in populated and is_populated:
            staged.statements[full_name] = _QUERIES["empty_view"].format(view=qualified(*name))
    return staged


def _decide(
    staged: StagedViews, table: ExportedTable, pair: TwoDigests | None, remembered: tuple[int, str] | None
) -> None:
    """Have a view filled unless it is equal, or was filled since the source's has its content; no pair: empty here."""
    name = name_of(table)
    if pair is not None and pair.is_locked:
        staged.left.append(UnkeptTable(name=name, reason=LOCKED))
        if remembered is not None:
            staged.digests[name] = remembered
        return
    there = None if pair is None or pair.there is None else (pair.there.row_count, pair.there.hash_sum)
    if there is not None:
        staged.digests[name] = there
    if pair is None or not (pair.is_equal or (there is not None and there == remembered)):
        staged.statements[name] = _QUERIES["refresh_view"].format(view=qualified(table.schema_name, table.name))


async def _recall(session: Session, component: str) -> Digests:
    """Return the source's digests that our views answer to; nothing where no copy stands yet."""
    if not await session.fetchval(_TARGET["has_cursor"]):
        return {}
    text = await session.fetchval(_QUERIES["recall_views"], component)
    told = {} if text is None else json.loads(text)
    return {name: (row_count, hash_sum) for name, (row_count, hash_sum) in told.items()}


async def fill_views(session: Session, views: Collection[TableName]) -> None:
    """Fill views that were just made; one that reads another waits for it.

    Raises SeedRefused for one that cannot be filled.
    """
    waiting = list(views)
    while waiting:
        later: list[TableName] = []
        error: asyncpg.PostgresError | None = None
        for view in waiting:
            name = qualified(view.schema_name, view.name)
            try:
                async with session.transaction():
                    await session.execute(_SEED["refresh_view"].format(view=name))
            except asyncpg.ObjectNotInPrerequisiteStateError as unpopulated:
                error = unpopulated
                later.append(view)
        if len(later) == len(waiting):
            raise SeedRefused(f"a materialized view could not be filled: {error}") from error
        waiting = later
