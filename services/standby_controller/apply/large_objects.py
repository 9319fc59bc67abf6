"""Large objects: both sides' digests decide which contents come; applied by the server's own functions.

Owners, rights and comments are compared too. What our role may not do with one of them leaves that one as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from services.standby_controller.apply.staging import counted
from services.standby_controller.progress import Progress
from shared.errors import TransferIncomplete
from shared.node.client import NodeClient
from shared.node.model import UnkeptTable
from shared.postgres.copy import copy_in
from shared.postgres.large_objects import write_object_list, write_rights
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import MOST_OBJECTS, Manifest

_QUERIES: Final = load_queries("services.standby_controller.apply", "uncaptured.sql")
NAME: Final = "large objects"


@dataclass(slots=True)
class StagedObjects:
    """Large objects that have landed in tables of the session."""

    session: Session
    changed_count: int
    left: list[UnkeptTable] = field(default_factory=list)

    async def replace(self) -> None:
        """Bring contents, owners, rights and comments to the source's, in the transaction that applies the rest."""
        await self.session.execute(_QUERIES["replace_objects"])
        await self.session.execute(_QUERIES["set_object_properties"].format(rights=write_rights()))
        trouble = await self.session.fetchrow(_QUERIES["list_trouble"])
        if trouble is not None:
            reason = f"{trouble['count']} could not be brought here; {trouble['oid']}: {trouble['reason']}"
            self.left.append(UnkeptTable(name=NAME, reason=reason))


async def stage_objects(
    session: Session, client: NodeClient, manifest: Manifest, progress: Progress
) -> StagedObjects | None:
    """Bring what changed into landing tables; None where neither side has a large object. Raises TransferIncomplete."""
    if manifest.large_objects is None:
        return None
    if manifest.large_objects == 0 and await session.fetchval(_QUERIES["count_own_objects"]) == 0:
        return None
    progress.start_table(NAME)
    await session.execute(_QUERIES["make_object_tables"])
    async with client.large_objects(manifest.export_id) as chunks:
        listed = await copy_in(session, "objects_there", counted(chunks, progress), schema="pg_temp", form="binary")
    if listed != manifest.large_objects:
        raise TransferIncomplete(f"{listed} of {manifest.large_objects} large objects were told of")
    await session.execute(_QUERIES["find_changed_objects"].format(objects=write_object_list()))
    last = 0
    while rows := await session.fetch(_QUERIES["list_wanted_objects"], last, MOST_OBJECTS):
        oids = [row["oid"] for row in rows]
        async with client.large_object_contents(manifest.export_id, oids) as chunks:
            await copy_in(session, "objects_content", counted(chunks, progress), schema="pg_temp", form="binary")
        last = oids[-1]
    if last:
        await session.execute(_QUERIES["index_contents"])
        incomplete = await session.fetchrow(_QUERIES["find_incomplete_object"])
        if incomplete is not None:
            raise TransferIncomplete(f"not all of large object {incomplete['oid']} arrived")
    changed_count = await session.fetchval(_QUERIES["count_changed_objects"])
    progress.finish_table(NAME, changed_count)
    return StagedObjects(session, changed_count)
