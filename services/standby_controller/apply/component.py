"""One component brought to the active node's state: a delta where the cursor allows, a re-sync from a moment that both
nodes share, else a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Final

from services.standby_controller.apply.carrier import Carrier
from services.standby_controller.apply.cursor import Cursor, move_cursor, read_cursor, write_cursor
from services.standby_controller.apply.guards import SourceGuard
from services.standby_controller.apply.merge import Placing
from services.standby_controller.apply.patience import ask_patiently, try_again
from services.standby_controller.apply.properties import bring_properties
from services.standby_controller.apply.redefinition import Redefinition, fetch_redefinition, read_own_entries
from services.standby_controller.apply.restore import clear_archives
from services.standby_controller.apply.returning import Return, bring_keys, find_return, roll_back_prepared
from services.standby_controller.apply.seed import Seeder
from services.standby_controller.apply.shadow import Shadow, clear_databases
from services.standby_controller.apply.target import open_target
from services.standby_controller.definitions.archive import Entry
from services.standby_controller.definitions.keeping import are_entries_kept, read_entries_kept
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import Guards
from services.standby_controller.progress import Progress
from services.standby_controller.rescue.keeping import forget_unkept, keep_database
from services.standby_controller.rescue.saving import Occasion, RowRescue
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.verify.model import Difference, Wish
from services.standby_controller.verify.recovering import Recovery
from services.standby_controller.verify.sequences import find_sequences_behind
from services.standby_controller.verify.verifying import Look, Verification
from shared.clock import SystemClock
from shared.errors import (
    CursorMoved,
    CursorTrimmed,
    CursorUnknown,
    DatabaseMissing,
    Divergence,
    PeerRefusal,
    SchemaChanged,
    SyncRunning,
    TableRewritten,
)
from shared.fencing.fence import Fence
from shared.node.client import NodeClient
from shared.node.model import Envelope, Term, UnkeptTable
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session, open_session, translated
from shared.replication.model import Manifest, SyncKind, SyncPhase, TableName
from shared.settings import ComponentSettings, Settings

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")
_SEED_CODES: Final = frozenset({CursorUnknown.code, CursorTrimmed.code, SchemaChanged.code})
_ATTEMPTS: Final = 5
_TOLD: Final = 100
_REWRITTEN: Final = frozenset({TableRewritten.code})
_log = logging.getLogger(__name__)


async def clear_orphans(settings: Settings) -> None:
    """Clear away what a controller that died left behind: shadow and replaced databases, archives. Idempotent."""
    await clear_databases(settings)
    await forget_unkept(settings)
    try:
        await asyncio.to_thread(clear_archives, settings)
    except OSError as error:
        _log.warning("archives of dead seeds stay", extra={"detail": str(error)})


async def sync_component(
    component: ComponentSettings,
    *,
    settings: Settings,
    client: NodeClient,
    term: Term,
    envelope: Envelope,
    progress: Progress,
    guards: Guards,
    own: NodeClient | None = None,
    wish: Wish | None = None,
) -> ComponentOutcome:
    """Bring one component to the state of the node behind `client`; the standby keeps the old state or has the new one.

    With `own`, this node's agent, a database that this node served comes back from the moment both nodes share; what it
    has alone is saved before it is overwritten. That it may be overwritten the caller has seen to. With `wish`, it is
    compared then.

    Raises SyncRunning when another controller writes to the component, GuardRefused when a guard stops the sync, and
    whatever else did.
    """
    async with open_session(settings.postgres.apply_dsn.get_secret_value()) as control:
        with translated(f"bringing component {component.name} here"):
            if not await control.fetchval(_QUERIES["lock_component"], component.name):
                raise SyncRunning(f"another controller writes to component {component.name}")
            guard = SourceGuard(settings, component, guards, term.epoch)
            run = _ComponentSync(component, settings, client, term, envelope, progress, control, own=own, guard=guard)
            return await run.run() if wish is None else await run.run_verified(wish)


class _ComponentSync:
    def __init__(
        self,
        component: ComponentSettings,
        settings: Settings,
        client: NodeClient,
        term: Term,
        envelope: Envelope,
        progress: Progress,
        control: Session,
        *,
        own: NodeClient | None,
        guard: SourceGuard,
    ) -> None:
        self._component = component
        self._settings = settings
        self._client = client
        self._term = term
        self._envelope = envelope
        self._progress = progress
        self._control = control
        self._own = own
        self._guard = guard
        self._shelf = Shelf(settings)
        self._carrier = Carrier(component, client, term=term, envelope=envelope, progress=progress, guard=guard)

    async def run(self) -> ComponentOutcome:
        # What calls for a seed and comes out of here came while one ran: it could not be finished, another may be.
        return await try_again(self._component.name, self._delta_or_seed, _REWRITTEN | _SEED_CODES)

    async def run_verified(self, wish: Wish) -> ComponentOutcome:
        """Bring the component here, then compare it; what was brought stays whatever comes of that."""
        verification = Verification(self._component.name, wish, self._client, self._progress, SystemClock())
        behind: tuple[Difference, ...] = ()
        with contextlib.suppress(DatabaseMissing):
            async with open_target(self._settings, self._component.database) as session:
                behind = await find_sequences_behind(session, await read_cursor(session, self._component.name))
        outcome = await self.run()
        comparison = await verification.run(self, changed=outcome.rows_per_table, before=behind)
        kind = SyncKind.COMPARE if wish.is_repairing and comparison.differences else outcome.kind
        return replace(outcome, kind=kind, point=comparison.point or outcome.point, comparison=comparison)

    async def delta_then(self, look: Look, whole: tuple[TableName, ...] = ()) -> None:
        """Bring a delta, and look while both sides stand at its snapshot."""
        await try_again(self._component.name, partial(self._delta_then, look, whole), _REWRITTEN)

    async def _delta_then(self, look: Look, whole: tuple[TableName, ...]) -> None:
        async with open_target(self._settings, self._component.database) as session:
            cursor = await read_cursor(session, self._component.name)
            if cursor is None:
                raise CursorMoved(f"the copy of {self._component.name} is gone")
            async with self._carrier.export(SyncKind.DELTA, cursor.point, whole) as export:
                await self._carrier.apply(session, export, self._move(session, cursor, export.manifest), is_kept=True)
                await self._carrier.confirm(export.manifest)
                await look(session, export.manifest)

    async def _delta_or_seed(self) -> ComponentOutcome:
        self._progress.enter(SyncPhase.OPENING)
        may_return, is_lost = True, False
        try:
            outcome = await self._delta()
        except PeerRefusal as refusal:
            if refusal.peer_code not in _SEED_CODES:
                raise
            reason = refusal.detail
            may_return = is_lost = refusal.peer_code != SchemaChanged.code
        except (SchemaChanged, Divergence, CursorMoved) as error:
            reason, may_return = error.detail, False
        else:
            if outcome is not None:
                return outcome
            reason = "there is no copy yet"
        if may_return and self._own is not None:
            returned = await self._return(self._own)
            if isinstance(returned, ComponentOutcome):
                return returned
            reason = f"{reason}; {returned}"
        if is_lost:
            recovered = await self._recover(reason)
            if isinstance(recovered, ComponentOutcome):
                return recovered
            reason = f"{reason}; {recovered}"
        return await self._seed(reason)

    async def _recover(self, reason: str) -> ComponentOutcome | str:
        """Bring a copy by comparing where it is not known what it lacks; return in words why only a seed will do."""
        try:
            async with open_target(self._settings, self._component.database) as session:
                recovery = Recovery(self._component.name, session, self._client, self._progress)
                obstacle = await recovery.find_obstacle(self._settings.controller.compare_from_bytes)
                if obstacle is not None:
                    return obstacle
                async with self._carrier.export(SyncKind.COMPARE, None) as compared:
                    whole = await recovery.compare(compared.manifest)
            if isinstance(whole, str):
                return whole
            opening = self._carrier.export(SyncKind.DELTA, compared.manifest.point, whole)
            async with open_target(self._settings, self._component.database) as session, opening as export:
                cursor = await read_cursor(session, self._component.name)
                finish = partial(
                    write_cursor,
                    session,
                    export.manifest,
                    seed_id=secrets.token_hex(6),
                    epoch=self._term.epoch,
                    definitions_token="" if cursor is None else cursor.definitions_token,
                )
                written = await self._carrier.apply(session, export, Placing(finish))
        except (DatabaseMissing, SchemaChanged, Divergence) as error:
            return error.detail
        await self._carrier.confirm(export.manifest)
        return self._carrier.outcome(export.manifest, reason, written, kind=SyncKind.COMPARE)

    async def _return(self, own: NodeClient) -> ComponentOutcome | str:
        """Bring a database back from the moment that both nodes share; return in words why only a seed will do."""
        begin = await ask_patiently(
            self._component.name, lambda: find_return(self._component.name, client=self._client, own=own)
        )
        if isinstance(begin, str):
            return begin
        told = begin.divergence
        if told is not None and told.schema_change is not None:
            return f"since both nodes were equal, on this one {told.schema_change}"
        try:
            return await self._come_back(begin, own)
        except PeerRefusal as refusal:
            if refusal.peer_code not in _SEED_CODES:
                raise
            return refusal.detail
        except (SchemaChanged, Divergence) as error:
            return error.detail

    async def _come_back(self, begin: Return, own: NodeClient) -> ComponentOutcome:
        told = begin.divergence
        reason = f"re-sync from sync point {begin.since.seq} that both nodes share"
        async with open_target(self._settings, self._component.database) as session:
            rescue = None
            if told is not None:
                rescue = RowRescue(session, self._shelf, SystemClock(), own, told, self._occasion(reason))
            if rescue is not None and told is not None and told.prepared:
                await rescue.note_prepared()
                await roll_back_prepared(session, told.prepared)
            whole = await ask_patiently(self._component.name, lambda: bring_keys(begin, client=self._client, own=own))
            untold = () if told is None else told.untold
            async with self._carrier.export(SyncKind.DELTA, begin.since, whole, compared=untold) as export:
                manifest = export.manifest
                finish = partial(
                    write_cursor,
                    session,
                    manifest,
                    seed_id=secrets.token_hex(6),
                    epoch=self._term.epoch,
                    definitions_token=manifest.definitions_token,
                )
                placing = Placing(finish, None if rescue is None else rescue.save, keeps_farther_sequences=True)
                bring = partial(self._carrier.apply, session, export, placing, rescue)
                before = await read_entries_kept(session, self._component.name)
                if before is None:
                    before = await read_own_entries(session, self._settings, self._component.database, like=manifest)
                async with self._redefinition(session, manifest, before) as change:
                    if isinstance(change, PeerRefusal):
                        written = await self._without_definitions(bring, change)
                    elif change.missing():
                        raise SchemaChanged(f"since both nodes were equal, {change.words}")
                    else:
                        written = await change.carry(session, bring)
            await self._bring_properties(session, manifest)
        await self._carrier.confirm(manifest)
        outcome = self._carrier.outcome(manifest, reason, written, kind=SyncKind.DELTA)
        return outcome if rescue is None else replace(outcome, rescue=rescue.saved)

    async def _delta(self) -> ComponentOutcome | None:
        """Bring what changed since the cursor; None where there is no copy to bring it to."""
        try:
            async with open_target(self._settings, self._component.database) as session:
                cursor = await read_cursor(session, self._component.name)
                if cursor is None:
                    return None
                whole = frozenset[TableName]()
                for _ in range(_ATTEMPTS):
                    brought = await self._bring(session, cursor, whole)
                    if isinstance(brought, ComponentOutcome):
                        return brought
                    whole |= brought
        except DatabaseMissing:
            return None
        raise SchemaChanged("definitions keep changing")

    async def _bring(
        self, session: Session, cursor: Cursor, whole: frozenset[TableName]
    ) -> ComponentOutcome | frozenset[TableName]:
        """Bring a delta with its definitions; return the tables instead of which the export should carry all rows."""
        is_known = await are_entries_kept(session, self._component.name)
        async with self._carrier.export_changes(cursor.point, whole, brings_definitions=is_known) as export:
            manifest = export.manifest
            placing = self._move(session, cursor, manifest, manifest.definitions_token)
            reason, definitions = None, tuple[str, ...]()
            if manifest.definitions_token == cursor.definitions_token and manifest.schema_change is None:
                written = await self._carrier.apply(session, export, placing)
            elif (before := await read_entries_kept(session, self._component.name)) is None:
                raise SchemaChanged("definitions changed, and it is not known what the copy was made of")
            else:
                async with self._redefinition(session, manifest, before) as change:
                    if isinstance(change, PeerRefusal):
                        placing = self._move(session, cursor, manifest)
                        bring = partial(self._carrier.apply, session, export, placing)
                        written = await self._without_definitions(bring, change)
                    elif missing := change.missing() - whole:
                        return missing
                    else:
                        if not change.difference.is_empty:
                            await self._guard.note_before(session)
                        written = await change.carry(session, partial(self._carrier.apply, session, export, placing))
                        self._carrier.left += await change.check(session)
                        reason = None if change.difference.is_empty else change.words
                        definitions = change.difference.changed[:_TOLD]
        await self._bring_properties(session, manifest)
        await self._carrier.confirm(manifest)
        return self._carrier.outcome(manifest, reason, written, kind=SyncKind.DELTA, definitions=definitions)

    async def _bring_properties(self, session: Session, manifest: Manifest) -> None:
        """Bring what belongs to the database itself; another attempt finds what is left to do by looking."""
        self._carrier.left += await bring_properties(session, self._component.database, manifest.database)

    async def _without_definitions(
        self, bring: Callable[[], Awaitable[dict[str, int]]], refusal: PeerRefusal
    ) -> dict[str, int]:
        """Bring rows that fit; the definitions are brought by the sync that may read them."""
        written = await bring()
        self._carrier.left += (UnkeptTable(name="definitions", reason=refusal.detail),)
        return written

    def _redefinition(
        self, session: Session, manifest: Manifest, before: tuple[Entry, ...] | None
    ) -> AbstractAsyncContextManager[Redefinition | PeerRefusal]:
        self._progress.enter(SyncPhase.SCHEMA)
        return fetch_redefinition(
            session,
            self._settings,
            self._component,
            client=self._client,
            manifest=manifest,
            before=before,
            progress=self._progress,
        )

    def _move(self, session: Session, cursor: Cursor, manifest: Manifest, definitions: str | None = None) -> Placing:
        """Return what goes with a delta: the cursor moves on; so do the definitions where those are brought too."""
        token = cursor.definitions_token if definitions is None else definitions
        return Placing(partial(move_cursor, session, cursor, manifest, epoch=self._term.epoch, definitions_token=token))

    async def _seed(self, reason: str) -> ComponentOutcome:
        _log.info("seed begins", extra={"component": self._component.name, "reason": reason})
        shadow = Shadow(self._settings, self._control, self._component.database)
        self._carrier.left = ()
        try:
            async with self._carrier.export(SyncKind.SEED, None) as export:
                manifest = export.manifest
                await self._guard.check_manifest(self._control, manifest)
                await shadow.create(manifest)
                seeder = Seeder(self._settings, self._client, export, shadow, self._progress)
                seeded = await seeder.fill(self._term.epoch)
            if seeded.left_out:
                catch_up = partial(self._catch_up, shadow, seeded.cursor, seeded.left_out)
                manifest = await try_again(self._component.name, catch_up, _REWRITTEN)
            await self._guard.check_swap(shadow.name, seeded.left_out)
            self._progress.enter(SyncPhase.SWAPPING)
            await shadow.take_properties(manifest.database)
            await Fence(self._settings, SystemClock()).close_shadow(shadow.name)
            occasion = self._occasion(reason)
            kept = await keep_database(self._shelf, shadow, self._component.name, self._envelope.node_id, occasion)
            await shadow.swap_in(keep_as=None if kept is None else kept.kept_database)
        except BaseException:
            await shadow.discard()
            raise
        await self._carrier.confirm(manifest)
        outcome = self._carrier.outcome(manifest, reason, seeded.rows_per_table, kind=SyncKind.SEED)
        return replace(outcome, rescue=kept)

    async def _catch_up(self, shadow: Shadow, cursor: Cursor, left_out: tuple[TableName, ...]) -> Manifest:
        """Finish a seed by a delta that brings the tables it had to leave out, whole."""
        async with (
            open_target(self._settings, shadow.name) as session,
            self._carrier.export(SyncKind.DELTA, cursor.point, left_out) as export,
        ):
            await self._carrier.apply(session, export, self._move(session, cursor, export.manifest))
        return export.manifest

    def _occasion(self, reason: str) -> Occasion:
        return Occasion(self._component.database, self._term.owner, self._term.epoch, reason)
