"""What comparisons run on: two clusters with equal databases, and a pair that replicates one of them."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from lab.cluster import Cluster, ClusterError
from lab.node_toml import Document
from lab.pair import Pair
from lab.people import Json, change_config
from lab.service import plain_environment

OURS: Final = "ours"
PEERS: Final = "peers"
PATIENCE_SECONDS: Final = 1800.0
BOUNDED: Final = f"SET statement_timeout = '{PATIENCE_SECONDS:.0f}s';\n"
SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shared_buffers": "512MB",
        "max_wal_size": "16GB",
        "checkpoint_timeout": "1h",
        "maintenance_work_mem": "256MB",
        "max_logical_replication_workers": "6",
        "max_sync_workers_per_subscription": "2",
        "autovacuum": "off",
        "log_min_duration_statement": "100",
    }
)
DRAINED_OFTEN: Final[Document] = {"capture": {"interval_seconds": 1.0}}
NOTHING_BY_ITSELF: Final[Json] = {"failover": {"policy": "keep_in_standby", "agent_down_seconds": 86400}}
"""An agent that is paused for the peer's turn must not count as one that is lost."""


class Content(Protocol):
    """What the databases hold."""

    def fill(self, cluster: Cluster, database: str, *, with_rows: bool) -> None:
        """Make the tables in an empty database, with their indexes, and with or without their rows."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The two servers and the pair between them."""

    source: Cluster
    target: Cluster
    pair: Pair
    content: Content
    folder: Path

    def on_source(self, sql: str, database: str) -> str:
        """Run SQL on the source with psql; a statement that does not end fails."""
        return self.source.psql(BOUNDED + sql, database=database)

    def on_target(self, sql: str, database: str) -> str:
        """Run SQL on the target with psql; a statement that does not end fails."""
        return self.target.psql(BOUNDED + sql, database=database)

    async def sync(self) -> Json:
        """Run a sync of the pair to its end."""
        return await self.pair.sync(timeout=PATIENCE_SECONDS)

    async def seed(self) -> Json:
        """Drop the copy and run the sync that makes it anew."""
        await self._drop_copy()
        sync = await self.sync()
        assert sync["components"][0]["kind"] == "seed", sync
        return sync

    async def _drop_copy(self) -> None:
        """Drop our copy; the standby may be using the slot that it keeps in there, for a moment."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.on_target(f"DROP DATABASE IF EXISTS {OURS} WITH (FORCE)", "postgres")
            except ClusterError as error:
                if "active logical replication slot" not in str(error) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def wait_drained(self) -> None:
        """Wait until the background drain has read all there is, the log of its own storing included."""
        async with self.pair.primary.open_api() as api:
            for _ in range(2):
                wanted = self.on_source("SELECT pg_current_wal_flush_lsn()", OURS)
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not self._is_at(wanted, (await api.get("/v1/components"))["items"][0]["position"]):
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"the drain did not end within {PATIENCE_SECONDS:g} s")
                    await asyncio.sleep(0.1)

    @contextmanager
    def without_capture(self) -> Iterator[None]:
        """Pause what captures on the source for the time of a block."""
        agent = self.pair.primary.agent
        agent.pause()
        try:
            yield
        finally:
            agent.resume()

    def empty_on_target(self, database: str) -> None:
        """Have an empty database on the target."""
        self.on_target(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", "postgres")
        self.on_target(f"CREATE DATABASE {database}", "postgres")

    def time_shell(self, command: str) -> float:
        """Run a shell command that must succeed, with the libraries of this PostgreSQL; return its seconds."""
        environment = {**plain_environment(), "LD_LIBRARY_PATH": str(self.source.bin_dir.parent / "lib")}
        begun = time.monotonic()
        subprocess.run(["/bin/sh", "-ec", command], check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.monotonic() - begun

    def _is_at(self, wanted: str, position: str | None) -> bool:
        return position is not None and self.on_source(f"SELECT '{position}'::pg_lsn >= '{wanted}'", OURS) == "t"


@asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    major: int,
    content: Content,
    databases: tuple[str, ...] = (OURS, PEERS),
    server: Mapping[str, str] = MappingProxyType({}),
    settings: Document = MappingProxyType({}),
) -> AsyncIterator[Stage]:
    """Make clusters with equal databases, and a pair that has seeded the first of them; `server` goes over SETTINGS."""
    with (
        Cluster.create(folder / "source", major=major, settings={**SETTINGS, **server}) as source,
        Cluster.create(folder / "target", major=major, settings={**SETTINGS, **server}) as target,
    ):
        source.start()
        target.start()
        for database in databases:
            source.psql(f"CREATE DATABASE {database}")
            await asyncio.to_thread(content.fill, source, database, with_rows=True)
        with Pair.create(folder / "pair", source, target, databases=[OURS], settings=settings) as pair:
            await asyncio.to_thread(pair.start, timeout=600.0)
            node = pair.primary
            await asyncio.to_thread(change_config, node.controller_url, node.token, NOTHING_BY_ITSELF)
            stage = Stage(source, target, pair, content, folder)
            await stage.sync()
            yield stage


async def until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Ask again and again, in a thread, until something is so."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not end within {seconds:g} s")
        await asyncio.sleep(0.05)
