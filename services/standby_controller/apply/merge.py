"""The one transaction that brings a copy to the next sync point: deletes of all tables, then inserts, cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from services.standby_controller.apply.cursor import hold_guard
from services.standby_controller.apply.indexes import build_again, lay_aside
from services.standby_controller.apply.staging import StagedTable
from services.standby_controller.progress import Progress
from shared.errors import Divergence
from shared.postgres.keys import write_key_match
from shared.postgres.queries import load_queries, quote_identifier
from shared.postgres.sequences import farther, list_ranges, list_sequences, set_positions
from shared.postgres.sessions import Session
from shared.replication.model import Manifest, TableMode

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")
Step = Callable[[], Awaitable[None]]

BULK_ROWS: Final = 20_000
_BULK_SHARE: Final = 0.25
"""Share of a table's rows from which an index is built faster anew than entry by entry."""


@dataclass(frozen=True, slots=True)
class Placing:
    """What goes with the rows in their transaction: what is done before the first is touched, and what ends it."""

    finish: Step
    """Writes where the copy stands now."""
    begin: Step | None = None
    """Saves what is about to be overwritten."""
    keeps_farther_sequences: bool = False


async def merge_delta(
    session: Session,
    manifest: Manifest,
    staged: tuple[StagedTable, ...],
    *,
    database: str,
    placing: Placing,
    progress: Progress,
) -> dict[str, int]:
    """Apply what has landed in one transaction with the cursor and return the rows written for each table.

    Foreign keys and triggers of the copy do not fire: the active node's already did. Raises GuardClosed, CursorMoved,
    and Divergence when the copy cannot take the rows.
    """
    written: dict[str, int] = {}
    try:
        async with session.transaction():
            await session.execute("SET LOCAL session_replication_role = replica")
            await hold_guard(session, database)
            if placing.begin is not None:
                await placing.begin()
            await switch_firing(session, staged, off=True)
            laid_aside = [
                await lay_aside(session, table.sql_name, table.plain_indexes) if is_bulk(table) else ()
                for table in staged
            ]
            for table in staged:
                written[table.name] = await _delete(session, table)
            for table, indexes in zip(staged, laid_aside, strict=True):
                written[table.name] += await _insert(session, table)
                await build_again(session, indexes)
                progress.finish_table(table.name, written[table.name])
            await switch_firing(session, staged, off=False)
            await set_sequences(session, manifest, keeps_farther=placing.keeps_farther_sequences)
            await placing.finish()
    except asyncpg.IntegrityConstraintViolationError as error:
        raise Divergence(f"the copy does not take the active node's rows: {error}") from error
    return written


async def set_sequences(session: Session, manifest: Manifest, *, keeps_farther: bool = False) -> None:
    """Bring the sequences that stand elsewhere to the active node's positions, or to the farther of both."""
    present = {(value.schema_name, value.name): value for value in await list_sequences(session)}
    ranges = await list_ranges(session) if keeps_farther else {}
    wanted = [
        farther(value, present[name], ranges[name]) if keeps_farther else value
        for value in manifest.sequences
        if (name := (value.schema_name, value.name)) in present
    ]
    await set_positions(session, [value for value in wanted if present[value.schema_name, value.name] != value])


def is_bulk(table: StagedTable) -> bool:
    """Say whether so many rows of a table change that its secondary indexes are better built anew."""
    changed = max(table.rows, table.keys)
    is_share = table.source.mode is TableMode.WHOLE or changed >= _BULK_SHARE * table.target.estimated_rows
    return changed >= BULK_ROWS and is_share


def may_merge(table: StagedTable) -> bool:
    """Say whether MERGE is to be used: the key is the only unique index, and no rule, identity or bulk forbids it."""
    columns = table.source.columns
    identity_elsewhere = any(column.is_identity_always and column.name not in table.source.key for column in columns)
    has_settable = any(not column.is_identity_always for column in columns)
    is_simple = not table.target.has_more_unique and not table.has_rules
    return is_simple and not identity_elsewhere and has_settable and not is_bulk(table)


def write_insert(table: StagedTable) -> str:
    """Return the statement that inserts all landed rows."""
    columns = ", ".join(quote_identifier(column.name) for column in table.source.columns)
    listed = f"({columns})" if columns else ""  # a table may have no column, or computed ones alone
    return _QUERIES["insert_rows"].format(table=table.sql_name, listed=listed, columns=columns, rows=table.rows_table)


async def _delete(session: Session, table: StagedTable) -> int:
    if table.source.mode is TableMode.WHOLE:
        return _count(await session.execute(_QUERIES["delete_all"].format(table=table.sql_name)))
    key = table.source.key
    operators = [table.key_operators[name] for name in key]
    match = write_key_match(key, operators, table="t", keys="k")
    if not may_merge(table):
        statement = _QUERIES["delete_keys"].format(table=table.sql_name, keys=table.keys_table, match=match)
        return _count(await session.execute(statement))
    row_match = " AND ".join(
        f"r.{quote_identifier(column)} {operator} k.k{place}"
        for place, (column, operator) in enumerate(zip(key, operators, strict=True), start=1)
    )
    statement = _QUERIES["delete_vanished"].format(
        table=table.sql_name, keys=table.keys_table, rows=table.rows_table, match=match, row_match=row_match
    )
    return _count(await session.execute(statement))


async def _insert(session: Session, table: StagedTable) -> int:
    names = [quote_identifier(column.name) for column in table.source.columns]
    columns = ", ".join(names)
    if table.source.mode is TableMode.WHOLE or not may_merge(table):
        return _count(await session.execute(write_insert(table)))
    settable = [quote_identifier(column.name) for column in table.source.columns if not column.is_identity_always]
    row_match = " AND ".join(
        f"t.{quote_identifier(column)} {table.key_operators[column]} r.{quote_identifier(column)}"
        for column in table.source.key
    )
    statement = _QUERIES["merge_rows"].format(
        table=table.sql_name,
        rows=table.rows_table,
        row_match=row_match,
        old=", ".join(f"t.{name}" for name in names),
        new=", ".join(f"r.{name}" for name in names),
        assignments=", ".join(f"{name} = r.{name}" for name in settable),
        columns=columns,
    )
    return _count(await session.execute(statement))


async def switch_firing(session: Session, staged: Sequence[StagedTable], *, off: bool) -> None:
    """Keep triggers and rules that fire on replicated changes too from acting again; off and on in one transaction."""
    for table in staged:
        for fires, verb in ((table.always_firing, "ENABLE ALWAYS"), (table.replica_firing, "ENABLE REPLICA")):
            for what in fires:
                await session.execute(f"ALTER TABLE ONLY {table.sql_name} {'DISABLE' if off else verb} {what}")


def _count(tag: str) -> int:
    return int(tag.rsplit(maxsplit=1)[-1])
