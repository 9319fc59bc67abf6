"""The look at the disks: the fullest counts, with its age; a folder that is gone leaves the last look to grow old."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from services.primary_agent.node.disk import DiskWatch
from tests.node_file import node_settings


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


async def test_what_was_seen_carries_its_age(tmp_path: Path) -> None:
    """Of two disks the one with less space counts; what cannot be looked at any more is not made up."""
    folder, clock = tmp_path / "data", HandClock()
    folder.mkdir()
    watch = DiskWatch(
        node_settings(node={"state_dir": tmp_path}, postgres={"data_dir": folder}, agent={"disk_floor_bytes": 7}), clock
    )
    assert watch.space() is None
    await watch.look()
    space = watch.space()
    assert space is not None
    assert abs(space.free_bytes - shutil.disk_usage(folder).free) < 2**30
    assert (space.floor_bytes, space.checked_age_seconds) == (7, 0.0)
    resources = watch.resources()
    assert resources is not None
    assert (resources.cpu_count or 0) >= 1
    assert (resources.memory_bytes or 0) > 2**20
    assert [disk.folder for disk in resources.disks] == ["state_dir", "data_dir"]
    assert resources.disks[1].total_bytes == shutil.disk_usage(folder).total
    folder.rmdir()
    clock.seconds += 60
    await watch.look()
    later = watch.space()
    assert later is not None
    assert (later.free_bytes, later.checked_age_seconds) == (space.free_bytes, 60.0)
