"""Saves the files that a sync is about to overwrite or remove where no sync made them, before it does."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.standby_controller.files.draft import Draft
from services.standby_controller.rescue.manifest import RescuedFile, RescueKind, RescueManifest
from services.standby_controller.rescue.shelf import Shelf
from shared.clock import Clock
from shared.errors import RescueUnwritable
from shared.files.atomic import sync_file_system
from shared.files.entries import Entry, EntryKind, write_path
from shared.files.staging import Staging
from shared.files.threads import in_thread
from shared.files.tree import GONE
from shared.node.model import Term
from shared.settings import FileSetSettings

_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileRescue:
    """One file set's rescue; tried again in the same term, it is the same one."""

    file_set: FileSetSettings
    shelf: Shelf
    clock: Clock
    node_id: str
    term: Term
    reason: str

    async def save(self, staging: Staging, draft: Draft) -> RescueManifest | None:
        """Save what goes and what is replaced, durably; None where there is nothing. Raises RescueUnwritable."""
        if not draft.goes.count and not draft.replaced.count:
            return None
        name = f"{self.file_set.name}-{self.term.epoch}-files"
        folder = await self.shelf.prepare(name, self.file_set.name)
        try:
            files = await in_thread(lambda: self._copy(staging, draft, folder))
        except OSError as error:
            raise RescueUnwritable(f"{error.filename or folder}: {error.strerror}") from error
        if not files:
            await self.shelf.drop(name)
            return None
        saved = RescueManifest(
            id=name,
            kind=RescueKind.FILES,
            component=self.file_set.name,
            folder=str(self.file_set.path),
            node_id=self.node_id,
            source_node=self.term.owner,
            term_epoch=self.term.epoch,
            reason=self.reason,
            made_at=self.clock.now(),
            files=files,
        )
        await self.shelf.finish(saved)
        return saved

    def _copy(self, staging: Staging, draft: Draft, folder: Path) -> tuple[RescuedFile, ...]:
        saved: list[RescuedFile] = []
        for list_of in (draft.goes, draft.replaced):
            for known in list_of.read():
                if known.entry.kind in (EntryKind.FILE, EntryKind.LINK):
                    saved += self._save(staging, known.entry, folder, len(saved))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)
        return tuple(saved)

    def _save(self, staging: Staging, entry: Entry, folder: Path, number: int) -> list[RescuedFile]:
        told = RescuedFile(path=write_path(entry.path), mode=entry.mode, owner=entry.owner, group=entry.group)
        if entry.kind is EntryKind.LINK:
            return [told.model_copy(update={"target": write_path(entry.target)})]
        place, digest, size = folder / f"{number}.file", hashlib.sha256(), 0
        try:
            with staging.tree.reading(entry.path) as source, place.open("wb") as target:
                place.chmod(0o600)
                while block := os.read(source, _COPY_BYTES):
                    digest.update(block)
                    target.write(block)
                    size += len(block)
        except OSError as error:
            if error.errno not in GONE:
                raise
            place.unlink(missing_ok=True)
            return []  # it went by itself
        return [told.model_copy(update={"file": place.name, "bytes": size, "sha256": digest.hexdigest()})]
