"""A full copy: a shadow database filled at one snapshot beside the live one, then swapped in by one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, TypeVar

from services.standby_controller.apply.cursor import Cursor, write_cursor
from services.standby_controller.apply.held_export import HeldExport
from services.standby_controller.apply.merge import set_sequences
from services.standby_controller.apply.restore import SchemaArchive
from services.standby_controller.apply.shadow import Shadow
from services.standby_controller.apply.views import fill_views
from services.standby_controller.definitions.keeping import keep_entries
from services.standby_controller.progress import Progress
from shared.errors import PeerRefusal, TableRewritten, TransferIncomplete
from shared.errors.groups import first_of
from shared.node.client import NodeClient
from shared.postgres.application import install_application_schema
from shared.postgres.catalog import Table, list_tables
from shared.postgres.copy import copy_in
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, open_session, translated
from shared.replication.model import ExportedTable, SyncPhase, TableName
from shared.settings import Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "seed.sql")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seeded:
    """A shadow that holds a full copy; tables left out changed their file while it was made."""

    cursor: Cursor
    left_out: tuple[TableName, ...]
    rows_per_table: dict[str, int]


class Seeder:
    """Fills one shadow database from one export."""

    def __init__(
        self, settings: Settings, client: NodeClient, export: HeldExport, shadow: Shadow, progress: Progress
    ) -> None:
        """Take the parts; nothing happens yet."""
        self._settings = settings
        self._client = client
        self._export = export
        self._manifest = export.manifest
        self._shadow = shadow
        self._progress = progress
        self._dsn = settings.postgres.apply_dsn.get_secret_value()
        self._rows: dict[str, int] = {}
        self._arrived: dict[int, int] = {}
        self._left_out: list[TableName] = []

    async def fill(self, epoch: int) -> Seeded:
        """Bring definitions, rows, indexes, sequences and cursor into the shadow; close the export once rows are in."""
        progress, manifest = self._progress, self._manifest
        progress.enter(SyncPhase.SCHEMA)
        archive = await SchemaArchive.fetch(
            self._settings,
            self._client,
            manifest,
            database=self._shadow.name,
            seed_id=self._shadow.seed_id,
            is_superuser=await self._shadow.is_superuser(),
            progress=progress,
        )
        try:
            entries = await archive.entries()
            await archive.restore("pre-data")
            await self._install_our_schema()
            async with self._session() as session:
                await self._empty_extension_tables(session)
            progress.enter(SyncPhase.COPYING)
            await archive.restore("data")
            await self._copy_tables()
            await self._check_complete()
            await self._export.close()
            progress.enter(SyncPhase.INDEXES)
            await archive.restore("post-data", jobs=self._settings.controller.parallel_copies)
        finally:
            archive.remove()
        async with self._session() as session:
            with translated("finishing the full copy"):
                await fill_views(session, manifest.populated_views)
                await set_sequences(session, manifest)
                filled = [table for table in await list_tables(session, "") if table.kind != "f"]
                await self._share(filled, _analyze)  # what lies elsewhere is not asked, it may not answer
                await write_cursor(
                    session,
                    manifest,
                    seed_id=self._shadow.seed_id,
                    epoch=epoch,
                    definitions_token=manifest.definitions_token,
                )
                await keep_entries(session, manifest.component, entries)
        cursor = Cursor(
            point=manifest.point,
            source_node=manifest.node_id,
            seed_id=self._shadow.seed_id,
            snapshot_at=manifest.taken_at,
            definitions_token=manifest.definitions_token,
        )
        return Seeded(cursor, tuple(self._left_out), self._rows)

    def _session(self) -> AbstractAsyncContextManager[Session]:
        return open_session(self._dsn, database=self._shadow.name)

    async def _install_our_schema(self) -> None:
        """Make it as the node's own role, whose guard row a promotion updates; the role that applies is its member."""
        dsn = self._settings.postgres.dsn.get_secret_value()
        async with open_session(dsn, database=self._shadow.name) as session:
            with translated("installing our schema in the full copy"):
                await install_application_schema(session)

    async def _empty_extension_tables(self, session: Session) -> None:
        """An extension's own tables come filled; the source's rows take their place."""
        for table in await list_tables(session, ""):
            if table.is_extension_configuration:
                await session.execute(_QUERIES["delete_all"].format(table=table.sql_name))

    async def _copy_tables(self) -> None:
        largest_first = sorted(self._manifest.tables, key=lambda table: table.estimated_bytes, reverse=True)
        await self._share(largest_first, self._copy_table)

    async def _share(self, tables: Sequence[T], do: Callable[[Session, T], Awaitable[None]]) -> None:
        """Divide tables, in their order, among the sessions that a full copy has."""
        queue = iter(tables)

        async def work() -> None:
            async with self._session() as session:
                for table in queue:
                    await do(session, table)

        workers = min(self._settings.controller.parallel_copies, max(1, len(tables)))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise first_of(errors) from None

    async def _copy_table(self, session: Session, table: ExportedTable) -> None:
        name = f"{table.schema_name}.{table.name}"
        self._progress.start_table(name)
        try:
            with translated(f"copying table {name}"):
                async with self._client.rows(self._manifest.export_id, table.number) as chunks:
                    rows = await copy_in(
                        session,
                        table.name,
                        self._counted(chunks),
                        schema=table.schema_name,
                        form="text",
                        columns=[column.name for column in table.columns],
                        encoding=self._manifest.encoding,
                    )
        except PeerRefusal as refusal:
            if refusal.peer_code != TableRewritten.code:
                raise
            self._left_out.append(TableName(schema_name=table.schema_name, name=table.name))
            return
        self._rows[name] = self._arrived[table.number] = rows
        self._progress.finish_table(name, rows)

    async def _check_complete(self) -> None:
        left_out = {(name.schema_name, name.name) for name in self._left_out}
        sent = {table.number: table.rows for table in (await self._client.export(self._manifest.export_id)).sent}
        for table in self._manifest.tables:
            if (table.schema_name, table.name) in left_out:
                continue
            arrived, told = self._arrived.get(table.number), sent.get(table.number)
            if arrived != told:
                raise TransferIncomplete(
                    f"table {table.schema_name}.{table.name}: {arrived} rows arrived, {told} were sent"
                )

    async def _counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._progress.add_bytes(len(chunk))
            yield chunk


async def _analyze(session: Session, table: Table) -> None:
    with translated(f"analyzing table {table.qualified_name}"):
        await session.execute(_QUERIES["analyze"].format(table=table.sql_name))
