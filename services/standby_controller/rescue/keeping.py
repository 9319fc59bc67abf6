"""Databases kept as a whole where no rows could be told apart: noted before the swap, dropped when discarded."""

from __future__ import annotations

import logging
from typing import Final

from services.standby_controller.apply.shadow import Shadow, drop_database
from services.standby_controller.rescue.manifest import RescueKind, RescueManifest
from services.standby_controller.rescue.saving import Occasion
from services.standby_controller.rescue.shelf import Shelf
from shared.clock import SystemClock
from shared.errors import DatabaseUnreachable
from shared.postgres.queries import load_queries
from shared.postgres.sessions import open_session, translated
from shared.settings import Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "seed.sql")
_log = logging.getLogger(__name__)


async def keep_database(
    shelf: Shelf, shadow: Shadow, component: str, node_id: str, occasion: Occasion
) -> RescueManifest | None:
    """Note that the database about to be replaced is kept, and under which name; None where it is a copy or unused."""
    if not await shadow.must_keep_live(component):
        return None
    kept = RescueManifest(
        id=f"{component}-{occasion.term_epoch}-{shadow.seed_id}",
        kind=RescueKind.DATABASE,
        component=component,
        database=occasion.database,
        node_id=node_id,
        source_node=occasion.source_node,
        term_epoch=occasion.term_epoch,
        reason=occasion.reason,
        made_at=SystemClock().now(),
        kept_database=shadow.rescue_name,
    )
    await shelf.finish(kept)
    return kept


async def forget_unkept(settings: Settings) -> None:
    """Forget databases that were noted and never kept: the swap did not come, or somebody dropped them. Idempotent."""
    shelf = Shelf(settings)
    noted = [one for one in await shelf.list_all() if one.kept_database is not None]
    if not noted:
        return
    async with open_session(settings.postgres.apply_dsn.get_secret_value()) as session:
        with translated("looking for databases that were kept"):
            for one in noted:
                if not await session.fetchval(_QUERIES["database_exists"], one.kept_database):
                    _log.info("rescue forgotten, its database is not there", extra={"rescue": one.id})
                    await shelf.drop(one.id)


async def discard(settings: Settings, shelf: Shelf, rescue_id: str) -> RescueManifest:
    """Remove a rescue with its files or its database; raises NotFound, DatabaseUnreachable."""
    manifest = await shelf.read(rescue_id)
    if manifest.kept_database is not None:
        async with open_session(settings.postgres.apply_dsn.get_secret_value()) as session:
            with translated(f"dropping database {manifest.kept_database}"):
                if not await drop_database(session, manifest.kept_database):
                    raise DatabaseUnreachable(f"database {manifest.kept_database} is in use and could not be dropped")
    await shelf.drop(rescue_id)
    return manifest
