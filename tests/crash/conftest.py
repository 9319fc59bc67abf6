"""Fixtures of the crash tests: one pair of small clusters, which all of them kill and start again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.crash.stage import Stage, open_stage
from tests.tier import rounds

ROWS = rounds(50_000, 150_000)
INTERVAL_SECONDS = 0.5
CHUNK = 24 * 2**20
BUDGET = 2**33
SETTINGS = {"capture": {"interval_seconds": INTERVAL_SECONDS, "chunk_bytes": CHUNK, "budget_bytes": BUDGET}}


@pytest.fixture(
    scope="package",
    params=rounds([(18, 18)], [(18, 18), (15, 15)]),
    ids=lambda pair: f"pg{pair[0]}-pg{pair[1]}",
)
def crash_pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A pair whose syncs run when somebody asks; its agent drains in small pieces."""
    with open_stage(tmp_path_factory.mktemp("crash"), request.param, rows=ROWS, settings=SETTINGS) as stage:
        yield stage


@pytest.fixture
async def stage(crash_pair: Stage) -> AsyncIterator[Stage]:
    """The pair, alive and in step; what a test killed or paused is started again before the next one."""
    await crash_pair.revive()
    if not crash_pair.is_in_step:
        await crash_pair.recover()
    crash_pair.forget_logs()
    yield crash_pair
    for service in crash_pair.pair.services:
        if service.is_running:
            service.resume()
