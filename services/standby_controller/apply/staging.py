"""Landing tables of a delta: what arrives is complete and counted before the first row of the copy is touched.

They are temporary tables of one session: a controller or server that dies leaves nothing to clean up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import asyncpg

from services.standby_controller.apply.indexes import PlainIndex, list_plain_indexes
from services.standby_controller.progress import Progress
from shared.errors import SchemaChanged, TransferIncomplete
from shared.node.client import NodeClient
from shared.postgres.catalog import Table, list_key_operators, list_tables
from shared.postgres.copy import copy_in
from shared.postgres.keys import write_key_selection
from shared.postgres.queries import load_queries, qualified, quote_identifier
from shared.postgres.sessions import Session
from shared.replication.model import ExportedTable, Manifest, TableMode

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")
_ANALYZE_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A table whose changes have landed."""

    source: ExportedTable
    target: Table
    key_operators: Mapping[str, str]
    has_rules: bool
    always_firing: tuple[str, ...]
    replica_firing: tuple[str, ...]
    plain_indexes: tuple[PlainIndex, ...]
    rows: int
    keys: int

    @property
    def name(self) -> str:
        """Return `schema.name` for people."""
        return f"{self.source.schema_name}.{self.source.name}"

    @property
    def sql_name(self) -> str:
        """Return the name for statements."""
        return qualified(self.source.schema_name, self.source.name)

    @property
    def rows_table(self) -> str:
        """Return the landing table of the rows."""
        return f"rows_{self.source.number}"

    @property
    def raw_table(self) -> str:
        """Return the landing table of the keys as they were captured."""
        return f"raw_{self.source.number}"

    @property
    def keys_table(self) -> str:
        """Return the landing table of the keys."""
        return f"keys_{self.source.number}"


async def stage_delta(
    session: Session, client: NodeClient, manifest: Manifest, progress: Progress
) -> tuple[StagedTable, ...]:
    """Bring everything a delta carries into landing tables of the session and check that all of it arrived.

    Raises TransferIncomplete, SchemaChanged when the copy lacks a table, and what the other node refuses.
    """
    if not manifest.tables:
        return ()
    await session.execute(_QUERIES["use_memory"])
    targets = {(table.schema_name, table.name): table for table in await list_tables(session, "")}
    wanted = [targets.get((table.schema_name, table.name)) for table in manifest.tables]
    oids = [table.oid for table in wanted if table is not None]
    traits = {row["oid"]: row for row in await session.fetch(_QUERIES["list_traits"], oids)}
    indexes = [table.key_index for table in wanted if table is not None and table.key_index is not None]
    operators = await list_key_operators(session, indexes)
    plain_indexes = await list_plain_indexes(session, oids)
    staged: list[StagedTable] = []
    for source, target in zip(manifest.tables, wanted, strict=True):
        if target is None:
            raise SchemaChanged(f"the standby has no table {source.schema_name}.{source.name}")
        trait = traits[target.oid]
        table = StagedTable(
            source=source,
            target=target,
            key_operators=operators.get(target.oid, {}),
            has_rules=trait["has_rules"],
            always_firing=tuple(trait["always_firing"]),
            replica_firing=tuple(trait["replica_firing"]),
            plain_indexes=plain_indexes.get(target.oid, ()),
            rows=0,
            keys=0,
        )
        staged.append(await _stage_table(session, client, manifest, table, progress))
    await _check_complete(client, manifest, staged)
    return tuple(staged)


async def _stage_table(
    session: Session, client: NodeClient, manifest: Manifest, table: StagedTable, progress: Progress
) -> StagedTable:
    progress.start_table(table.name)
    if table.source.mode is TableMode.DELTA and set(table.source.key) != set(table.target.key):
        raise SchemaChanged(f"table {table.name} has another key on the standby")
    await _make_landing_tables(session, table)
    keys = 0
    if table.source.mode is TableMode.DELTA:
        async with client.keys(manifest.export_id, table.source.number) as chunks:
            keys = await _copy_in(session, table.raw_table, chunks, progress, form="binary")
        types = {column.name: column.type for column in table.source.columns}
        raw, key_types = f"pg_temp.{table.raw_table}", [types[name] for name in table.source.key]
        selection = write_key_selection(raw, key_types, manifest.encoding)
        await session.execute(
            _QUERIES["stage_keys"].format(keys=f"pg_temp.{table.keys_table}", raw=raw, selection=selection)
        )
        await _analyze(session, table.keys_table, keys)
    columns = [column.name for column in table.source.columns]
    async with client.rows(manifest.export_id, table.source.number) as chunks:
        rows = await _copy_in(
            session, table.rows_table, chunks, progress, form="text", columns=columns, encoding=manifest.encoding
        )
    await _analyze(session, table.rows_table, rows)
    progress.add_rows(rows)
    return replace(table, rows=rows, keys=keys)


async def _make_landing_tables(session: Session, table: StagedTable) -> None:
    columns = ", ".join(quote_identifier(column.name) for column in table.source.columns)
    statements = [
        _QUERIES["stage_rows"].format(rows=f"pg_temp.{table.rows_table}", columns=columns, table=table.sql_name)
    ]
    if table.source.mode is TableMode.DELTA:
        statements.append(_QUERIES["stage_raw_keys"].format(raw=f"pg_temp.{table.raw_table}"))
    try:
        await session.execute("\n".join(statements))
    except asyncpg.UndefinedColumnError as error:
        raise SchemaChanged(f"table {table.name} has other columns on the standby") from error


async def _copy_in(
    session: Session,
    table: str,
    chunks: AsyncIterator[bytes],
    progress: Progress,
    *,
    form: Literal["text", "binary"],
    columns: list[str] | None = None,
    encoding: str | None = None,
) -> int:
    source = counted(chunks, progress)
    return await copy_in(session, table, source, schema="pg_temp", form=form, columns=columns, encoding=encoding)


async def _analyze(session: Session, table: str, rows: int) -> None:
    """Let the planner know a landing table; for a small one its guess is good enough."""
    if rows >= _ANALYZE_ROWS:
        await session.execute(_QUERIES["analyze"].format(table=f"pg_temp.{table}"))


async def _check_complete(client: NodeClient, manifest: Manifest, staged: list[StagedTable]) -> None:
    if not staged:
        return
    sent = {table.number: table for table in (await client.export(manifest.export_id)).sent}
    for table in staged:
        told = sent.get(table.source.number)
        if told is None or (told.rows, told.keys) != (table.rows, table.keys):
            raise TransferIncomplete(
                f"table {table.name}: {table.rows} rows and {table.keys} keys arrived, sent were "
                f"{(told.rows, told.keys) if told else 'none'}"
            )


async def counted(chunks: AsyncIterator[bytes], progress: Progress) -> AsyncIterator[bytes]:
    """Yield what arrives, and count its bytes."""
    async for chunk in chunks:
        progress.add_bytes(len(chunk))
        yield chunk
