"""One round: hold the application, note a snapshot, start a sync, let the application go on, compare when it has ended.

Between the judge's snapshot and the sync's own nobody writes, so the standby must come to show the judge's exactly.
Until the comparison has ended nobody truncates: no snapshot shows a table as it was before a later TRUNCATE, neither to
the judge nor to the sync, which would have to take its snapshot again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lab.people import RUNNING, PeopleApi, explain_sync
from sample.comparison import compare_databases, read_sequences
from sample.snapshot_reader import connect
from sample.story.report import Round, age_seconds
from sample.transactions.model import Kind
from sample.workload import Workload

Json = dict[str, Any]

SYNC_SECONDS: Final = 90.0
PATIENCE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.02
OPENING: Final = "opening"


class SyncError(Exception):
    """A sync of the demo did not succeed."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of the pair: the active node's database, the standby's, the API of the standby's controller."""

    source_dsn: str
    target_dsn: str
    api: PeopleApi


async def play_round(
    number: int,
    sides: Sides,
    workload: Workload | None,
    *,
    shown_before: str | None,
    look: Callable[[Json], None],
    begin: Callable[[str], None],
) -> tuple[Round, str]:
    """Sync once and compare; return what was found and the instant (RFC 3339) that the standby shows now.

    `workload` is None when nobody writes; `shown_before` is the instant that the standby showed before. `look` sees the
    running sync, `begin` is told what is done. Raises SyncError, ApiError, TimeoutError.
    """
    name = "Seed" if number == 0 else f"Sync {number}"
    begin(name)
    async with connect(sides.source_dsn) as connection, AsyncExitStack() as calmed, AsyncExitStack() as held:
        if workload is not None:
            calmed.enter_context(workload.leave_out(Kind.EMPTY_QUEUE))
            await held.enter_async_context(workload.hold())
        held_at = time.monotonic()
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            sequences = await read_sequences(sides.source_dsn)
            async with asyncio.timeout(SYNC_SECONDS):
                sync = await start_and_open(sides.api, look)
                released_at = datetime.now(UTC)
                await held.aclose()
                held_seconds = time.monotonic() - held_at
                sync = await sides.api.follow_sync(sync["id"], look)
            if sync["result"] != "succeeded":
                raise SyncError(explain_sync(sync))
            (component,) = sync["components"]
            if workload is not None and datetime.fromisoformat(component["snapshot_at"]) > released_at:
                raise SyncError(f"{name} took its snapshot again while the application wrote: nobody can judge it")
            begin(f"{name}: an independent judge compares both sides")
            comparison = await compare_databases(
                sides.source_dsn, sides.target_dsn, source_snapshot=snapshot, source_sequences=sequences
            )
    found = Round(
        number=number,
        kind=component["kind"],
        rows=sync["rows"],
        bytes=sync["bytes"],
        seconds=sync["duration_seconds"],
        age_seconds=age_seconds(component["snapshot_at"], sync["ended_at"]),
        oldest_seconds=None if shown_before is None else age_seconds(shown_before, sync["ended_at"]),
        held_seconds=held_seconds if workload is not None else 0.0,
        is_quiet=workload is None,
        comparison=comparison,
    )
    return found, component["snapshot_at"]


async def start_and_open(api: PeopleApi, look: Callable[[Json], None]) -> Json:
    """Start a sync and return it as soon as its own snapshot is taken, or it has ended."""
    sync = await api.start_sync(patience_seconds=PATIENCE_SECONDS)
    while sync["result"] == RUNNING and sync["progress"] is not None and sync["progress"]["phase"] == OPENING:
        await asyncio.sleep(LOOK_SECONDS)
        sync = await api.read_sync(sync["id"])
        look(sync)
    return sync
