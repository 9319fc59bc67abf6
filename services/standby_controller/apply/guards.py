"""What stops a sync before anything is overwritten: it counts here, and `policy/guards.py` judges.

A delta is judged between staging and merging, when all it would delete is known; a full copy by its manifest before it
begins, and by its rows before it takes the place of the live one.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.standby_controller.apply.cursor import Cursor, read_cursor
from services.standby_controller.apply.staging import StagedTable
from services.standby_controller.policy.guards import (
    Guard,
    Guards,
    find_disk_shortage,
    find_lost_tables,
    find_other_database,
    find_shrinkage,
    may_have_shrunk,
)
from shared.errors import DatabaseMissing, DiskShort, PostgresError, SourceChanged, SourceShrank
from shared.log import fields_of
from shared.postgres.keys import write_key_match
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, open_session, translated
from shared.replication.model import Manifest, TableMode, TableName
from shared.settings import ComponentSettings, Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "guards.sql")
_SMALL_BYTES: Final = 2**20
"""A table up to this size is counted rather than estimated."""
_TABLES_AT_A_TIME: Final = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Live:
    """The copy that a full copy would replace."""

    cursor: Cursor
    rows: dict[str, int]
    bytes: int


class SourceGuard:
    """Guards one component in one sync."""

    def __init__(self, settings: Settings, component: ComponentSettings, guards: Guards, epoch: int) -> None:
        """`epoch` is that of the term in which the source is followed."""
        self._settings = settings
        self._component = component
        self._guards = guards
        self._epoch = epoch
        self._live: _Live | None = None
        self._before: Mapping[str, int] | None = None

    async def check_delta(self, session: Session, staged: Sequence[StagedTable]) -> None:
        """Raise SourceShrank when what has landed would take too much from the copy; for the session that staged it."""
        if Guard.SOURCE_SHRANK in self._guards.accepted:
            return
        if self._before is not None:
            await self._check_redefined(session, staged, self._before)
            return
        lost = {table.name: await self._most_lost(session, table) for table in staged}
        lost = {name: rows for name, rows in lost.items() if rows > 0}
        if not lost:
            return
        limits = self._guards.limits
        noted = {row["name"]: row["rows"] for row in await session.fetch(_QUERIES["note_rows"])}
        if not may_have_shrunk(lost, noted, limits):
            return
        before = await count_tables(session, exactly=lost)
        after = dict(before)
        for table in staged:
            if table.name in lost:
                after[table.name] += await _grown(session, table, before[table.name])
        self._refuse_shrunk(find_shrinkage(before, after, limits))

    async def note_before(self, session: Session) -> None:
        """Count the copy before its definitions change: afterwards tables are gone, and others new."""
        if Guard.SOURCE_SHRANK not in self._guards.accepted:
            self._before = await count_tables(session)

    async def _check_redefined(
        self, session: Session, staged: Sequence[StagedTable], before: Mapping[str, int]
    ) -> None:
        """Judge tables that go, and what has landed for those that stay or are new, against what there was."""
        after = {row["name"]: before.get(row["name"], 0) for row in await session.fetch(_QUERIES["estimate_rows"])}
        for table in staged:
            after[table.name] += await _grown(session, table, after[table.name])
        limits = self._guards.limits
        self._refuse_shrunk(find_lost_tables(before, after, limits) or find_shrinkage(before, after, limits))

    async def check_manifest(self, session: Session, manifest: Manifest) -> None:
        """Raise SourceChanged, SourceShrank or DiskShort for a full copy that is about to begin.

        The session is with the node's own database.
        """
        accepted, live = self._guards.accepted, await self._look_at_live()
        self._live = live
        if live is not None:
            is_told_of_another = live.cursor.source_node != manifest.node_id or live.cursor.term_epoch != self._epoch
            reason = find_other_database(manifest.node_id, live.cursor.source, manifest.source)
            if reason is not None and not is_told_of_another and Guard.SOURCE_CHANGED not in accepted:
                raise SourceChanged(f"component {self._component.name}: {reason}")
            if Guard.SOURCE_SHRANK not in accepted:
                tables = {f"{table.schema_name}.{table.name}": 0 for table in manifest.tables}
                self._refuse_shrunk(find_lost_tables(live.rows, tables, self._guards.limits))
        if Guard.DISK_SHORT not in accepted:
            await self._check_disk(session, manifest)

    async def check_swap(self, shadow: str, filled_late: Collection[TableName]) -> None:
        """Raise SourceShrank when a finished full copy holds too little of what it would replace."""
        if self._live is None or Guard.SOURCE_SHRANK in self._guards.accepted:
            return
        async with self._session(shadow) as session:
            with translated("counting the full copy"):
                late = {f"{table.schema_name}.{table.name}" for table in filled_late}
                after = await count_tables(session, exactly=late)
        self._refuse_shrunk(find_shrinkage(self._live.rows, after, self._guards.limits))

    def _session(self, database: str) -> AbstractAsyncContextManager[Session]:
        return open_session(self._settings.postgres.apply_dsn.get_secret_value(), database=database)

    def _refuse_shrunk(self, reason: str | None) -> None:
        if reason is not None:
            raise SourceShrank(f"component {self._component.name}: {reason}")

    async def _most_lost(self, session: Session, table: StagedTable) -> int:
        """Return how many rows of a table may go: every key without a row may be one of the copy."""
        if table.source.mode is TableMode.DELTA:
            return max(0, table.keys - table.rows)
        return max(0, (await _count(session, [table.sql_name]))[0] - table.rows)

    async def _look_at_live(self) -> _Live | None:
        """Return what is known of the copy; None where there is none, the database is no copy, or cannot be read.

        A copy that is damaged must not stop the full copy that would mend it.
        """
        database = self._component.database
        try:
            async with self._session(database) as session:
                with translated(f"counting database {database}"):
                    cursor = await read_cursor(session, self._component.name)
                    if cursor is None:
                        return None
                    size = await session.fetchval(_QUERIES["database_bytes"], database)
                    return _Live(cursor, await count_tables(session), size)
        except DatabaseMissing:
            return None
        except PostgresError as error:
            _log.warning(
                "the present copy cannot be counted", extra={"component": self._component.name, **fields_of(error)}
            )
            return None

    async def _check_disk(self, session: Session, manifest: Manifest) -> None:
        folder = self._settings.postgres.data_dir
        if folder is None:
            with translated("asking for the server's data folder"):
                found = await session.fetchval(_QUERIES["find_data_directory"])
            folder = None if found is None else Path(found)
        free = None if folder is None else await asyncio.to_thread(_free_bytes, folder)
        if free is None:
            _log.info("free space for a full copy is not known", extra={"component": self._component.name})
        reason = find_disk_shortage(
            needed_bytes=None if manifest.source is None else manifest.source.database_bytes,
            free_bytes=free,
            floor_bytes=self._settings.agent.disk_floor_bytes,
            live_bytes=0 if self._live is None else self._live.bytes,
        )
        if reason is not None:
            raise DiskShort(f"component {self._component.name}, data folder {folder}: {reason}")


async def _grown(session: Session, table: StagedTable, before: int) -> int:
    """Return by how many rows a table of `before` rows grows."""
    return table.rows - (await _present(session, table) if table.source.mode is TableMode.DELTA else before)


async def count_tables(session: Session, *, exactly: Collection[str] = ()) -> dict[str, int]:
    """Return the rows of each table by `schema.name`: estimated where it is large, and neither unknown nor named."""
    rows: dict[str, int] = {}
    counted: dict[str, str] = {}
    for row in await session.fetch(_QUERIES["estimate_rows"]):
        name = row["name"]
        if row["bytes"] and (row["rows"] is None or row["bytes"] <= _SMALL_BYTES or name in exactly):
            counted[name] = row["sql_name"]
        rows[name] = row["rows"] or 0
    return rows | dict(zip(counted, await _count(session, list(counted.values())), strict=True))


async def _count(session: Session, tables: Sequence[str]) -> list[int]:
    counts: list[int] = []
    for start in range(0, len(tables), _TABLES_AT_A_TIME):
        group = tables[start : start + _TABLES_AT_A_TIME]
        parts = (_QUERIES["count_rows"].format(number=place, table=table) for place, table in enumerate(group))
        found = {row["number"]: row["rows"] for row in await session.fetch("\nUNION ALL ".join(parts))}
        counts += [found[place] for place in range(len(group))]
    return counts


async def _present(session: Session, table: StagedTable) -> int:
    key = table.source.key
    match = write_key_match(key, [table.key_operators[name] for name in key], table="t", keys="k")
    statement = _QUERIES["count_present"].format(table=table.sql_name, keys=table.keys_table, match=match)
    count: int = await session.fetchval(statement)
    return count


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
