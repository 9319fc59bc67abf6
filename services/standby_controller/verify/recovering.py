"""A copy whose sync point its source does not know (any more): compared with it, so that only what differs travels.

The source takes the keys that differ as if it had just changed them since the moment of the comparison; a delta since
that moment brings the copy to where both are equal. Until it is committed the copy stands where it stood.
"""

from __future__ import annotations

from typing import Final

from services.standby_controller.apply.cursor import read_cursor
from services.standby_controller.progress import Progress
from services.standby_controller.verify.comparing import Comparer
from services.standby_controller.verify.giving import put_keys
from services.standby_controller.verify.model import Difference, DifferenceKind
from shared.errors import PeerRefusal, SchemaChanged, TableRewritten
from shared.node.client import NodeClient
from shared.postgres.catalog import list_columns, list_tables
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, translated
from shared.replication.model import Manifest, SyncPhase, TableName
from shared.replication.verification import HeldTable

_QUERIES: Final = load_queries("services.standby_controller.verify", "comparing.sql")
_WHOLE_CODES: Final = frozenset({TableRewritten.code, SchemaChanged.code})


class Recovery:
    """Finds what a copy lacks; says in words why only a seed will do."""

    def __init__(self, component: str, session: Session, client: NodeClient, progress: Progress) -> None:
        """Nothing is asked yet; `session` is the copy's database."""
        self._component = component
        self._session = session
        self._client = client
        self._progress = progress

    async def find_obstacle(self, least_bytes: int) -> str | None:
        """Return why this copy is not to be compared; it may be none, or so small that a seed is as quick."""
        if await read_cursor(self._session, self._component) is None:
            return "this node's database is no copy"
        size: int = await self._session.fetchval(_QUERIES["read_size"])
        return None if size >= least_bytes else "the copy is small"

    async def compare(self, manifest: Manifest) -> tuple[TableName, ...] | str:
        """Have the source take the keys that differ; return the tables to be sent whole, or why a seed is needed."""
        cursor = await read_cursor(self._session, self._component)
        if cursor is None or cursor.source_node != manifest.node_id:
            return "the copy is of another node's database"
        if cursor.definitions_token != manifest.definitions_token:
            return "definitions may have changed since the full copy"
        held = (await self._client.holding(manifest.export_id)).tables
        with translated(f"comparing component {self._component}"):
            other = await self._find_other_definition(held)
            if other is not None:
                return f"the definition of table {other} is another one here"
            self._progress.enter(SyncPhase.VERIFYING)
            comparer, whole = Comparer(self._session, self._client, manifest), list[TableName]()
            await comparer.prepare()
            for table in held:
                name = TableName(schema_name=table.schema_name, name=table.name)
                self._progress.start_table(f"{name.schema_name}.{name.name}")
                if not await self._bring_keys(comparer, table, name):
                    whole.append(name)
                self._progress.finish_table(f"{name.schema_name}.{name.name}", 0)
        return tuple(whole)

    async def _bring_keys(self, comparer: Comparer, table: HeldTable, name: TableName) -> bool:
        """Say whether the table is equal, or the source has taken the keys that differ."""
        put = put_keys(self._client, self._component, table)
        try:
            found: Difference | None = await comparer.compare(table, has_hashes=True, may_give=put)
        except PeerRefusal as refusal:
            if refusal.peer_code not in _WHOLE_CODES:
                raise
            return False
        if found is not None and found.kind is DifferenceKind.DEFINITION:
            raise SchemaChanged(found.text)
        return found is None or comparer.has_given

    async def _find_other_definition(self, held: tuple[HeldTable, ...]) -> str | None:
        """Return a table of which one side has none, or another one."""
        here = {one.qualified_name: one for one in await list_tables(self._session, "") if one.holds_data}
        columns = await list_columns(self._session, [one.oid for one in here.values()]) if here else {}
        there = {f"{table.schema_name}.{table.name}": table for table in held}
        for name in sorted(here.keys() ^ there.keys()):
            return name
        for name, table in there.items():
            found = {
                (column.name, column.type) for column in columns.get(here[name].oid, ()) if not column.is_generated
            }
            wanted = {(column.name, column.type) for column in table.columns}
            if found != wanted or (table.key and set(here[name].key) != set(table.key)):
                return name
        return None
