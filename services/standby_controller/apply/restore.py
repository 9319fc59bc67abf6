"""Definitions into a shadow database: the pg_dump archive from the active node, restored in parts by pg_restore."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from services.standby_controller.definitions.archive import Entry, read_entries
from services.standby_controller.progress import Progress
from shared.errors import DatabaseUnreachable, SeedRefused
from shared.node.client import NodeClient
from shared.postgres.programs import Program, find_program
from shared.replication.model import Manifest
from shared.settings import Settings

_ERROR_BYTES: Final = 2000
_OURS: Final = re.compile(
    r"^\d+; \d+ \d+ "
    r"(?:PUBLICATION - warmstandby |PUBLICATION TABLE .*? warmstandby |EVENT TRIGGER - warmstandby_guard(?:_drop)? )"
)


_FIRST_ENTRY: Final = "\n--\n-- Name: "
_LAST_ENTRY: Final = "\n--\n-- PostgreSQL database dump complete"
_SYSTEM_RIGHTS: Final = re.compile(r"^\d+; \d+ \d+ ACL pg_catalog ")
_SERVER_GONE: Final = re.compile(
    "server closed the connection|connection to server|no connection to the server|terminating connection"
)
_MISSING_HINT: Final = (
    "Make on this node what the message names (a role, an extension, a right), as on the active node."
)
_SUPERUSER_HINT: Final = "Only superusers may make that: run `ALTER ROLE warmstandby_apply SUPERUSER;` on this node."
_log = logging.getLogger(__name__)


class SchemaArchive:
    """The archive in a file of the state folder; `list` is what of it is restored."""

    def __init__(self, settings: Settings, program: Program, folder: Path, seed_id: str) -> None:
        """Lies in the folder until `remove`."""
        self._settings = settings
        self._program = program
        self._file = folder / f"{seed_id}.dump"
        self._list = folder / f"{seed_id}.list"

    @classmethod
    async def fetch(
        cls,
        settings: Settings,
        client: NodeClient,
        manifest: Manifest,
        *,
        database: str,
        seed_id: str,
        is_superuser: bool,
        progress: Progress,
    ) -> SchemaArchive:
        """Bring the archive here and leave our own objects out of it, and rights only a superuser may give.

        Raises SeedRefused when there is no room for it.
        """
        program = await find_program(
            "pg_restore",
            bin_dir=settings.postgres.bin_dir,
            dsn=settings.postgres.apply_dsn.get_secret_value(),
            database=database,
            server_version=manifest.server_version,
        )
        folder = seed_folder(settings)
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        archive = cls(settings, program, folder, seed_id)
        try:
            with archive._file.open("wb") as file:
                async with client.schema(manifest.export_id) as chunks:
                    async for chunk in chunks:
                        progress.add_bytes(len(chunk))
                        await asyncio.to_thread(file.write, chunk)
            await archive._choose(is_superuser=is_superuser)
        except OSError as error:
            archive.remove()
            raise SeedRefused(
                f"the definitions cannot be written to {folder}: {error.strerror or error}",
                hint="Make room in [node] state_dir.",
            ) from error
        except BaseException:
            archive.remove()
            raise
        return archive

    async def _choose(self, *, is_superuser: bool) -> None:
        """Write the list of what is restored."""
        text = await self._run("--list", str(self._file), connects=False)
        kept = [line for line in text.splitlines() if not _OURS.match(line)]
        if not is_superuser:
            unable = [line for line in kept if _SYSTEM_RIGHTS.match(line)]
            kept = [line for line in kept if not _SYSTEM_RIGHTS.match(line)]
            if unable:
                _log.warning(
                    "rights on system objects are not copied, our role may not give them", extra={"rights": unable}
                )
        text = "\n".join(kept) + "\n"
        await asyncio.to_thread(self._list.write_text, text, encoding="utf-8", errors="surrogateescape")

    async def restore(self, section: str, *, jobs: int = 1) -> None:
        """Restore a section (pre-data, data, post-data); raise SeedRefused with the program's words."""
        await self._run(
            f"--section={section}", f"--use-list={self._list}", "--exit-on-error", f"--jobs={jobs}", str(self._file)
        )

    async def entries(self) -> tuple[Entry, ...]:
        """Return what the archive defines; raises SchemaChanged where it cannot be read."""

        def read() -> tuple[Entry, ...]:
            with self._file.open("rb") as file:
                return read_entries(file)

        return await asyncio.to_thread(read)

    async def write_script(self, numbers: Collection[int]) -> str:
        """Return SQL that makes these entries, in the archive's order; what pg_restore sets for itself is left out."""
        if not numbers:
            return ""
        kept = await asyncio.to_thread(self._list.read_text, encoding="utf-8", errors="surrogateescape")
        wanted = set(map(str, numbers))
        chosen = [line for line in kept.splitlines() if line.partition(";")[0] in wanted]
        file = self._list.with_suffix(".chosen")
        try:
            text = "\n".join(chosen) + "\n"
            await asyncio.to_thread(file.write_text, text, encoding="utf-8", errors="surrogateescape")
            script = await self._run(f"--use-list={file}", "--file=-", str(self._file), connects=False)
        finally:
            file.unlink(missing_ok=True)
        _, head, begun = script.partition(_FIRST_ENTRY)
        return f"{head}{begun.rpartition(_LAST_ENTRY)[0]}"

    def remove(self) -> None:
        """Remove the files."""
        self._file.unlink(missing_ok=True)
        self._list.unlink(missing_ok=True)

    async def _run(self, *arguments: str, connects: bool = True) -> str:
        begin = self._program.arguments if connects else self._program.arguments[:1]
        process = await asyncio.create_subprocess_exec(
            *begin,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._program.environment,
        )
        try:
            output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            text = errors.decode(errors="replace")[-_ERROR_BYTES:].strip()
            if _SERVER_GONE.search(text):
                raise DatabaseUnreachable(f"pg_restore: {text}")
            hint = _SUPERUSER_HINT if "Must be superuser" in text else _MISSING_HINT
            raise SeedRefused(f"pg_restore: {text.removeprefix('pg_restore: ')}", hint=hint)
        return output.decode(errors="surrogateescape")


def clear_archives(settings: Settings) -> None:
    """Remove archives that a death left behind; for the holder of the sync lock. Idempotent."""
    folder = seed_folder(settings)
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()


def seed_folder(settings: Settings) -> Path:
    """Return where archives lie while a seed runs."""
    return settings.node.state_dir / "seed"
