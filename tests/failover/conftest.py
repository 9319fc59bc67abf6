"""A pair for each test, on clusters of its own that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import Cluster
from tests.failover.stage import Stage, open_stage

Open = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def open_pair(tmp_path: Path, new_cluster: Callable[..., Cluster]) -> Open:
    """Return what opens a synced and protected pair on two new clusters."""

    @asynccontextmanager
    async def opened(**wishes: Any) -> AsyncIterator[Stage]:
        clusters = [new_cluster(), new_cluster()]
        for cluster in clusters:
            cluster.start()
        async with open_stage(tmp_path / "pair", clusters, **wishes) as stage:
            yield stage

    return opened
