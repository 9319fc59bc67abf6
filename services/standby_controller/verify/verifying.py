"""One component compared with its source at a sync's snapshot, and repaired by the keys that differ.

A copy can be compared only where it stands, and its source has moved on since: so each comparison follows a delta whose
export is kept open. To repair, the active node takes the keys that differ as if it had just changed them, and the next
delta brings what it has of them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Final, Protocol

from services.standby_controller.progress import Progress
from services.standby_controller.verify.comparing import Comparer
from services.standby_controller.verify.giving import put_keys
from services.standby_controller.verify.model import Comparison, Difference, DifferenceKind, Wish
from shared.clock import Clock
from shared.errors import PeerRefusal, SchemaChanged, TableRewritten, WarmstandbyError
from shared.node.client import NodeClient
from shared.postgres.catalog import list_tables
from shared.postgres.sessions import Session, translated
from shared.replication.model import Manifest, SyncKind, SyncPhase, TableMode, TableName
from shared.replication.verification import HeldTable, Level

_SNAPSHOT_SECONDS: Final = 300.0
"""No further table is begun at a snapshot that is older: the active node cleans nothing up that it still shows."""
_ATTEMPTS: Final = 5
_log = logging.getLogger(__name__)

Look = Callable[[Session, Manifest], Awaitable[None]]


class Follower(Protocol):
    """Brings deltas to a component."""

    async def delta_then(self, look: Look, whole: tuple[TableName, ...] = ()) -> None:
        """Bring a delta, and look while both sides stand at its snapshot."""


class Verification:
    """Compares one component, once."""

    def __init__(self, component: str, wish: Wish, client: NodeClient, progress: Progress, clock: Clock) -> None:
        """Nothing is compared yet."""
        self._component = component
        self._wish = wish
        self._client = client
        self._progress = progress
        self._clock = clock
        self._begun = clock.monotonic()
        self._todo: list[str] | None = None
        self._found: dict[str, Difference] = {}
        self._differing: set[str] = set()
        self._whole: set[TableName] = set()
        is_anew = wish.level is Level.FULL and wish.tables is None and wish.after is None
        self._result = Comparison(component, wish.level, has_begun_anew=is_anew)

    async def run(
        self, follower: Follower, *, changed: Collection[str], before: tuple[Difference, ...] = ()
    ) -> Comparison:
        """Compare, and repair where wished; what keeps it from going on is told in the result, never raised.

        `changed` names the tables that the sync just before brought something of, `before` is what was found already.
        """
        try:
            await self._compare(follower, changed)
            if self._differing:
                await self._repair(follower)
        except WarmstandbyError as error:
            _log.warning("verification broke off", extra={"component": self._component, "detail": error.detail})
            self._result = replace(self._result, problem_code=error.code, problem_text=error.detail)
        seconds = self._clock.monotonic() - self._begun
        differences = (*before, *(self._found[name] for name in sorted(self._found)))
        return replace(self._result, differences=differences, seconds=seconds)

    async def _compare(self, follower: Follower, changed: Collection[str]) -> None:
        async def look(session: Session, manifest: Manifest) -> None:
            held = await self._choose(manifest, changed)
            await self._compare_tables(session, manifest, held)

        rounds_without_progress = 0
        while rounds_without_progress < _ATTEMPTS:
            left = None if self._todo is None else len(self._todo)
            await follower.delta_then(look)
            if not self._todo:
                return
            if self._is_out_of_time:
                break
            rounds_without_progress = rounds_without_progress + 1 if len(self._todo) == left else 0
        last = self._result.next_after
        passed_over = [name for name in self._todo or () if last is None or name < last or not self._is_out_of_time]
        if passed_over:
            raise TableRewritten(f"rewritten again and again: {', '.join(passed_over)}")

    async def _choose(self, manifest: Manifest, changed: Collection[str]) -> list[HeldTable]:
        """Return the tables still to be compared, in the order of their names."""
        holding = await self._client.holding(manifest.export_id)
        held = {f"{table.schema_name}.{table.name}": table for table in holding.tables}
        if self._todo is None:
            wished = set(held)
            if self._wish.tables is not None:
                wished &= self._wish.tables
            elif self._wish.level is not Level.FULL:
                carried = [table for table in manifest.tables if table.mode in (TableMode.DELTA, TableMode.WHOLE)]
                wished &= {*changed, *(f"{table.schema_name}.{table.name}" for table in carried)}
            self._todo = sorted(name for name in wished if self._wish.after is None or name > self._wish.after)
        self._todo = [name for name in self._todo if name in held]
        return [held[name] for name in self._todo]

    async def _compare_tables(self, session: Session, manifest: Manifest, tables: list[HeldTable]) -> None:
        assert self._todo is not None
        opened, comparer = self._clock.monotonic(), Comparer(session, self._client, manifest)
        self._progress.begin(SyncKind.COMPARE, tables_total=len(tables), bytes_total=None)
        self._progress.enter(SyncPhase.VERIFYING)
        with translated(f"comparing component {self._component}"):
            await comparer.prepare()
            await self._find_strange_tables(session, manifest)
            for table in tables:
                name = f"{table.schema_name}.{table.name}"
                if self._is_out_of_time or self._clock.monotonic() - opened > _SNAPSHOT_SECONDS:
                    break
                self._progress.start_table(name)
                try:
                    difference = await self._compare_table(comparer, table)
                except PeerRefusal as refusal:
                    if refusal.peer_code != TableRewritten.code:
                        raise
                    continue  # it stays to be done, at a later snapshot
                self._todo.remove(name)
                self._progress.finish_table(name, 0)
                if difference is not None:
                    self._found[name] = difference
                self._result = replace(
                    self._result,
                    compared=(*self._result.compared, name),
                    point=manifest.point,
                    snapshot_at=manifest.taken_at,
                    next_after=name,
                )
        if not self._todo:
            self._result = replace(self._result, next_after=None)
        self._result = replace(self._result, rows=self._result.rows + comparer.rows)

    async def _find_strange_tables(self, session: Session, manifest: Manifest) -> None:
        """Find tables that only the standby has; a full comparison does, when it begins."""
        if not self._result.has_begun_anew or self._result.compared:
            return
        there = {(table.schema_name, table.name) for table in (await self._client.holding(manifest.export_id)).tables}
        for table in await list_tables(session, ""):
            if table.holds_data and (table.schema_name, table.name) not in there:
                self._found[table.qualified_name] = Difference(
                    DifferenceKind.STRANGE, table.qualified_name, "the active node has no such table"
                )

    async def _compare_table(self, comparer: Comparer, table: HeldTable) -> Difference | None:
        name = TableName(schema_name=table.schema_name, name=table.name)
        is_repairing = self._wish.is_repairing
        has_hashes = is_repairing or self._wish.level is not Level.COUNTS

        may_give = put_keys(self._client, self._component, table) if is_repairing else None
        try:
            difference = await comparer.compare(table, has_hashes=has_hashes, may_give=may_give)
        except PeerRefusal as refusal:
            if refusal.peer_code != SchemaChanged.code:
                raise
            difference = await comparer.compare(table, has_hashes=has_hashes)
        if is_repairing and difference is not None and difference.kind is DifferenceKind.ROWS:
            self._differing.add(difference.name)
            if not comparer.has_given:
                self._whole.add(name)
        return difference

    async def _repair(self, follower: Follower) -> None:
        """Bring what differs, and look again."""
        again = set(self._differing)

        async def look(session: Session, manifest: Manifest) -> None:
            held = (await self._client.holding(manifest.export_id)).tables
            comparer = Comparer(session, self._client, manifest)
            with translated(f"comparing component {self._component} again"):
                await comparer.prepare()
                for table in held:
                    name = f"{table.schema_name}.{table.name}"
                    if name in again and await comparer.compare(table, has_hashes=True) is None:
                        self._found[name] = replace(self._found[name], is_repaired=True)
            self._result = replace(self._result, point=manifest.point, snapshot_at=manifest.taken_at)

        await follower.delta_then(look, tuple(sorted(self._whole, key=lambda one: (one.schema_name, one.name))))

    @property
    def _is_out_of_time(self) -> bool:
        budget = self._wish.budget_seconds
        return budget is not None and bool(self._result.compared) and self._clock.monotonic() - self._begun > budget
