"""The agent's own look at the disks it depends on, in the background: a disk that hangs stops no route."""

from __future__ import annotations

import asyncio
import shutil

from shared.clock import Clock
from shared.lifecycle import run_every
from shared.node.model import DiskSpace
from shared.settings import Settings


class DiskWatch:
    """Looks every `heartbeat_seconds` at the state folder and, where it is configured, the folder of PostgreSQL."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        data_dir = settings.postgres.data_dir
        self._folders = [settings.node.state_dir, *([] if data_dir is None else [data_dir])]
        self._floor_bytes = settings.agent.disk_floor_bytes
        self._pause_seconds = settings.agent.heartbeat_seconds
        self._clock = clock
        self._seen: tuple[float, int] | None = None

    async def run(self) -> None:
        """Look for ever."""
        await run_every(self._pause_seconds, self.look, name="disk watch", clock=self._clock)

    async def look(self) -> None:
        """Look once; a folder that cannot be looked at leaves what was seen before to grow old."""
        try:
            free = await asyncio.to_thread(lambda: min(shutil.disk_usage(folder).free for folder in self._folders))
        except OSError:
            return
        self._seen = (self._clock.monotonic(), free)

    def space(self) -> DiskSpace | None:
        """Return what was seen, with its age; None before the first look."""
        if self._seen is None:
            return None
        looked_at, free = self._seen
        return DiskSpace(
            free_bytes=free, floor_bytes=self._floor_bytes, checked_age_seconds=self._clock.monotonic() - looked_at
        )
