"""Saves the rows that only this node has, in the session that is about to overwrite them: set-based, COPY to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.standby_controller.apply.staging import StagedTable
from services.standby_controller.rescue.manifest import (
    CHANGE_COLUMN,
    SIDE_COLUMN,
    RescuedTable,
    RescueKind,
    RescueManifest,
)
from services.standby_controller.rescue.shelf import Shelf, name_file
from shared.clock import Clock
from shared.errors import RescueUnwritable, TransferIncomplete
from shared.node.client import NodeClient
from shared.postgres.copy import copy_in
from shared.postgres.keys import write_key_match, write_key_selection
from shared.postgres.large_objects import write_contents
from shared.postgres.queries import load_queries, quote_identifier, quote_literal
from shared.postgres.sessions import Session
from shared.replication.model import Manifest, TableMode, TableName
from shared.replication.returning import Divergence, DivergentTable

_QUERIES: Final = load_queries("services.standby_controller.rescue", "saving.sql")
_NO_KEYS_OF_OBJECTS: Final = "large objects are compared by their content"


@dataclass(frozen=True, slots=True)
class Occasion:
    """Whose rows are saved, because of what."""

    database: str
    source_node: str
    term_epoch: int
    reason: str


@dataclass(slots=True)
class RowRescue:
    """One component's rescue: `stage` before the transaction that overwrites, `save` in it before anything else."""

    session: Session
    shelf: Shelf
    clock: Clock
    own: NodeClient
    divergence: Divergence
    occasion: Occasion
    staged: Mapping[tuple[str, str], StagedTable] = field(default_factory=dict)
    has_objects: bool = False
    """Large objects have landed, too."""
    saved: RescueManifest | None = None
    """What was saved; None where there was nothing to save."""

    @property
    def id(self) -> str:
        """Return the rescue's name: the same when the same return is tried again."""
        told = self.divergence
        return f"{told.component}-{self.occasion.term_epoch}-{told.point.seq}-{told.point.nonce[:8]}"

    async def note_prepared(self) -> None:
        """Write down the transactions that are to be rolled back, before they are. Raises RescueUnwritable."""
        await self.shelf.prepare(self.id, self.divergence.component)
        await self.shelf.finish(self._describe(()))

    async def stage(self, staged: tuple[StagedTable, ...], manifest: Manifest, *, has_objects: bool = False) -> None:
        """Bring the keys that this node had changed into landing tables.

        Raises TransferIncomplete when the other node's rows did not come for one of them. Of a table that was compared
        they come only where something differs; what the other node's role may not read stays as it is here.
        """
        self.staged = {(table.source.schema_name, table.source.name): table for table in staged}
        self.has_objects = has_objects
        compared = {(table.schema_name, table.name) for table in manifest.tables if table.mode is TableMode.COMPARED}
        hidden = {table.name for table in manifest.unkept}
        wanted = [(told.schema_name, told.name) for told in self.divergence.tables]
        for name in (*wanted, *((told.schema_name, told.name) for told in self.divergence.untold)):
            if name not in self.staged and name not in compared and ".".join(name) not in hidden:
                raise TransferIncomplete(f"the active node sent nothing of table {'.'.join(name)}")
        for told in self.divergence.tables:
            if told.whole is None:
                await self._stage_keys(told)

    async def save(self) -> None:
        """Compare, write what differs, and make it durable; raises RescueUnwritable, and nothing may be overwritten."""
        folder = await self.shelf.prepare(self.id, self.divergence.component)
        tables: list[RescuedTable] = []
        for told in self.divergence.tables:
            if told.whole is None:
                tables.append(await self._save_by_keys(told, folder, len(tables)))
            else:
                name = TableName(schema_name=told.schema_name, name=told.name)
                tables.append(await self._save_by_rows(name, told.whole, folder, len(tables)))
        for name in self.divergence.untold:
            if (name.schema_name, name.name) in self.staged:
                tables.append(await self._save_by_rows(name, "its changes are not captured", folder, len(tables)))
        if self.has_objects:
            tables.append(await self._save_objects(folder, len(tables)))
        differing = tuple(table for table in tables if table.rows or table.only_there)
        if not any(table.rows for table in differing) and not self.divergence.prepared:
            await self.shelf.drop(self.id)
            return
        self.saved = self._describe(differing)
        await self.shelf.finish(self.saved)

    def _describe(self, tables: tuple[RescuedTable, ...]) -> RescueManifest:
        occasion, told = self.occasion, self.divergence
        return RescueManifest(
            id=self.id,
            kind=RescueKind.ROWS,
            component=told.component,
            database=occasion.database,
            node_id=told.node_id,
            source_node=occasion.source_node,
            term_epoch=occasion.term_epoch,
            base=told.point,
            reason=occasion.reason,
            made_at=self.clock.now(),
            encoding=told.encoding,
            tables=tables,
            prepared=told.prepared,
        )

    async def _stage_keys(self, told: DivergentTable) -> None:
        raw, mine = f"mine_raw_{told.number}", f"mine_{told.number}"
        await self.session.execute(_QUERIES["make_raw"].format(raw=raw))
        async with self.own.divergent_keys(self.divergence.component, told.number, with_birth=True) as chunks:
            count = await copy_in(self.session, raw, chunks, schema="pg_temp", form="binary")
        if count < told.key_count:
            raise TransferIncomplete(f"{count} of {told.key_count} keys of {told.schema_name}.{told.name} came")
        parts = [
            write_key_selection(
                _QUERIES["raw_part"].format(raw=raw, is_inserted=is_inserted), told.key_types, self.divergence.encoding
            )
            for is_inserted in ("true", "false")
        ]
        await self.session.execute(_QUERIES["make_keys"].format(mine=mine, inserted=parts[0], others=parts[1]))

    async def _save_by_keys(self, told: DivergentTable, folder: Path, number: int) -> RescuedTable:
        table = self.staged[told.schema_name, told.name]
        operators = [table.key_operators[column] for column in told.key]
        names = self._name(table) | {
            "mine": f"mine_{told.number}",
            "pairs": f"mine_pairs_{told.number}",
            "own_match": write_key_match(told.key, operators, table="t", keys="m"),
            "other_match": write_key_match(told.key, operators, table="r", keys="m"),
        }
        for query in ("lock_table", "make_pairs", "forget_equal"):
            await self.session.execute(_QUERIES[query].format(**names))
        counts = await self._count("count_pairs", names)
        rescued = RescuedTable(
            schema_name=told.schema_name, name=told.name, file=None, by="keys", reason=None, **counts
        )
        return await self._write("copy_pairs", names, rescued, folder, number)

    async def _save_by_rows(self, name: TableName, reason: str, folder: Path, number: int) -> RescuedTable:
        table = self.staged[name.schema_name, name.name]
        names = self._name(table) | {"images": f"images_{table.source.number}"}
        for query in ("lock_table", "make_images"):
            await self.session.execute(_QUERIES[query].format(**names))
        counts = await self._count("count_images", names)
        rescued = RescuedTable(
            schema_name=name.schema_name, name=name.name, file=None, by="rows", reason=reason, **counts
        )
        return await self._write("copy_images", names, rescued, folder, number)

    async def _save_objects(self, folder: Path, number: int) -> RescuedTable:
        """Save the large objects that are not the other node's, in pieces: `lo_put` of each makes them again."""
        counts = await self._count("count_objects", {})
        names = {
            "contents": write_contents(_QUERIES["name_different_objects"]),
            "own_node": quote_literal(self.divergence.node_id),
            "change_column": quote_identifier(CHANGE_COLUMN),
            "side_column": quote_identifier(SIDE_COLUMN),
        }
        rescued = RescuedTable(
            schema_name="pg_catalog", name="pg_largeobject", file=None, by="rows", reason=_NO_KEYS_OF_OBJECTS, **counts
        )
        return await self._write("copy_objects", names, rescued, folder, number)

    def _name(self, table: StagedTable) -> dict[str, Any]:
        """Return what the queries are filled in with for a table."""
        columns = [quote_identifier(column.name) for column in table.source.columns]
        return {
            "table": table.sql_name,
            "rows": table.rows_table,
            "own": ", ".join(f"t.{column}" for column in columns),
            "listed": "".join(f", t.{column}" for column in columns),
            "other": ", ".join(f"r.{column}" for column in columns),
            "numbered": ", ".join(f"v{place}" for place in range(len(columns))),
            "named": ", ".join(f"v{place} AS {column}" for place, column in enumerate(columns)),
            "own_node": quote_literal(self.divergence.node_id),
            "other_node": quote_literal(self.occasion.source_node),
            "change_column": quote_identifier(CHANGE_COLUMN),
            "side_column": quote_identifier(SIDE_COLUMN),
        }

    async def _count(self, query: str, names: Mapping[str, Any]) -> dict[str, int]:
        row = await self.session.fetchrow(_QUERIES[query].format(**names))
        return dict(row or {})

    async def _write(
        self, query: str, names: Mapping[str, Any], rescued: RescuedTable, folder: Path, number: int
    ) -> RescuedTable:
        if not rescued.rows:
            return rescued
        path = folder / name_file(rescued.schema_name, rescued.name, number)
        try:
            await self.session.copy_from_query(
                _QUERIES[query].format(**names),
                output=path,
                format="csv",
                header=True,
                encoding=self.divergence.encoding,
            )
        except OSError as error:
            raise RescueUnwritable(f"{path}: {error.strerror or error}") from error
        await self.shelf.finish_file(path)
        return rescued.model_copy(update={"file": path.name})
