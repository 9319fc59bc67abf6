"""One file set brought to the active node's state: two lists, a plan, what lacks gathered beside the tree, then placed.

The two sides are compared as a whole each time, so what somebody changed here by hand is brought right as well.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from services.standby_controller.files.draft import OWN, Draft, EntryFile
from services.standby_controller.files.drift import MOST_FOUND, find_drift, tell_silent
from services.standby_controller.files.gathering import Gathering
from services.standby_controller.files.rescuing import FileRescue
from services.standby_controller.files.scanning import AfterSync, OwnList, SourceList
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import Guard, Guards, find_lost_files, find_no_room
from services.standby_controller.progress import Progress
from services.standby_controller.rescue.manifest import RescueManifest
from services.standby_controller.rescue.shelf import Shelf
from services.standby_controller.verify.model import Comparison, Difference, Wish
from shared.clock import Clock, SystemClock
from shared.errors import DiskShort, FileSetUnusable, NotStandby, SourceShrank, WarmstandbyError
from shared.files.entries import EntryKind, write_path
from shared.files.index import IndexWriter, Known, Walker, next_head, read_head, read_index
from shared.files.owners import Owners
from shared.files.places import Notes
from shared.files.settling import Settled, finish, settle
from shared.files.staging import Staging, Watch
from shared.files.standing import Standing, read_standing, write_standing
from shared.files.threads import in_thread
from shared.files.tree import Tree
from shared.files.wire import ListingHead, OpenListing
from shared.log import fields_of
from shared.node.file_sets import FileSetLink
from shared.node.model import Envelope, State, Term, UnkeptTable
from shared.node.record import read_record
from shared.node.steps import PROMOTION, Act
from shared.replication.model import SyncKind, SyncPhase
from shared.replication.verification import Level
from shared.settings import FileSetSettings, Settings

_NS: Final = 10**9
_MOST_TOLD: Final = 100
_log = logging.getLogger(__name__)


async def clear_file_sets(settings: Settings) -> None:
    """Bring to its end what a controller that died left behind. Idempotent; what cannot be is said in the log."""
    for one in settings.file_sets:
        if not may_apply(settings):
            continue
        try:
            done = await in_thread(partial(settle, one, Notes.of(settings.node.state_dir, one.name)))
        except WarmstandbyError as error:
            _log.warning("file set not settled", extra={"component": one.name, **fields_of(error)})
        else:
            if done is not Settled.NOTHING:
                _log.info("file set settled", extra={"component": one.name, "detail": done.value})


def may_apply(settings: Settings) -> bool:
    """Say whether this node's record lets a sync write here: it does not serve, nor is it about to."""
    record = read_record(settings.node.state_dir)
    if record is None or record.state in (State.STANDBY, State.FENCED):
        return True
    attempt = record.attempt
    if record.state is not State.PROMOTING or attempt is None:
        return False
    acts = PROMOTION[attempt.kind]
    return acts.index(Act(attempt.step)) < acts.index(Act.STOP_APPLY)


@dataclass(slots=True)
class FileSetSync:
    """One sync of one file set."""

    file_set: FileSetSettings
    settings: Settings
    client: FileSetLink
    term: Term
    envelope: Envelope
    progress: Progress
    guards: Guards
    wish: Wish | None = None
    clock: Clock = field(default_factory=SystemClock)
    watch: Watch = lambda _: None
    _owners: Owners = field(default_factory=Owners)
    _drift: tuple[Difference, ...] = ()
    _begun: float = 0.0

    async def run(self) -> ComponentOutcome:
        """Bring the file set here; the old tree stays, or the new one takes its place, whatever happens.

        Raises FileSetMissing, FileSetUnusable, SyncRunning, NotStandby, GuardRefused, RescueUnwritable, PeerError,
        ListingRefused, TransferIncomplete.
        """
        self._begun = self.clock.monotonic()
        self.progress.enter(SyncPhase.OPENING)
        await in_thread(partial(settle, self.file_set, self._notes))
        with Tree.open(self.file_set.path, self.file_set.name) as tree:
            staging = Staging.hold(tree, self.file_set.name, self.watch)
            try:
                await in_thread(staging.begin)
                if not may_apply(self.settings):  # asked with the folder in place: a promotion takes that away
                    raise NotStandby(f"node {self.envelope.node_id} serves, or is about to")
                return await self._bring(tree, staging)
            except OSError as error:
                where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
                raise FileSetUnusable(f"file set {self.file_set.name}: {where}{error.strerror or error}") from error
            finally:
                await in_thread(partial(_let_go, staging))

    @property
    def _notes(self) -> Notes:
        return Notes.of(self.settings.node.state_dir, self.file_set.name)

    @property
    def _level(self) -> Level | None:
        """Return how the copy is compared; None where it is not."""
        wish = self.wish
        is_meant = wish is not None and wish.level is not Level.NONE and wish.tables != frozenset()
        return wish.level if wish is not None and is_meant else None

    async def _bring(self, tree: Tree, staging: Staging) -> ComponentOutcome:
        standing = read_standing(self._notes.standing)
        is_rehashed = self._level is Level.FULL
        source = SourceList(self.file_set, staging.path, self._owners)
        asked = OpenListing(term=self.term.epoch, is_rehashed=is_rehashed)
        head = await source.receive(self.client, asked, self.progress)
        own = OwnList(tree, source.leaves, self._owners, self._now_ns)
        await own.make(staging.path, Walker(read_index(self._notes.index)), is_rehashed=is_rehashed)
        noted = read_head(self._notes.index)
        if self._level is not None and standing.is_copy and noted is not None and noted.name == standing.noted:
            self._drift = await in_thread(lambda: self._find_drift(staging.path))
        if Guard.SOURCE_SHRANK not in self.guards.accepted:
            lost = find_lost_files(own.counted.files, source.counted.files, self.guards.limits)
            if lost is not None:
                raise SourceShrank(f"file set {self.file_set.name}: {lost}")
        draft = await in_thread(lambda: Draft.make(staging.path))
        kind, reason = _kind_of(standing)
        told = _Told(head, kind, reason, source.counted.files)
        self.progress.begin(kind, tables_total=None, bytes_total=draft.size_bytes)
        after = Standing(point=head.point, source_node=head.node_id, term_epoch=self.term.epoch, taken_at=head.taken_at)
        if draft.is_empty:
            await in_thread(lambda: self._note(read_index(staging.path / OWN), after))
            return self._outcome(told, draft, None, None)
        self._check_room(tree, draft)
        self.progress.enter(SyncPhase.COPYING)
        gathering = Gathering(self.file_set.name, staging, draft, self.client, self.progress, self._owners)
        await gathering.run()
        rescue = None
        if not standing.is_copy:
            rescue = await self._rescue(reason or "").save(staging, draft)
        self.progress.enter(SyncPhase.APPLYING)
        await in_thread(lambda: self._place(staging, draft, gathering, after))
        for path, why in gathering.failed.items():
            draft.leave(path, why)
        self.progress.enter(SyncPhase.SWAPPING)
        own = OwnList(tree, source.leaves, self._owners, self._now_ns)
        known = AfterSync(staging.path / "placed", staging.path / OWN)
        await own.make(staging.path / "after", known, is_rehashed=False)
        await in_thread(lambda: self._note(read_index(staging.path / "after" / OWN), after))
        return self._outcome(told, draft, gathering, rescue)

    def _now_ns(self) -> int:
        return int(self.clock.now().timestamp() * _NS)

    def _find_drift(self, folder: Path) -> tuple[Difference, ...]:
        left = (known.entry for known in read_index(self._notes.index))
        own = (known.entry for known in read_index(folder / OWN))
        return tuple(islice(find_drift(left, own), MOST_FOUND))

    def _check_room(self, tree: Tree, draft: Draft) -> None:
        if Guard.DISK_SHORT in self.guards.accepted:
            return
        found = os.statvfs(tree.root)
        reason = find_no_room(
            needed_bytes=draft.size_bytes,
            free_bytes=found.f_bavail * found.f_frsize,
            floor_bytes=self.settings.agent.disk_floor_bytes,
        )
        if reason is not None:
            raise DiskShort(f"file set {self.file_set.name}, folder {self.file_set.path}: {reason}")

    def _rescue(self, reason: str) -> FileRescue:
        return FileRescue(self.file_set, Shelf(self.settings), self.clock, self.envelope.node_id, self.term, reason)

    def _place(self, staging: Staging, draft: Draft, gathering: Gathering, after: Standing) -> None:
        """Note which files were gathered, commit, and put them in place."""
        seen_at_ns = self._now_ns()
        with EntryFile(staging.path / "placed") as placed:
            for number, known in enumerate(draft.brings.read()):
                entry = gathering.came.get(number, known.entry)
                if entry.kind is EntryKind.FILE and entry.path not in gathering.failed:
                    placed.add(Known(entry, inode=staging.inode(number), seen_at_ns=seen_at_ns))
        (staging.path / "after").mkdir()
        if not may_apply(self.settings):
            raise NotStandby(f"node {self.envelope.node_id} serves, or is about to")
        staging.commit(self.file_set.name, after, draft.steps(gathering.failed.keys()))
        for path in finish(staging, self._notes):
            draft.leave(path, "somebody changed what lies here while the sync ran")
        staging.forget_old()

    def _note(self, found: Iterable[Known], after: Standing) -> None:
        """Keep what the tree holds now, for the next sync, and that this is what a sync left."""
        self._notes.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = next_head(self._notes.index)
        writer = IndexWriter(self._notes.index, head)
        try:
            for known in found:
                writer.add(known)
            writer.commit()
        finally:
            writer.discard()
        if may_apply(self.settings):
            write_standing(self._notes.standing, after.model_copy(update={"noted": head.name}))

    def _outcome(
        self, told: _Told, draft: Draft, gathering: Gathering | None, rescue: RescueManifest | None
    ) -> ComponentOutcome:
        failed = {} if gathering is None else gathering.failed
        came = draft.brings.count - len(failed)
        counts = {"brought": came, "removed": draft.goes.count, "attributes": draft.attributes}
        if gathering is not None and gathering.reused:
            counts["of them found here"] = gathering.reused
        outcome = ComponentOutcome(
            component=self.file_set.name,
            kind=told.kind,
            reason=told.reason,
            point=told.head.point,
            rows=came + draft.goes.count + draft.attributes,
            keys=0,
            bytes=self.progress.bytes_done,
            snapshot_at=told.head.taken_at,
            rows_per_table={name: count for name, count in counts.items() if count},
            seconds_per_phase=self.progress.seconds_per_phase(),
            unkept=self._unkept(draft),
            snapshot_monotonic=self._begun,
            rescue=rescue,
        )
        level = self._level
        if level is None:
            return outcome
        silent = tuple(map(tell_silent, draft.silent)) if level is Level.FULL else ()
        known = {one.name for one in self._drift}
        found = (*self._drift, *(one for one in silent if one.name not in known))
        left = {write_path(path) for path in draft.left}
        comparison = Comparison(
            component=self.file_set.name,
            level=level,
            compared=(self.file_set.name,),
            rows=told.files,
            differences=tuple(replace(one, is_repaired=one.name not in left) for one in found),
            point=told.head.point,
            snapshot_at=told.head.taken_at,
            seconds=self.clock.monotonic() - self._begun,
            has_begun_anew=level is Level.FULL,
        )
        kind = SyncKind.COMPARE if found else outcome.kind
        return replace(outcome, kind=kind, comparison=comparison)

    def _unkept(self, draft: Draft) -> tuple[UnkeptTable, ...]:
        told = [UnkeptTable(name=write_path(path), reason=why) for path, why in islice(draft.left.items(), _MOST_TOLD)]
        if draft.left_count > _MOST_TOLD:
            told.append(UnkeptTable(name="...", reason=f"and {draft.left_count - _MOST_TOLD} paths more"))
        if self._owners.unkept:
            why = (
                "not every owner and group can be given here" if self._owners.may_give else "only root gives files away"
            )
            told.append(UnkeptTable(name="owner and group", reason=f"{self._owners.unkept} paths: {why}"))
        return tuple(told)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a sync was of."""

    head: ListingHead
    kind: SyncKind
    reason: str | None
    files: int


def _kind_of(standing: Standing) -> tuple[SyncKind, str | None]:
    if standing.served_epoch is not None:
        return SyncKind.COMPARE, f"this node served in term {standing.served_epoch}: its files were compared"
    if standing.point is None:
        return SyncKind.SEED, "there is no copy yet"
    return SyncKind.DELTA, None


def _let_go(staging: Staging) -> None:
    """Remove what was gathered; what is committed stays, to be brought to its end."""
    try:
        if staging.read_journal() is None:
            staging.clear()
    except OSError as error:
        _log.warning("what a sync gathered stays for now", extra={"file": str(staging.path), "detail": str(error)})
    finally:
        staging.close()
