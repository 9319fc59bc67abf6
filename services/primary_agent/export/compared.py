"""What a delta carries without captured keys: tables to compare, views to fill anew; what cannot be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.primary_agent.capture.component import ComponentCapture
from shared.node.model import UnkeptTable
from shared.postgres.catalog import Table, list_populated_views
from shared.postgres.large_objects import count_objects
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import TableMode, TableName
from shared.replication.plan import PlannedTable

_QUERIES: Final = load_queries("services.primary_agent.export", "export.sql")


@dataclass(frozen=True, slots=True)
class Uncaptured:
    """What changes in a database without a captured key, at an export's snapshot."""

    planned: tuple[PlannedTable, ...]
    """Tables and populated materialized views whose digests are to be compared, the small ones first: what is truncated
    meanwhile costs the export."""
    populated_views: tuple[TableName, ...]
    large_objects: int
    unkept: tuple[UnkeptTable, ...]


async def look_uncaptured(
    component: ComponentCapture, leader: Session, tables: Sequence[Table], *, also: Sequence[TableName] = ()
) -> Uncaptured:
    """Tell what a delta has to compare, these tables `also`, captured or not; the leader holds the snapshot."""
    asked = {(name.schema_name, name.name) for name in also}
    views = await list_populated_views(leader)
    populated = {(view.schema_name, view.name) for view in views}
    compared = [
        table
        for table in tables
        if table.holds_data and ((table.schema_name, table.name) in asked or not component.is_followed(table))
    ]
    filled = [table for table in tables if table.kind == "m" and (table.schema_name, table.name) in populated]
    hidden: set[int] = set()
    if compared or filled:
        oids = [table.oid for table in (*compared, *filled)]
        hidden = {row["oid"] for row in await leader.fetch(_QUERIES["list_unreadable"], oids)}
    objects = await count_objects(leader)
    unkept = [*component.list_unkept(tables)]
    unkept += [
        UnkeptTable(name=table.qualified_name, reason="our role may not read it (or not all of its rows)")
        for table in (*compared, *filled)
        if table.oid in hidden
    ]
    if objects.unreadable:
        reason = f"our role may not read {objects.unreadable} of {objects.total} large objects"
        unkept.append(UnkeptTable(name="large objects", reason=reason))
    planned = [(table, TableMode.COMPARED) for table in compared] + [(table, TableMode.REFRESHED) for table in filled]
    planned.sort(key=lambda item: item[0].estimated_bytes)
    return Uncaptured(
        planned=tuple(PlannedTable(table.oid, mode) for table, mode in planned if table.oid not in hidden),
        populated_views=views,
        large_objects=objects.total,
        unkept=tuple(unkept),
    )
