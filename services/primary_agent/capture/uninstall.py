"""Takes everything of ours away from an application's database, with what the node keeps about it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from services.primary_agent.capture.guard import give_back_identities, has_lent, remove_guard
from services.primary_agent.capture.source import Source
from services.primary_agent.capture.spool import Spool
from shared.errors import DatabaseMissing, RequestError, RightsMissing
from shared.postgres.queries import load_queries, quote_literal
from shared.settings import ComponentSettings, Settings

_QUERIES: Final = load_queries("services.primary_agent.capture", "uninstall.sql")
_AGAIN: Final = "Run the command again when the statement that holds it has ended."


async def uninstall(settings: Settings, component: ComponentSettings) -> list[str]:
    """Remove guard, publication, schema, slot and origin, then the spool; return what was there, in words. Idempotent.

    Raises RequestError while an agent captures the component or a table that must be mended is in use, RightsMissing
    for what neither of our roles may remove; the database is as it was then.
    """
    dsn = settings.postgres.dsn.get_secret_value()
    spool = Spool(dsn, component.name)
    async with AsyncExitStack() as stack:
        try:
            node = await stack.enter_async_context(spool.session())
        except DatabaseMissing:
            node = None
        if node is not None and not await spool.lock(node):
            raise RequestError(
                f"an agent captures component {component.name}",
                hint="Stop `warmstandby agent` on this node first; it would make everything again.",
            )
        try:
            removed = await _remove(settings, component, dsn)
        except RightsMissing:  # a seed made the schema: it is the other role's
            removed = await _remove(settings, component, settings.postgres.apply_dsn.get_secret_value())
        except DatabaseMissing:
            removed = []
        if node is not None and await node.fetchval(_QUERIES["has_captures"]):
            await spool.delete_capture(node)
    return removed


async def _remove(settings: Settings, component: ComponentSettings, dsn: str) -> list[str]:
    source = Source(dsn, component.name, component.database, settings.capture.lock_timeout_seconds)
    origin = f"warmstandby_{component.name}"
    async with source.session() as session:
        found = [row["thing"] for row in await session.fetch(_QUERIES["list_ours"], source.slot_name, origin)]
        async with session.transaction():
            await remove_guard(session)
            await session.execute(_QUERIES["drop_publication"])
            if await session.fetchval(_QUERIES["has_list_of_lent"]):
                await give_back_identities(session)
                if await has_lent(session):
                    raise RequestError("a table whose replica identity must be given back is in use", hint=_AGAIN)
            await session.execute(_QUERIES["drop_schema"])
        await source.drop_slot(session)
        if f"replication origin {origin}" in found:
            await session.execute(_QUERIES["drop_origin"].replace("$1", quote_literal(origin)))
        return found
