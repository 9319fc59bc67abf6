"""Replication without HTTP and without the loops around it: a source's capture and exports, and targets that sync.

What runs is the product. Only two seams are our own: the node, which says that it is active, and the way between the
two services, which is a call instead of a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast

from pydantic import SecretStr

from lab import hba
from lab.cluster import Cluster
from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.export.holding import HoldingService
from services.primary_agent.export.service import ExportService
from services.primary_agent.node.node import EnvelopeFields
from services.standby_controller.apply.component import sync_component
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import UNGUARDED, Guards
from services.standby_controller.progress import Progress
from shared.clock import SystemClock
from shared.errors import ExportGone, NotActive, PeerRefusal, TransferIncomplete, WarmstandbyError
from shared.node.client import NodeClient
from shared.node.model import Envelope, State, Term
from shared.replication.model import Confirm, ExportView, Manifest, OpenExport, TableDigest
from shared.replication.verification import Holding
from shared.settings import (
    CaptureSettings,
    ComponentSettings,
    FencingSettings,
    Mode,
    NodeSettings,
    PostgresSettings,
    Settings,
)

TERM: Final = Term(epoch=1, owner="source")
_BUFFER_BYTES: Final = 256 * 1024  # so much does an answer hold back before its status goes out

Answer = TypeVar("Answer")
Sink = Callable[[bytes], Coroutine[Any, Any, None]]
Producer = Callable[[Sink], Coroutine[Any, Any, None]]


class ActiveNode:
    """The source's node: it serves unless a test says otherwise."""

    def __init__(self) -> None:
        self.state = State.ACTIVE

    def require_exporting(self, caller: str) -> None:
        """Raise NotActive when a test says so."""
        if self.state is not State.ACTIVE:
            raise NotActive("the node source is not active")

    def require_term(self, epoch: int) -> None:
        """Take every term."""

    def envelope(self) -> EnvelopeFields:
        """Speak as the source."""
        return EnvelopeFields(pair_id="pair", node_id="source", boot_id="boot", term=TERM)


class DirectClient:
    """The part of the node client that a sync uses, as calls; refusals arrive as they would over HTTP.

    A test may step in: `before_open`, `after_open` with each manifest while its snapshot is held, `before_rows` with
    manifest and number of a table whose rows (`before_digest`: digest) are asked for, `after_listing` once the tables
    to compare are known.
    """

    def __init__(self, exports: ExportService, caller: str) -> None:
        self.manifests: list[Manifest] = []
        self.refusals: list[str] = []  # their codes
        self.surprises: list[Exception] = []  # what would have been answered with status 500
        self.confirms = True
        self.before_open: Callable[[], Awaitable[None]] | None = None
        self.after_open: Callable[[Manifest], Awaitable[None]] | None = None
        self.before_rows: Callable[[Manifest, int], Awaitable[None]] | None = None
        self.before_digest: Callable[[Manifest, int], Awaitable[None]] | None = None
        self.digest_problem: str | None = None  # why no digest can be computed
        self.objects_asked: list[int] = []
        self.after_listing: Callable[[], Awaitable[None]] | None = None
        self._exports = exports
        self._holding = HoldingService(exports)
        self._caller = caller

    async def open_export(self, component: str, request: OpenExport) -> Manifest:
        """Open an export."""
        if self.before_open is not None:
            await self.before_open()
        with self._answering():
            manifest = await self._exports.open(component, request, self._caller)
        self.manifests.append(manifest)
        if self.after_open is not None:
            await self.after_open(manifest)
        return manifest

    async def export(self, export_id: str) -> ExportView:
        """Read what was sent."""
        with self._answering():
            return self._exports.view(export_id, self._caller)

    async def close_export(self, export_id: str) -> None:
        """Close an export."""
        with self._answering():
            await self._exports.close(export_id, self._caller)

    async def confirm_export(self, export_id: str, confirm: Confirm) -> None:
        """Confirm, unless a test lets the confirmation be lost."""
        if self.confirms:
            with self._answering():
                await self._exports.confirm(export_id, confirm, self._caller)

    @asynccontextmanager
    async def rows(self, export_id: str, number: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a table's rows."""
        if self.before_rows is not None:
            await self.before_rows(self.manifests[-1], number)
        async with self._stream(lambda sink: self._exports.copy_rows(export_id, number, self._caller, sink)) as chunks:
            yield chunks

    @asynccontextmanager
    async def keys(self, export_id: str, number: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a table's changed keys."""
        async with self._stream(lambda sink: self._exports.copy_keys(export_id, number, self._caller, sink)) as chunks:
            yield chunks

    async def digest(self, export_id: str, number: int) -> TableDigest:
        """Ask for a table's digest."""
        if self.before_digest is not None:
            await self.before_digest(self.manifests[-1], number)
        with self._answering():
            told = await self._exports.digest(export_id, number, self._caller)
        if self.digest_problem is None:
            return told
        return told.model_copy(update={"row_count": None, "hash_sum": None, "problem": self.digest_problem})

    @asynccontextmanager
    async def large_objects(self, export_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the list of large objects."""
        async with self._stream(lambda sink: self._exports.copy_object_list(export_id, self._caller, sink)) as chunks:
            yield chunks

    @asynccontextmanager
    async def large_object_contents(self, export_id: str, oids: Sequence[int]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream contents of large objects, and note of which."""
        self.objects_asked += oids
        async with self._stream(
            lambda sink: self._exports.copy_object_contents(export_id, self._caller, oids, sink)
        ) as chunks:
            yield chunks

    @asynccontextmanager
    async def schema(self, export_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the definitions."""
        async with self._stream(lambda sink: self._exports.dump_schema(export_id, self._caller, sink)) as chunks:
            yield chunks

    async def holding(self, export_id: str) -> Holding:
        """Read which tables stand at the snapshot."""
        with self._answering():
            held = await self._holding.list_tables(export_id, self._caller)
        if self.after_listing is not None:
            await self.after_listing()
        return held

    @asynccontextmanager
    async def digests(
        self, export_id: str, number: int, *, bits: int, has_hashes: bool
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream digests of a table's parts."""
        held, caller = self._holding, self._caller
        async with self._stream(
            lambda sink: held.copy_digests(export_id, number, caller, sink, bits=bits, has_hashes=has_hashes)
        ) as chunks:
            yield chunks

    @asynccontextmanager
    async def hashes(
        self, export_id: str, number: int, *, bits: int, parts: Sequence[int]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream keys and hashes of rows."""
        held, caller = self._holding, self._caller
        async with self._stream(
            lambda sink: held.copy_hashes(export_id, number, caller, sink, bits=bits, parts=parts)
        ) as chunks:
            yield chunks

    @asynccontextmanager
    async def _stream(self, produce: Producer) -> AsyncIterator[AsyncIterator[bytes]]:
        """An error before the first bytes is a refusal, one after them breaks the stream."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        pending = bytearray()

        async def sink(chunk: bytes) -> None:
            pending.extend(chunk)
            if len(pending) >= _BUFFER_BYTES:
                await queue.put(bytes(pending))
                pending.clear()

        async def run() -> None:
            await produce(sink)
            await queue.put(bytes(pending))
            await queue.put(None)

        async def take() -> bytes | None:
            taking = asyncio.create_task(queue.get())
            await asyncio.wait([taking, producing], return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() and producing.done() and producing.exception() is not None:
                taking.cancel()
                producing.result()
            return await taking

        producing = asyncio.create_task(run())
        try:
            with self._answering():
                first = await take()

            async def chunks() -> AsyncIterator[bytes]:
                chunk = first
                try:
                    while chunk is not None:
                        yield chunk
                        chunk = await take()
                except WarmstandbyError as error:
                    raise TransferIncomplete(f"the stream broke: {error.detail}") from error

            yield chunks()
        finally:
            producing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await producing

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except WarmstandbyError as error:
            if not isinstance(error, ExportGone):  # a sync closes its export where it can, and once more at the end
                self.refusals.append(error.code)
            raise PeerRefusal(error.detail, peer_code=error.code, peer_status=error.status, hint=error.hint) from error
        except Exception as error:
            self.surprises.append(error)
            raise PeerRefusal(repr(error), peer_code="internal", peer_status=500) from error


@dataclass(slots=True)
class SourceNode:
    """The active node's replicating part, for one component; `restarted` is what a new start of the agent is."""

    settings: Settings
    node: ActiveNode
    captures: CaptureService
    exports: ExportService

    @classmethod
    def build(cls, cluster: Cluster, *, node_database: str, component: str, database: str, folder: Path) -> Self:
        """Put it together; nothing is connected yet."""
        return cls.of(settings_of(cluster, "source", node_database, component, database, folder))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Put it together from settings."""
        node, clock = ActiveNode(), SystemClock()
        captures = CaptureService(settings, clock, node)
        return cls(settings, node, captures, ExportService(settings, clock, node, captures))

    @property
    def capture(self) -> ComponentCapture:
        """The component's capture."""
        return self.captures.component(self.settings.components[0].name)

    async def ensure(self) -> None:
        """Make the capture, or find it, as the first round of the agent's loop does."""
        await self.captures.prepare()
        async with self.capture.lock:
            await self.capture.ensure()

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[None]:
        """Drain in the background for the time of a block, as the agent does."""
        async with asyncio.TaskGroup() as group:
            loop = group.create_task(self.captures.run())
            try:
                yield
            finally:
                loop.cancel()

    async def close(self) -> None:
        """Let go of the database."""
        await self.capture.drainer.close()


@dataclass(slots=True)
class TargetNode:
    """A standby's copying part, for one component."""

    settings: Settings
    client: DirectClient

    @classmethod
    def build(
        cls,
        cluster: Cluster,
        exports: ExportService,
        *,
        name: str,
        node_database: str,
        component: str,
        database: str,
        folder: Path,
    ) -> Self:
        """Put it together; `name` is who it is to the source."""
        settings = settings_of(cluster, name, node_database, component, database, folder)
        return cls(settings, DirectClient(exports, name))

    @property
    def dsn(self) -> str:
        """The copy, for the superuser."""
        return (
            self.settings.postgres.dsn.get_secret_value().rpartition("/")[0]
            + f"/{self.settings.components[0].database}"
        )

    async def prepare(self) -> None:
        """Make the node's own tables."""
        await CaptureService(self.settings, SystemClock(), ActiveNode()).prepare()

    async def sync(self, guards: Guards = UNGUARDED) -> ComponentOutcome:
        """Bring the copy to the source's state, as the controller does."""
        component = self.settings.components[0]
        progress = Progress(SystemClock())
        progress.start_component(component.name)
        return await sync_component(
            component,
            settings=self.settings,
            client=cast("NodeClient", self.client),
            term=TERM,
            envelope=Envelope(pair_id="pair", node_id=self.settings.node.id, boot_id="boot", term=TERM),
            progress=progress,
            guards=guards,
        )


def settings_of(
    cluster: Cluster, node_id: str, node_database: str, component: str, database: str, folder: Path
) -> Settings:
    dsn = SecretStr(cluster.dsn(node_database))
    return Settings(
        node=NodeSettings(
            id=node_id,
            mode=Mode.PRIMARY if node_id == "source" else Mode.SECONDARY,
            pair_id="pair",
            key=SecretStr(f"key-of-node-{node_id}-0123456789"),
            state_dir=folder,
        ),
        postgres=PostgresSettings(dsn=dsn, apply_dsn=dsn, bin_dir=cluster.bin_dir),
        components=(ComponentSettings(name=component, database=database),),
        # a lock is waited for longer than deadlock_timeout: only then does autovacuum give way to it
        capture=CaptureSettings(interval_seconds=0.15, lock_timeout_seconds=2.0),
        fencing=FencingSettings(hba_list=hba.list_of(cluster.data), reader_roles=(*hba.OURS, *hba.READERS)),
    )
