"""The capture of one component: makes it, keeps it true to the tables, drains it, gives up within its budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.primary_agent.capture.absent import drop_absent
from services.primary_agent.capture.damage import note_damage
from services.primary_agent.capture.drain import CaptureLost, Drainer
from services.primary_agent.capture.guard import (
    give_back_identities,
    has_lent,
    install_guard,
    list_lent,
    list_lost,
    remove_guard,
)
from services.primary_agent.capture.layout import KeyedLayout
from services.primary_agent.capture.source import PUBLICATION, LeftOut, Server, Source
from services.primary_agent.capture.spool import Capture, Spool
from shared.clock import Clock
from shared.errors import CaptureNotReady, WarmstandbyError
from shared.errors.groups import first_of
from shared.node.model import AbsentSubscriber, CaptureState, CaptureStatus, ComponentStatus, Problem, UnkeptTable
from shared.postgres.application import (
    forget_cursor,
    install_application_schema,
    set_application_guard,
    set_node_guard,
)
from shared.postgres.catalog import Table, TableColumn, list_columns, list_tables
from shared.postgres.sequences import SequenceReader
from shared.postgres.sessions import Session
from shared.settings import ComponentSettings, Settings

_BLOCKER_SECONDS: Final = 2.0
_PINNED_BYTES: Final = 16 * 2**20
_PINNED_SECONDS: Final = 40.0
"""A server moves the start of a slot up every 15 seconds at most, and behind the transactions that were open then."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class CaptureFacts:
    """What the heartbeat tells, gathered by the loop."""

    state: CaptureState = CaptureState.OFF
    problem: Problem | None = None
    capture_id: str | None = None
    spool_keys: int | None = None
    spool_bytes: int | None = None
    drained_at: float | None = None
    unkept: tuple[UnkeptTable, ...] = ()
    is_ahead: bool = False
    is_copy: bool | None = None
    absent: tuple[AbsentSubscriber, ...] = ()


@dataclass(slots=True)
class ComponentCapture:
    """One component's capture on the active node."""

    settings: Settings
    component: ComponentSettings
    clock: Clock
    source: Source
    spool: Spool
    drainer: Drainer
    facts: CaptureFacts = field(default_factory=CaptureFacts)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an export is opened, the capture made, or the spool trimmed."""
    is_on_duty: Callable[[], bool] = lambda: True
    """Says whether the node serves, or hands over: what made the capture late must not take a new copy's marks away."""
    forget_schema: Callable[[], None] = lambda: None
    """Has the node's own schema looked at again before it is used."""
    is_trim_wanted: bool = True
    columns: dict[int, tuple[TableColumn, ...]] = field(default_factory=dict)
    sequences: SequenceReader = field(default_factory=SequenceReader)
    _refused: dict[int, LeftOut] = field(default_factory=dict)
    _told: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    """Token and key of each table that has a layout."""
    is_given_up: bool = False
    """Only a sync begins it anew."""
    _start: str | None = None
    _start_seen_at: float = 0.0
    _loss: CaptureLost | None = None
    """Why the capture is broken, until slot and spool are dropped."""

    @classmethod
    def build(cls, settings: Settings, component: ComponentSettings, clock: Clock) -> ComponentCapture:
        """Put a component's capture together; connects on use."""
        dsn = settings.postgres.dsn.get_secret_value()
        source = Source(dsn, component.name, component.database, settings.capture.lock_timeout_seconds)
        spool = Spool(dsn, component.name)
        return cls(settings, component, clock, source, spool, Drainer(source, spool, settings.capture.chunk_bytes))

    def status(self) -> ComponentStatus:
        """Return what is known without asking the database."""
        facts, drained = self.facts, self.drainer.facts
        age = None if facts.drained_at is None else self.clock.monotonic() - facts.drained_at
        return ComponentStatus(
            name=self.component.name,
            database=self.component.database,
            position=drained.drained_lsn,
            is_copy=facts.is_copy,
            capture=CaptureStatus(
                state=facts.state,
                capture_id=facts.capture_id,
                kept_wal_bytes=drained.kept_bytes,
                spool_keys=facts.spool_keys,
                spool_bytes=facts.spool_bytes,
                drained_lsn=drained.drained_lsn,
                drained_age_seconds=age,
                problem=facts.problem,
                is_ahead=facts.is_ahead,
                absent=facts.absent,
            ),
            unkept=facts.unkept,
            problem=facts.problem,
        )

    async def tick(self, *, may_trim: bool = True) -> None:
        """Do one round: make the capture if it is not there, drain, trim, measure.

        A node that hands over drains without trimming: what it holds is what the two nodes share.
        """
        try:
            await self._go_round(may_trim=may_trim)
        except WarmstandbyError as error:
            self.report(error)
            note_damage(self, error)
        else:
            if self.facts.state is CaptureState.READY:
                self.facts.problem = None

    async def _go_round(self, *, may_trim: bool) -> None:
        async with self.lock:
            if self._loss is not None:
                await self.lose(self._loss)
            if self.facts.state is not CaptureState.READY and not self.is_given_up:
                await self.ensure()
        if self.facts.state is not CaptureState.READY:
            return
        try:
            await self._mend()
            capture = await self.drainer.drain()
            self.facts.drained_at = self.clock.monotonic()
            if self._start != self.drainer.facts.restart_lsn:
                self._start, self._start_seen_at = self.drainer.facts.restart_lsn, self.facts.drained_at
            await self.keep_small(capture, may_trim=may_trim)
        except CaptureLost as error:
            async with self.lock:
                await self.lose(error)

    @property
    def is_pinned(self) -> bool:
        """Say whether a long transaction holds the slot's start, so that each drain reads much of the log again."""
        held_seconds = self.clock.monotonic() - self._start_seen_at
        return self.drainer.facts.read_again_bytes > _PINNED_BYTES and held_seconds > _PINNED_SECONDS

    def rest(self) -> None:
        """Have nothing to do: the node is not active."""
        self.facts.state, self.facts.problem, self.facts.is_ahead = CaptureState.OFF, None, False
        self.facts.absent = ()

    def report(self, error: WarmstandbyError) -> None:
        """Tell of an error in the heartbeat, and in the log when it is another one than before."""
        problem = Problem(code=error.code, text=error.detail, hint=error.hint)
        if self.facts.problem is None or self.facts.problem.code != problem.code:
            _log.warning(
                "capture has a problem",
                extra={
                    "component": self.component.name,
                    "code": error.code,
                    "detail": error.detail,
                    "hint": error.hint,
                },
            )
        self.facts.problem = problem

    async def ensure(self) -> None:
        """Make the capture work, from nothing or from what is there; the caller holds `lock`. Idempotent.

        Raises CaptureNotReady while open transactions hold it up, and what the server refuses.
        """
        async with self.source.session() as application, self.spool.session() as node:
            server = await self.source.check_server(application)
            await install_application_schema(application)
            if self.is_on_duty():
                await set_application_guard(application, False)
                await set_node_guard(node, False)
            await self._ensure_guard(application, server)
            is_new = await self.source.ensure_publication(application)
            capture = await self.find_whole(application, node, server)
            if is_new or capture is None:
                self.facts.state = CaptureState.PREPARING
                try:
                    capture = await self.begin(application, node, server)
                except BaseException:
                    self.facts.state = CaptureState.BROKEN
                    raise
            elif capture.is_ahead:
                await self.spool.set_served(node, capture)
            if self.is_on_duty():
                await forget_cursor(application, self.component.name)  # from now on this is nobody's copy
            tables = await self.look(application)
            await self.reconcile(application, node, capture, tables)
            self.facts.capture_id, self.facts.is_ahead, self.facts.is_copy = capture.capture_id, False, None
            self.facts.state, self.is_given_up = CaptureState.READY, False
            _log.info("capture is ready", extra={"component": self.component.name, "capture": capture.capture_id})

    async def find_whole(self, application: Session, node: Session, server: Server) -> Capture | None:
        """Return the capture if nothing of it is missing: its database, its slot, and the log that the slot needs."""
        capture = await self.spool.find_capture(node)
        slot = await self.source.find_slot(application)
        if capture is None or capture.database_oid != server.database_oid or slot is None:
            return None
        return None if slot.wal_status == "lost" or slot.database != self.source.database else capture

    async def look(self, application: Session) -> list[Table]:
        """Read the tables and bring the layouts for decoding up to date."""
        tables = await list_tables(application, PUBLICATION)
        keyed = {table.oid: (table.token, table.key) for table in tables if table.is_keyed}
        changed = {oid for oid, told in keyed.items() if self._told.get(oid) != told}
        columns = await list_columns(application, changed) if changed else {}
        self.columns.update(columns)
        layouts = {oid: layout for oid, layout in self.drainer.layouts.items() if oid in keyed and oid not in changed}
        # one that was dropped meanwhile has no columns any more
        layouts |= {one.oid: KeyedLayout.of(one, columns[one.oid]) for one in tables if one.oid in columns}
        self.drainer.layouts, self._told = layouts, {oid: keyed[oid] for oid in layouts}
        return tables

    def needs_reconcile(self, tables: Sequence[Table]) -> bool:
        """Say whether the publication does not hold just the tables it should."""
        return any(
            table.is_filtered
            or (table.is_keyed and table.publication_entry is None and table.oid not in self._refused)
            or (not table.is_keyed and table.publication_entry is not None)
            for table in tables
        )

    async def reconcile(self, application: Session, node: Session, capture: Capture, tables: Sequence[Table]) -> None:
        """Bring the publication to the tables with a usable key; snapshots count only past what was open meanwhile."""
        wrong = [
            table
            for table in tables
            if table.publication_entry is not None and (table.is_filtered or not table.is_keyed)
        ]
        await self.source.unpublish(application, wrong)
        gone = {table.oid for table in wrong}
        missing = [
            table for table in tables if table.is_keyed and (table.publication_entry is None or table.oid in gone)
        ]
        refused = await self.source.publish(application, missing)
        self._tell_refused(tables, refused)
        self._refused = refused
        if len(missing) > len(self._refused):
            await self.spool.set_ready_xid(node, capture, await self.source.assign_xid(application))
        self.facts.unkept = self.list_unkept(tables)

    def _tell_refused(self, tables: Sequence[Table], refused: dict[int, LeftOut]) -> None:
        """Log once which tables with a key are not captured, and so are compared at each sync."""
        for table in tables:
            if table.oid in refused and refused[table.oid] != self._refused.get(table.oid):
                _log.info(
                    "table is compared at each sync, its changes are not captured",
                    extra={
                        "component": self.component.name,
                        "table": table.qualified_name,
                        "reason": refused[table.oid].reason,
                    },
                )

    def list_unkept(self, tables: Sequence[Table]) -> tuple[UnkeptTable, ...]:
        """Return the tables that a delta does not keep current whatever our rights are, with the reason in words."""
        reason = "foreign table: only its definition is copied, by a seed"
        return tuple(UnkeptTable(name=table.qualified_name, reason=reason) for table in tables if table.kind == "f")

    def is_followed(self, table: Table) -> bool:
        """Say whether captured keys tell of this table; the others are compared, each time."""
        return table.is_keyed and table.oid not in self._refused

    async def begin(self, application: Session, node: Session, server: Server, *, is_ahead: bool = False) -> Capture:
        """Begin a new capture; what was there before is forgotten. The caller holds `lock` and made the publication.

        Publication, slot, then a transaction id: in this order nothing between them is lost.
        """
        await self.drainer.close()
        await self.spool.delete_capture(node)
        await self.source.drop_slot(application)
        tables = await self.look(application)
        self._refused = await self.source.publish(
            application, [table for table in tables if table.is_keyed and table.publication_entry is None]
        )
        lsn = await self._create_slot(application)
        return await self.spool.create_capture(
            node,
            database_oid=server.database_oid,
            slot_name=self.source.slot_name,
            drained_lsn=lsn,
            ready_xid=await self.source.assign_xid(application),
            is_ahead=is_ahead,
        )

    async def _create_slot(self, application: Session) -> str:
        """Make the slot, telling meanwhile which transactions it waits for; given up when its log grows over budget."""
        xid = await self.source.assign_xid(application)
        try:
            async with asyncio.TaskGroup() as group:
                making = group.create_task(self.source.create_slot())
                while not making.done():
                    await asyncio.wait([making], timeout=_BLOCKER_SECONDS)
                    if making.done():
                        break
                    blockers = await self.source.list_blockers(application, xid)
                    slot = await self.source.find_slot(application)
                    self.report(CaptureNotReady("waiting for " + ("; ".join(blockers) or "the slot to be made")))
                    if slot is not None and (slot.kept_bytes or 0) > self.settings.capture.budget_bytes:
                        making.cancel()
        except ExceptionGroup as errors:
            raise first_of(errors) from None
        if making.cancelled():
            self.is_given_up = True
            raise CaptureNotReady("the slot was not ready before its log reached [capture] budget_bytes")
        return making.result()

    async def _ensure_guard(self, application: Session, server: Server) -> None:
        if not server.is_superuser:
            return
        if self.settings.capture.guard == "off":
            await remove_guard(application)
        elif not await install_guard(application, server.version):
            _log.warning(
                "DDL guard not installed: schema warmstandby of the database was made by another role",
                extra={"component": self.component.name},
            )

    async def _mend(self) -> None:
        """Let tables go that lost their key without the guard, and take in those the application held before.

        A few small queries when there is nothing to do.
        """
        async with self.drainer.sessions() as (application, _):
            is_lent = await has_lent(application)
            is_wanted = is_lent or bool(await list_lost(application))
            if await self.source.identify_publication(application) is None:  # from 18 on decoding does not miss it
                raise CaptureLost(f"somebody dropped or changed publication {PUBLICATION}")
        if not is_wanted and all(left_out.is_lasting for left_out in self._refused.values()):
            return
        async with self.lock, self.source.session() as application, self.spool.session() as node:
            capture = await self.spool.find_capture(node)
            if capture is None:
                return
            if is_lent:
                await self.source.unpublish(application, await list_lent(application))
                await give_back_identities(application)
            await self.reconcile(application, node, capture, await self.look(application))

    async def keep_small(self, capture: Capture, *, may_trim: bool) -> None:
        """Trim what every subscriber has, measure, and raise CaptureLost past the budget."""
        async with self.lock, self.spool.session() as node:
            if may_trim:
                self.facts.absent, is_new = await drop_absent(node, capture, self.settings.capture.subscriber_days)
                self.is_trim_wanted = self.is_trim_wanted or is_new
            if may_trim and (self.is_trim_wanted or self.drainer.facts.changes):
                fresh = await self.spool.find_capture(node)
                if fresh is None or fresh.number != capture.number:
                    return
                is_wanted, self.is_trim_wanted = self.is_trim_wanted, False
                await self.spool.trim(node, fresh, is_confirmed=is_wanted)
            keys, size = await self.spool.measure(node, capture)
            self.facts.spool_keys, self.facts.spool_bytes = keys, size
        held = size + (self.drainer.facts.kept_bytes or 0)
        if held > self.settings.capture.budget_bytes:
            self.is_given_up = True
            raise CaptureLost(
                f"capture held {held} bytes, over [capture] budget_bytes; dropped to spare the application's disk",
                hint="The next sync seeds. Look for a standby that is away, or a transaction open for long.",
            )

    async def lose(self, error: CaptureLost) -> None:
        """Drop what is left of a broken capture; the next sync of every standby seeds. The caller holds `lock`.

        Raises what the server refuses; then the next round tries again, so that no slot stays.
        """
        self.report(error)
        self.facts.state, self._loss = CaptureState.BROKEN, error
        await self.drainer.close()
        async with self.source.session() as application, self.spool.session() as node:
            await self.source.drop_slot(application)
            await self.spool.delete_capture(node)
        self._loss = None
