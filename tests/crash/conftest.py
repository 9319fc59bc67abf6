"""Fixtures of the crash tests: one pair of small clusters for each module, which its tests kill and start again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from lab.cluster import Cluster
from lab.pair import Pair
from tests.conftest import PAIRS
from tests.crash.generations import NAME, Generations
from tests.crash.stage import Stage
from tests.tier import rounds

ROWS = rounds(80_000, 400_000)
#: Changes are kept for a while, a sync is quick to notice a dead node.
SETTINGS = {"capture": {"interval_seconds": 1.0}}


@pytest.fixture(scope="package", params=rounds([(18, 18)], PAIRS), ids=lambda pair: f"pg{pair[0]}-pg{pair[1]}")
def crash_pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A pair that has synced once; every sync is asked for."""
    folder = tmp_path_factory.mktemp("crash")
    source, target = (
        Cluster.create(folder / name, major=major)
        for name, major in zip(("source", "target"), request.param, strict=True)
    )
    with source, target:
        source.start()
        target.start()
        data = Generations(source, rows=ROWS)
        with Pair.create(folder / "pair", source, target, databases=[NAME], settings=SETTINGS) as pair:
            pair.start()
            yield Stage(source, target, pair, data)


@pytest.fixture
async def stage(crash_pair: Stage) -> AsyncIterator[Stage]:
    """The pair, alive and in step; what a test killed or paused is started again before the next one."""
    await crash_pair.revive()
    if not crash_pair.is_copied:
        await crash_pair.recover()
    crash_pair.forget_logs()
    yield crash_pair
    for service in crash_pair.pair.services:
        service.resume()
