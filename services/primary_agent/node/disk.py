"""The agent's own look at the disks it depends on, in the background: a disk that hangs stops no route."""

from __future__ import annotations

import asyncio
import shutil

from services.primary_agent.node.machine import count_cpus, memory_bytes
from shared.clock import Clock
from shared.lifecycle import run_every
from shared.node.model import DiskSize, DiskSpace, Resources
from shared.settings import Settings


class DiskWatch:
    """Looks every `heartbeat_seconds` at the state folder and, where it is configured, the folder of PostgreSQL."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        data_dir = settings.postgres.data_dir
        self._folders = {"state_dir": settings.node.state_dir} | ({} if data_dir is None else {"data_dir": data_dir})
        self._floor_bytes = settings.agent.disk_floor_bytes
        self._pause_seconds = settings.agent.heartbeat_seconds
        self._clock = clock
        self._seen: tuple[float, Resources] | None = None

    async def run(self) -> None:
        """Look for ever."""
        await run_every(self._pause_seconds, self.look, name="disk watch", clock=self._clock)

    async def look(self) -> None:
        """Look once; a folder that cannot be looked at leaves what was seen before to grow old."""
        try:
            seen = await asyncio.to_thread(self._look)
        except OSError:
            return
        self._seen = (self._clock.monotonic(), seen)

    def space(self) -> DiskSpace | None:
        """Return what was seen, with its age; None before the first look."""
        if self._seen is None:
            return None
        looked_at, seen = self._seen
        return DiskSpace(
            free_bytes=min(disk.free_bytes for disk in seen.disks),
            floor_bytes=self._floor_bytes,
            checked_age_seconds=self._clock.monotonic() - looked_at,
        )

    def resources(self) -> Resources | None:
        """Return what the machine had at the last look; None before the first."""
        return None if self._seen is None else self._seen[1]

    def _look(self) -> Resources:
        sizes = {name: shutil.disk_usage(folder) for name, folder in self._folders.items()}
        return Resources(
            cpu_count=count_cpus(),
            memory_bytes=memory_bytes(),
            disks=tuple(
                DiskSize(folder=name, total_bytes=size.total, free_bytes=size.free) for name, size in sizes.items()
            ),
        )
