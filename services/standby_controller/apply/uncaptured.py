"""All of a delta that no captured key tells of, staged beside the rest and applied in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.standby_controller.apply.comparing import NOTHING, compare_tables
from services.standby_controller.apply.large_objects import NAME, StagedObjects, stage_objects
from services.standby_controller.apply.merge import Placing, switch_firing
from services.standby_controller.apply.row_difference import place_difference
from services.standby_controller.apply.staging import StagedTable, stage_delta
from services.standby_controller.apply.views import StagedViews, stage_views
from services.standby_controller.progress import Progress
from shared.node.client import NodeClient
from shared.node.model import UnkeptTable
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import ExportedTable, Manifest, TableMode

_QUERIES: Final = load_queries("services.standby_controller.apply", "uncaptured.sql")
_TARGET: Final = load_queries("services.standby_controller.apply", "target.sql")
_CAPTURED: Final = frozenset({TableMode.DELTA, TableMode.WHOLE})


@dataclass(frozen=True, slots=True)
class StagedUncaptured:
    """Tables that have come because they differ, large objects, and views to be filled."""

    session: Session
    progress: Progress
    whole: tuple[StagedTable, ...]
    """Tables of which no row can be told from another: all of them are written anew, like those of a changed table."""
    differing: tuple[StagedTable, ...]
    """Tables of which only the rows that differ are written."""
    objects: StagedObjects | None
    views: StagedViews
    locked: tuple[UnkeptTable, ...]
    component: str
    counters: Mapping[str, str]
    rows: dict[str, int] = field(default_factory=dict)
    """Rows written to the differing tables, once it is applied."""

    @property
    def has_objects(self) -> bool:
        """Say whether large objects are among it."""
        return self.objects is not None

    @property
    def left(self) -> tuple[UnkeptTable, ...]:
        """Return what could not be brought to the source's state, with the reason; whole once it is applied."""
        return (*self.locked, *(() if self.objects is None else self.objects.left), *self.views.left)

    @property
    def written(self) -> dict[str, int]:
        """Return how many rows were written of each table, and how many large objects, as of one."""
        count = 0 if self.objects is None else self.objects.changed_count
        return self.rows | ({NAME: count} if count else {})

    def join(self, placing: Placing) -> Placing:
        """Return what goes with a delta, and this before it ends; last the views, which read all the rest."""

        async def finish() -> None:
            await switch_firing(self.session, self.differing, off=True)
            for table in self.differing:
                self.rows[table.name] = await place_difference(self.session, table)
                self.progress.finish_table(table.name, self.rows[table.name])
            await switch_firing(self.session, self.differing, off=False)
            if self.objects is not None:
                await self.objects.replace()
            await self.views.refresh()
            await placing.finish()
            await self.views.remember()
            if self.counters:
                await self.session.execute(_QUERIES["remember_counters"], self.component, json.dumps(self.counters))

        return replace(placing, finish=finish)


def captured_part(manifest: Manifest) -> Manifest:
    """Return the manifest with those tables alone that travel without being compared first."""
    return _with_tables(manifest, tuple(table for table in manifest.tables if table.mode in _CAPTURED))


async def stage_uncaptured(
    session: Session, client: NodeClient, manifest: Manifest, progress: Progress
) -> StagedUncaptured:
    """Compare, and bring what differs into landing tables; raises what `stage_delta` does."""
    compared = await compare_tables(session, client, manifest, progress, await _recall_counters(session, manifest))
    staged = await stage_delta(session, client, _with_tables(manifest, compared.differing), progress)
    return StagedUncaptured(
        session=session,
        progress=progress,
        whole=tuple(table for table in staged if table.source.number in compared.unknown),
        differing=tuple(table for table in staged if table.source.number not in compared.unknown),
        objects=await stage_objects(session, client, manifest, progress),
        views=await stage_views(session, client, manifest, progress),
        locked=compared.left,
        component=manifest.component,
        counters=compared.counters,
    )


async def _recall_counters(session: Session, manifest: Manifest) -> Mapping[str, str]:
    """Return the source's counters at the comparison that the copy was last found or made equal by."""
    is_told = any(table.counters is not None for table in manifest.tables)
    if not is_told or not await session.fetchval(_TARGET["has_cursor"]):
        return NOTHING
    text = await session.fetchval(_QUERIES["recall_counters"], manifest.component)
    return NOTHING if text is None else json.loads(text)


def _with_tables(manifest: Manifest, tables: tuple[ExportedTable, ...]) -> Manifest:
    return manifest.model_copy(update={"tables": tables})
