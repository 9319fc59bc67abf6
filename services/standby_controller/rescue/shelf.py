"""The rescues of this node as folders under [node] state_dir: written durably, listed, read and discarded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from services.standby_controller.rescue.manifest import RescueManifest
from shared.errors import NotFound, RescueUnwritable
from shared.files.atomic import sync_folder, write_atomically
from shared.settings import Settings

_MANIFEST: Final = "manifest.json"
_TOLD: Final = "told"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,160}")
_LONGEST_NAME: Final = 200
_log = logging.getLogger(__name__)

Done = TypeVar("Done")


class Shelf:
    """All rescues; files are written in worker threads."""

    def __init__(self, settings: Settings) -> None:
        """Make nothing yet."""
        self._root = settings.node.state_dir / "rescues"

    def folder(self, rescue_id: str, component: str) -> Path:
        """Return where the files of a rescue lie."""
        return self._root / rescue_id / component

    async def prepare(self, rescue_id: str, component: str) -> Path:
        """Make the folder of a rescue, empty of files; raises RescueUnwritable."""
        return await self._write(self._prepare, rescue_id, component)

    async def finish_file(self, path: Path) -> None:
        """Make a file that was written durable; raises RescueUnwritable."""
        await self._write(_sync_file, path)

    async def finish(self, manifest: RescueManifest) -> None:
        """Make a rescue whole: its folders durable, then its manifest. Raises RescueUnwritable."""
        await self._write(self._finish, manifest)

    async def drop(self, rescue_id: str) -> None:
        """Remove a rescue with all its files; one that is not there is removed already."""
        await self._write(self._drop, rescue_id)

    async def list_all(self) -> tuple[RescueManifest, ...]:
        """Return every whole rescue, the newest first."""
        return await asyncio.to_thread(self._list)

    async def list_untold(self) -> tuple[RescueManifest, ...]:
        """Return whole rescues that no event told of yet, the oldest first."""
        return await asyncio.to_thread(self._list_untold)

    async def mark_told(self, rescue_id: str) -> None:
        """Note that an event told of a rescue; one that is gone needs no mark. Raises RescueUnwritable."""
        await self._write(self._mark_told, rescue_id)

    async def count(self) -> int:
        """Return how many whole rescues there are."""
        return len(await asyncio.to_thread(self._manifests))

    async def read(self, rescue_id: str) -> RescueManifest:
        """Return one rescue; raises NotFound."""
        found = await asyncio.to_thread(self._read, rescue_id)
        if found is None:
            raise NotFound(f"there is no rescue {rescue_id!r}")
        return found

    async def find_file(self, rescue_id: str, file: str) -> Path:
        """Return a file that a rescue's manifest names; raises NotFound."""
        manifest = await self.read(rescue_id)
        if file not in {*(table.file for table in manifest.tables), *(one.file for one in manifest.files)}:
            raise NotFound(f"rescue {rescue_id} has no file {file!r}")
        return self.folder(rescue_id, manifest.component) / Path(file).name

    async def _write(self, act: Callable[..., Done], *values: object) -> Done:
        try:
            return await asyncio.to_thread(act, *values)
        except OSError as error:
            raise RescueUnwritable(f"{error.filename or self._root}: {error.strerror or error}") from error

    def _prepare(self, rescue_id: str, component: str) -> Path:
        folder = self.folder(rescue_id, component)
        for name in (_MANIFEST, _TOLD):  # what they told of is written anew
            (folder.parent / name).unlink(missing_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        return folder

    def _finish(self, manifest: RescueManifest) -> None:
        folder = self._root / manifest.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / manifest.component).is_dir():
            sync_folder(folder / manifest.component)
        write_atomically(folder / _MANIFEST, manifest.model_dump_json(indent=2).encode())
        for path in (folder, self._root, self._root.parent):
            sync_folder(path)

    def _drop(self, rescue_id: str) -> None:
        folder = self._root / rescue_id
        if _ID.fullmatch(rescue_id) and folder.is_dir():
            (folder / _MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)
            sync_folder(self._root)

    def _list_untold(self) -> tuple[RescueManifest, ...]:
        untold = [path.parent.name for path in self._manifests() if not (path.parent / _TOLD).exists()]
        found = [self._read(name) for name in untold]
        return tuple(sorted((one for one in found if one), key=lambda one: (one.made_at, one.id)))

    def _mark_told(self, rescue_id: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._root / rescue_id / _TOLD).touch(mode=0o600)

    def _manifests(self) -> list[Path]:
        return list(self._root.glob(f"*/{_MANIFEST}"))

    def _list(self) -> tuple[RescueManifest, ...]:
        found = [self._read(path.parent.name) for path in self._manifests()]
        return tuple(sorted((one for one in found if one), key=lambda one: (one.made_at, one.id), reverse=True))

    def _read(self, rescue_id: str) -> RescueManifest | None:
        if _ID.fullmatch(rescue_id) is None:
            return None
        path = self._root / rescue_id / _MANIFEST
        try:
            return RescueManifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _log.warning("rescue cannot be read", extra={"file": str(path), "detail": str(error)})
            return None


def name_file(schema_name: str, name: str, number: int) -> str:
    """Return the file for a table: its name, as far as a file can have it."""
    text = f"{quote(schema_name, safe=' ')}.{quote(name, safe=' ')}.csv"
    return text if len(text) <= _LONGEST_NAME else f"{number}.csv"


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
