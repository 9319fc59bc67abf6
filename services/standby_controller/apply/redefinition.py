"""A change of a copy's definitions: fetched and compared first, then made in the transaction that brings the rows."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import asyncpg

from services.standby_controller.apply.cursor import hold_guard
from services.standby_controller.apply.restore import SchemaArchive, seed_folder
from services.standby_controller.apply.target import use_origin
from services.standby_controller.definitions.archive import Entry, read_entries
from services.standby_controller.definitions.difference import Difference, find_difference, find_unlike
from services.standby_controller.definitions.keeping import keep_entries
from services.standby_controller.definitions.tables import name_requirements
from services.standby_controller.progress import Progress
from shared.errors import PeerRefusal, PostgresError, RightsMissing, SchemaChanged
from shared.node.client import NodeClient
from shared.node.model import UnkeptTable
from shared.postgres.catalog import describe_server
from shared.postgres.dump import dump_definitions
from shared.postgres.queries import load_queries, qualified
from shared.postgres.sessions import Session, translated
from shared.replication.model import Manifest, TableMode, TableName
from shared.settings import ComponentSettings, Settings

_QUERIES: Final = load_queries("services.standby_controller.definitions", "definitions.sql")
_TARGET: Final = load_queries("services.standby_controller.apply", "target.sql")
log = logging.getLogger(__name__)
_UTF8: Final = "UTF8"
_NAMES_NOT_NULL: Final = 180000
_TOLD: Final = 3
_MADE_OTHERWISE: Final = "made again by pg_dump's own text, it is not quite what the active node has"
_NOT_OURS: Final = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresConnectionError,
)
"""Errors of the moment: another attempt may find them gone."""


class Redefinition:
    """What changes, and the archive that it is made from."""

    def __init__(
        self,
        settings: Settings,
        component: ComponentSettings,
        manifest: Manifest,
        archive: SchemaArchive,
        after: tuple[Entry, ...],
        difference: Difference,
    ) -> None:
        """Take the parts; nothing happens yet."""
        self._component = component
        self._settings = settings
        self._manifest = manifest
        self._archive = archive
        self._after = after
        self.difference = difference

    @property
    def words(self) -> str:
        """Return in words what changed, for people."""
        told = list(self.difference.changed)
        more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        return f"definitions changed: {'; '.join(told[:_TOLD])}{more}"

    def missing(self) -> frozenset[TableName]:
        """Return the tables made anew of which the export does not carry all rows; partitioned ones have none."""
        carried = {
            TableName(schema_name=table.schema_name, name=table.name)
            for table in self._manifest.tables
            if table.mode is TableMode.WHOLE
        }
        return self.difference.copied - carried

    async def carry(self, session: Session, bring: Callable[[], Awaitable[dict[str, int]]]) -> dict[str, int]:
        """Change definitions and bring the rows in one transaction; return what `bring` does.

        Raises SchemaChanged where the server refuses a definition, GuardClosed.
        """
        if self.difference.is_empty:
            written = await bring()
            await keep_entries(session, self._component.name, self._after)
            return written
        with translated(f"changing definitions of database {self._component.database}"):
            await use_origin(session, self._component.name)  # no transaction may be open for that
            await self._do_apart(session)
            async with session.transaction():
                await session.execute(_TARGET["apply_as_replica"])
                await hold_guard(session, self._component.database)
                await self._begin(session)
                written = await bring()
                await self._end(session)
        return written

    async def check(self, session: Session) -> tuple[UnkeptTable, ...]:
        """See that the tables are what the active node has; raise SchemaChanged where one altered in place is not.

        Returns those made again that are not: pg_dump itself does not bring back all that it writes.
        """
        if not self.difference.altered and not self.difference.copied:
            return ()
        try:
            own = await read_own_entries(session, self._settings, self._component.database, like=self._manifest)
        except PostgresError as error:
            log.warning(
                "definitions are not looked at", extra={"database": self._component.database, "why": error.detail}
            )
            return ()
        if own is None:
            return ()
        for name in find_unlike(self.difference.altered, own, self._after):
            raise SchemaChanged(f"table {name.schema_name}.{name.name} could not be altered to what it is now")
        return tuple(
            UnkeptTable(name=f"definition of {name.schema_name}.{name.name}", reason=_MADE_OTHERWISE)
            for name in find_unlike(self.difference.copied, own, self._after)
        )

    async def _do_apart(self, session: Session) -> None:
        for statement in self.difference.apart:
            with _refusing(statement):
                await session.execute(statement)

    async def _begin(self, session: Session) -> None:
        await session.execute(_QUERIES["prepare_making"])
        await self._run(session, self.difference.undo)
        await self._make(session, self.difference.make)
        await self._run(session, self.difference.amend)

    async def _end(self, session: Session) -> None:
        await self._make(session, self.difference.index)
        await self._run(session, self.difference.attach)
        await self._run(session, self.difference.tighten)
        await self._make(session, self.difference.finish)
        for name in self.difference.copied:
            await session.execute(_QUERIES["analyze"].format(table=qualified(name.schema_name, name.name)))
        await keep_entries(session, self._component.name, self._after)

    async def _make(self, session: Session, numbers: frozenset[int]) -> None:
        script = await self._archive.write_script(numbers)
        if script and self._manifest.server_version >= _NAMES_NOT_NULL:
            for entry in self._after:
                if entry.kind == "TABLE" and entry.dump_id in numbers:
                    script = script.replace(entry.definition, name_requirements(entry.tag, entry.definition))
        if script:
            await self._run(session, (script,))

    async def _run(self, session: Session, statements: tuple[str, ...]) -> None:
        for statement in statements:
            if not statement.isascii() and self._manifest.encoding != _UTF8:
                raise SchemaChanged("names that are not ASCII, in a database whose encoding is not UTF8, changed")
            with _refusing(statement):
                await session.execute(statement)


@asynccontextmanager
async def fetch_redefinition(
    session: Session,
    settings: Settings,
    component: ComponentSettings,
    *,
    client: NodeClient,
    manifest: Manifest,
    before: tuple[Entry, ...] | None,
    progress: Progress,
) -> AsyncIterator[Redefinition | PeerRefusal]:
    """Bring the active node's definitions here, and compare them with those that the copy is made of.

    Where those cannot be known (None), the copy is taken to have what its tables' rows need, and only that is noted.
    Gives the refusal where the agent may not read the definitions, and the rows fit without them.
    """
    try:
        archive = await SchemaArchive.fetch(
            settings,
            client,
            manifest,
            database=component.database,
            seed_id=f"{component.name}-{secrets.token_hex(6)}",
            is_superuser=await session.fetchval(_TARGET["is_superuser"]),
            progress=progress,
        )
    except PeerRefusal as refusal:
        if refusal.peer_code != RightsMissing.code or manifest.schema_change is not None:
            raise
        yield refusal
        return
    try:
        after = await archive.entries()
        difference = find_difference(after if before is None else before, after)
        yield Redefinition(settings, component, manifest, archive, after, difference)
    finally:
        archive.remove()


async def read_own_entries(
    session: Session, settings: Settings, database: str, *, like: Manifest
) -> tuple[Entry, ...] | None:
    """Return what pg_dump says of this node's database; None where another major of it would say it otherwise."""
    version, _, _ = await describe_server(session)
    if version // 10000 != like.server_version // 10000:
        log.warning(
            "definitions are not compared: both nodes' servers are of other majors", extra={"database": database}
        )
        return None
    folder = seed_folder(settings)
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:

        async def write(chunk: bytes) -> None:
            await asyncio.to_thread(file.write, chunk)

        await dump_definitions(
            settings.postgres,
            database=database,
            snapshot_id=None,
            server_version=version,
            lock_timeout_seconds=settings.controller.lock_timeout_seconds,
            has_large_objects=False,
            sink=write,
        )
        file.seek(0)
        return read_entries(file)


@contextmanager
def _refusing(statement: str) -> Iterator[None]:
    try:
        yield
    except _NOT_OURS:
        raise
    except asyncpg.PostgresError as error:
        first = next((line for line in statement.splitlines() if line.strip(" -")), "").lstrip("- ")[:80]
        raise SchemaChanged(f"definitions could not be changed in place ({first}): {error}") from error
