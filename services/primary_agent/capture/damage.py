"""What somebody took away of our own tables and functions: noticed where it is missed, and made again. Decides nothing.

The history in a table that is gone is gone too; whoever makes the capture again sees to it that the standbys seed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import asyncpg

from services.primary_agent.capture.drain import CaptureLost
from shared.errors import CaptureDamaged, NodeDatabaseMissing, WarmstandbyError
from shared.node.model import CaptureState
from shared.postgres.migrations import migrate
from shared.postgres.queries import load_queries
from shared.postgres.sessions import open_session, translated

if TYPE_CHECKING:
    from services.primary_agent.capture.component import ComponentCapture

_QUERIES: Final = load_queries("services.primary_agent.capture", "damage.sql")
_log = logging.getLogger(__name__)


async def make_node_schema(dsn: str) -> None:
    """Bring our schema in the node's own database to its newest form; one that lacks a table is made anew. Idempotent.

    The copy of the node's record outlives that: it is no part of the capture.
    """
    kept: list[asyncpg.Record] = []
    async with open_session(dsn) as session:
        with translated("looking at the node's own schema"):
            if await session.fetchval(_QUERIES["has_migrations"]):
                missing = [row["name"] for row in await session.fetch(_QUERIES["list_missing"])]
                if missing:
                    _log.warning("schema agent lacks tables and is made anew", extra={"tables": missing})
                    async with session.transaction():
                        if await session.fetchval(_QUERIES["has_record_copy"]):
                            kept = await session.fetch(_QUERIES["read_record_copy"])
                        await session.execute(_QUERIES["drop_schema"])
    await migrate(dsn, package="services.primary_agent.capture.migrations", schema="agent")
    if kept:
        async with open_session(dsn) as session:
            with translated("keeping the copy of the node's record"):
                await session.executemany(_QUERIES["write_record_copy"], [tuple(row.values()) for row in kept])


def note_damage(capture: ComponentCapture, error: WarmstandbyError) -> None:
    """Take it that what is missing must be made again, where an error says so."""
    if isinstance(error, CaptureDamaged | NodeDatabaseMissing):
        capture.facts.state = CaptureState.BROKEN
        capture.forget_schema()


async def spare_disk(capture: ComponentCapture) -> None:
    """Drop the slot of a capture that has a problem once its log passes the budget, whatever else does not work."""
    budget = capture.settings.capture.budget_bytes
    try:
        async with capture.lock, capture.source.session() as application:
            slot = await capture.source.find_slot(application)
            if slot is None or (slot.kept_bytes or 0) <= budget:
                return
            await capture.drainer.close()
            await capture.source.drop_slot(application)
            capture.is_given_up = True
            problem = capture.facts.problem
            why = "" if problem is None else f"; it could not be read: {problem.text}"
            capture.report(
                CaptureLost(
                    f"the slot kept {slot.kept_bytes} bytes, over [capture] budget_bytes, and was dropped{why}",
                    hint="Set right what the detail names; the next sync seeds.",
                )
            )
            capture.facts.state = CaptureState.BROKEN
    except WarmstandbyError as error:
        _log.debug("slot not looked at", extra={"detail": error.detail})
