"""A database whose changes the agent captures, by the product's own code, in a thread of its own beside the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import SecretStr

from lab.cluster import Cluster
from services.primary_agent.capture.component import ComponentCapture
from services.primary_agent.capture.service import CaptureService
from services.primary_agent.export.service import ExportService
from services.primary_agent.node.node import EnvelopeFields
from shared.clock import SystemClock
from shared.node.model import State, Term
from shared.settings import CaptureSettings, ComponentSettings, Mode, NodeSettings, PostgresSettings, Settings

Answer = TypeVar("Answer")


class ActiveNode:
    """A node that serves."""

    state = State.ACTIVE

    def require_exporting(self, caller: str) -> None:
        """Be active."""

    def require_term(self, epoch: int) -> None:
        """Take every term."""

    def envelope(self) -> EnvelopeFields:
        """Speak as the source."""
        return EnvelopeFields(pair_id="pair", node_id="source", boot_id="boot", term=Term(epoch=1, owner="source"))


@dataclass(frozen=True, slots=True)
class Captured:
    """The agent's parts at work for one database; `call` runs something of theirs where they run."""

    settings: Settings
    captures: CaptureService
    exports: ExportService
    loop: asyncio.AbstractEventLoop

    @property
    def capture(self) -> ComponentCapture:
        """The database's capture."""
        return self.captures.component(self.settings.components[0].name)

    def start(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Future[Answer]:
        """Begin something in the agent's loop."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop)

    def call(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Do something in the agent's loop."""
        return self.start(work).result(60)


@contextmanager
def capture_of(
    cluster: Cluster,
    database: str,
    node_database: str,
    folder: Path,
    *,
    user: str = "postgres",
    guard: Literal["auto", "off"] = "auto",
    is_running: bool = True,
) -> Iterator[Captured]:
    """Capture a database for the time of a block, drained in the background if asked for."""
    dsn = SecretStr(cluster.dsn(node_database, user))
    settings = Settings(
        node=NodeSettings(
            id="source",
            mode=Mode.PRIMARY,
            pair_id="pair",
            key=SecretStr("key-of-the-source-0123456789"),
            state_dir=folder,
        ),
        postgres=PostgresSettings(dsn=dsn, apply_dsn=dsn, bin_dir=cluster.bin_dir),
        components=(ComponentSettings(name=database, database=database),),
        capture=CaptureSettings(interval_seconds=0.2, lock_timeout_seconds=0.3, guard=guard),
    )
    clock, node = SystemClock(), ActiveNode()
    captures = CaptureService(settings, clock, node)
    loop = asyncio.new_event_loop()
    captured = Captured(settings, captures, ExportService(settings, clock, node, captures), loop)
    thread = threading.Thread(target=loop.run_forever, name="agent")
    thread.start()
    running: Future[None] | None = None
    try:
        captured.call(lambda: _ensure(captured))
        if is_running:
            running = captured.start(captures.run)
        yield captured
        assert running is None or not running.done(), "the agent's loop ended"
    finally:
        if running is not None:
            running.cancel()
        captured.call(lambda: _end(captured))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ensure(captured: Captured) -> None:
    await captured.captures.prepare()
    async with captured.capture.lock:
        await captured.capture.ensure()


async def _end(captured: Captured) -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await captured.capture.drainer.close()
