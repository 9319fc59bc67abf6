"""The fence of a node that has file sets, too: a promotion stops their syncs with the others."""

from __future__ import annotations

from services.primary_agent.files.service import FileSetService
from shared.clock import Clock
from shared.fencing.fence import Fence
from shared.settings import Settings


class NodeFence(Fence):
    """Adds the file sets to two of the acts."""

    def __init__(self, settings: Settings, clock: Clock, file_sets: FileSetService) -> None:
        super().__init__(settings, clock)
        self._file_sets = file_sets

    async def stop_apply(self, deadline_seconds: float) -> None:
        """Stop syncs of databases, then those of file sets; see there what is raised."""
        await super().stop_apply(deadline_seconds)
        await self._file_sets.stop_apply()

    async def open(self) -> None:
        """Note that file sets are this node's own, before an application can write; then let everybody in."""
        await self._file_sets.begin_serving()
        await super().open()
