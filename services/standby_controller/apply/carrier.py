"""What every kind of sync does with the other node: open an export, bring it into the copy, confirm it, tell of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from services.standby_controller.apply.guards import SourceGuard
from services.standby_controller.apply.held_export import HeldExport, hold
from services.standby_controller.apply.merge import Placing, merge_delta
from services.standby_controller.apply.patience import ask_patiently
from services.standby_controller.apply.staging import stage_delta
from services.standby_controller.apply.target import use_origin
from services.standby_controller.apply.uncaptured import captured_part, stage_uncaptured
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.progress import Progress
from services.standby_controller.rescue.saving import RowRescue
from shared.clock import SystemClock
from shared.errors import PeerError
from shared.node.client import NodeClient
from shared.node.model import Envelope, Term, UnkeptTable
from shared.postgres.sessions import Session, translated
from shared.replication.model import Confirm, Manifest, OpenExport, SyncKind, SyncPhase, SyncPoint, TableName
from shared.settings import ComponentSettings, Keyless

_log: Final = logging.getLogger(__name__)


class Carrier:
    """Carries one component's data from the node behind `client`."""

    def __init__(
        self,
        component: ComponentSettings,
        client: NodeClient,
        *,
        term: Term,
        envelope: Envelope,
        progress: Progress,
        guard: SourceGuard,
    ) -> None:
        """Take the parts; nothing is asked yet."""
        self._component = component
        self._client = client
        self._term = term
        self._envelope = envelope
        self._progress = progress
        self._guard = guard
        self._asked_at: float | None = None
        self.left: tuple[UnkeptTable, ...] = ()
        """What the last apply could not bring to the source's state."""

    @asynccontextmanager
    async def export(
        self,
        kind: SyncKind,
        since: SyncPoint | None,
        whole: Collection[TableName] = (),
        *,
        compared: tuple[TableName, ...] = (),
        brings_definitions: bool = False,
        is_ordinary: bool = False,
    ) -> AsyncIterator[HeldExport]:
        """Open an export, and close it whatever happens; for an ordinary one see `export_changes`."""
        request = OpenExport(
            protocol=self._envelope.protocol,
            pair_id=self._envelope.pair_id,
            term=self._term.epoch,
            kind=kind,
            since=since,
            whole=tuple(whole),
            compared=compared,
            brings_definitions=brings_definitions,
            may_widen=is_ordinary,
            tells_counters=is_ordinary and self._component.keyless is Keyless.WHEN_COUNTERS_MOVED,
        )

        async def ask() -> Manifest:
            self._asked_at = SystemClock().monotonic()
            return await self._client.open_export(self._component.name, request)

        manifest = await ask_patiently(self._component.name, ask)
        self._progress.begin(
            kind,
            tables_total=len(manifest.tables),
            bytes_total=sum(table.estimated_bytes for table in manifest.tables) if kind is SyncKind.SEED else None,
        )
        async with hold(self._client, manifest) as export:
            yield export

    def export_changes(
        self, since: SyncPoint, whole: Collection[TableName], *, brings_definitions: bool
    ) -> AbstractAsyncContextManager[HeldExport]:
        """Open an export that brings a copy on from where it stands, by whatever way is the shortest."""
        return self.export(SyncKind.DELTA, since, whole, brings_definitions=brings_definitions, is_ordinary=True)

    async def confirm(self, manifest: Manifest) -> None:
        """Tell the active node; when it cannot be told, the next sync does, from the same cursor."""
        try:
            await self._client.confirm_export(manifest.export_id, Confirm(point=manifest.point))
        except PeerError as error:
            _log.warning("sync point not confirmed", extra={"component": self._component.name, "detail": error.detail})

    async def apply(
        self,
        session: Session,
        export: HeldExport,
        placing: Placing,
        rescue: RowRescue | None = None,
        *,
        is_kept: bool = False,
    ) -> dict[str, int]:
        """Bring what an export carries into the copy and return the rows written; it is closed then unless it is kept.

        Raises GuardRefused, Divergence, and what the other node refuses.
        """
        manifest = export.manifest
        with translated(f"applying changes to database {self._component.database}"):
            if not session.is_in_transaction():
                await use_origin(session, self._component.name)
            self._progress.enter(SyncPhase.COPYING)
            staged = await stage_delta(session, self._client, captured_part(manifest), self._progress)
            beside = await stage_uncaptured(session, self._client, manifest, self._progress)
            staged += beside.whole
            if not is_kept:
                await export.close()
            await self._guard.check_delta(session, (*staged, *beside.differing))
            if rescue is not None:
                await rescue.stage((*staged, *beside.differing), manifest, has_objects=beside.has_objects)
            self._progress.enter(SyncPhase.APPLYING)
            written = await merge_delta(
                session,
                manifest,
                staged,
                database=self._component.database,
                placing=beside.join(placing),
                progress=self._progress,
            )
            self.left = beside.left
            return written | beside.written

    def outcome(
        self,
        manifest: Manifest,
        reason: str | None,
        written: dict[str, int],
        *,
        kind: SyncKind,
        definitions: tuple[str, ...] = (),
    ) -> ComponentOutcome:
        """Return what a sync came to."""
        progress = self._progress
        return ComponentOutcome(
            component=self._component.name,
            kind=kind,
            reason=reason,
            point=manifest.point,
            rows=sum(written.values()),
            keys=sum(table.key_count for table in manifest.tables),
            bytes=progress.bytes_done,
            snapshot_at=manifest.taken_at,
            rows_per_table=written,
            seconds_per_phase=progress.seconds_per_phase(),
            definitions=definitions,
            unkept=(*manifest.unkept, *self.left),
            snapshot_monotonic=self._asked_at,
        )
