"""Tables that no captured keys tell of: digests of both sides decide which of them have to come, whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import asyncpg

from services.standby_controller.progress import Progress
from shared.errors import PeerRefusal, SchemaChanged, TableLocked
from shared.errors.groups import first_of
from shared.node.client import NodeClient
from shared.node.model import UnkeptTable
from shared.postgres.digest import NO_DIGEST, Digest, digest_rows
from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session
from shared.replication.model import ExportedTable, Manifest, TableDigest, TableMode

_ASKED_AT_A_TIME: Final = 2
_QUERIES: Final = load_queries("services.standby_controller.apply", "uncaptured.sql")
_REFUSING: Final = "our role may not write to it on the standby"
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
LOCKED: Final = "the application held it while this sync ran: it stands as an earlier sync left it"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TwoDigests:
    """What a table's rows come to on both sides; None where that is not known."""

    table: ExportedTable
    there: Digest | None
    here: Digest | None
    is_locked: bool = False
    """The source's application holds it, so that it could not be read."""

    @property
    def is_equal(self) -> bool:
        """Say whether both are known and the same."""
        return self.there is not None and self.there == self.here


@dataclass(frozen=True, slots=True)
class Compared:
    """What the digests say of the tables that an export compares."""

    differing: tuple[ExportedTable, ...]
    """They are to come whole."""
    unknown: frozenset[int]
    """Those of them, by number, of which a row's text cannot be computed."""
    left: tuple[UnkeptTable, ...]
    counters: Mapping[str, str] = field(default_factory=dict)
    """The source's counters of the tables that are equal to its own, or will be once those that differ have come."""


async def compare_tables(
    session: Session, client: NodeClient, manifest: Manifest, progress: Progress, known: Mapping[str, str] = NOTHING
) -> Compared:
    """Compare by digests the tables that the manifest says are to be compared. Raises SchemaChanged as staging does.

    Those that were equal when the source's counters were as they are (`known`, by name) are so still.
    """
    compared = [table for table in manifest.tables if table.mode is TableMode.COMPARED]
    if not compared:
        return Compared((), frozenset(), ())
    names = [qualified(table.schema_name, table.name) for table in compared]
    refusing = {row["name"] for row in await session.fetch(_QUERIES["list_refusing"], names)}
    open_to_us = [table for table, name in zip(compared, names, strict=True) if name not in refusing]
    tables = [table for table in open_to_us if table.counters is None or known.get(name_of(table)) != table.counters]
    for table in tables:
        progress.start_table(name_of(table))
    found = await read_digests(session, client, manifest, tables)
    for both in found:
        if both.is_equal or both.is_locked:
            progress.finish_table(name_of(both.table), 0)
    return Compared(
        differing=tuple(
            both.table.model_copy(update={"mode": TableMode.WHOLE})
            for both in found
            if not both.is_equal and not both.is_locked
        ),
        unknown=frozenset(both.table.number for both in found if both.there is None or both.here is None),
        left=(
            *(UnkeptTable(name=name_of(both.table), reason=LOCKED) for both in found if both.is_locked),
            *(UnkeptTable(name=name_of(table), reason=_REFUSING) for table in compared if table not in open_to_us),
        ),
        counters={
            name_of(table): table.counters
            for table in open_to_us
            if table.counters is not None
            and table.number not in {both.table.number for both in found if both.is_locked}
        },
    )


async def read_digests(
    session: Session,
    client: NodeClient,
    manifest: Manifest,
    tables: Sequence[ExportedTable],
    *,
    may_have_other_columns: bool = False,
) -> list[TwoDigests]:
    """Return both sides' digests of tables; the other side computes while this one does.

    Raises SchemaChanged for a table with other columns here, unless that is only a difference like any other.
    """
    there: dict[int, Digest | None] = {}
    locked: set[int] = set()
    waiting: Iterator[ExportedTable] = iter(tables)

    async def ask() -> None:
        for table in waiting:
            try:
                told = await client.digest(manifest.export_id, table.number)
            except PeerRefusal as refusal:
                if refusal.peer_code != TableLocked.code:
                    raise
                locked.add(table.number)
            else:
                there[table.number] = _read_told(table, told)

    try:
        async with asyncio.TaskGroup() as group:
            own = group.create_task(_digest_own(session, tables, may_have_other_columns))
            for _ in range(min(_ASKED_AT_A_TIME, len(tables))):
                group.create_task(ask())
    except ExceptionGroup as errors:
        raise first_of(errors) from None
    here = own.result()
    return [TwoDigests(table, there.get(table.number), here[table.number], table.number in locked) for table in tables]


async def _digest_own(
    session: Session, tables: Sequence[ExportedTable], may_have_other_columns: bool
) -> dict[int, Digest | None]:
    found: dict[int, Digest | None] = {}
    for table in tables:
        rows = f"ONLY {qualified(table.schema_name, table.name)} AS t"
        try:
            found[table.number] = await digest_rows(session, rows, table.columns)
        except asyncpg.UndefinedTableError as error:
            raise SchemaChanged(f"the standby has no table {name_of(table)}") from error
        except asyncpg.UndefinedColumnError as error:
            if not may_have_other_columns:
                raise SchemaChanged(f"table {name_of(table)} has other columns on the standby") from error
            found[table.number] = None
        except NO_DIGEST as error:
            _tell_unknown(table, f"here: {error}")
            found[table.number] = None
    return found


def _read_told(table: ExportedTable, told: TableDigest) -> Digest | None:
    if told.row_count is None or told.hash_sum is None:
        _tell_unknown(table, f"on the active node: {told.problem}")
        return None
    return Digest(told.row_count, told.hash_sum)


def _tell_unknown(table: ExportedTable, detail: str) -> None:
    _log.warning(
        "no digest can be computed, the rows are taken as changed", extra={"table": name_of(table), "detail": detail}
    )


def name_of(table: ExportedTable) -> str:
    """Return `schema.name` for people."""
    return f"{table.schema_name}.{table.name}"
