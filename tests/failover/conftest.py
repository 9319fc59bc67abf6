"""Pairs on clusters of their own that may be killed: a new one for a test, or one that is healed for all of a file.

The normal tier has a death, a swap and a return; the many faults take the long one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lab.cluster import Cluster
from lab.node_toml import lay_over
from lab.pair import Pair
from tests.failover.accidents import Accidents, settings_of
from tests.failover.links import Links, lay_links, open_reference
from tests.failover.stage import Stage, open_stage
from tests.failover.trial import Trials
from tests.tier import MAJORS, rounds

collect_ignore = rounds(
    [
        "test_agent_down.py",
        "test_clocks.py",
        "test_deaths_in_switchover.py",
        "test_detection.py",
        "test_network.py",
        "test_notified.py",
        "test_processes.py",
        "test_return_of_files.py",
        "test_syncs_and_failover.py",
        "test_times.py",
        "test_told_alike.py",
        "test_trust.py",
    ],
    [],
)

Open = Callable[..., AbstractAsyncContextManager[Stage]]
HAS_PASSED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note for the fixtures whether the test itself has passed."""
    report = yield
    if call.when == "call":
        item.stash[HAS_PASSED] = report.passed
    return report


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


class Keeper:
    """Keeps the pair of a file from test to test, until one fails on it."""

    def __init__(self, folder: Callable[[], Path], *, is_linked: bool) -> None:
        self._folder = folder
        self._is_linked = is_linked
        self._stack = AsyncExitStack()
        self._trials: Trials | None = None

    async def trials(self) -> Trials:
        """Return the pair, opened at its first use."""
        if self._trials is None:
            folder = self._folder()
            clusters = [Cluster.create(folder / name, major=MAJORS[-1]) for name in ("first", "second")]
            for cluster in clusters:
                self._stack.callback(cluster.remove)
                cluster.start()
            accidents = Accidents(folder / "accidents")
            accidents.folder.mkdir()
            settings = settings_of(accidents)
            links: list[Links] = []
            if self._is_linked:
                reference = await self._stack.enter_async_context(open_reference())
                settings = lay_over(settings, {"controller": {"reference_targets": [f"127.0.0.1:{reference.port}"]}})

            async def prepare(pair: Pair) -> None:
                for service in pair.services:
                    service.program = accidents.program
                if self._is_linked:
                    links.append(await lay_links(pair, reference, self._stack))

            stage = await self._stack.enter_async_context(
                open_stage(folder / "pair", clusters, settings=settings, prepare=prepare)
            )
            self._trials = Trials(stage, accidents, links[0] if links else None)
        return self._trials

    async def close(self) -> None:
        """Take the pair away; the next test gets a new one."""
        self._trials, stack = None, self._stack
        self._stack = AsyncExitStack()
        await stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keeper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Keeper]:
    """Keep one pair for the tests of a file; `LINKED = True` there puts a network between the nodes."""
    kept = Keeper(lambda: tmp_path_factory.mktemp("trials"), is_linked=getattr(request.module, "LINKED", False))
    yield kept
    await kept.close()


@pytest_asyncio.fixture(loop_scope="module")
async def trials(keeper: Keeper, request: pytest.FixtureRequest) -> AsyncIterator[Trials]:
    """Return a synced and protected pair for trials, shared in the file as long as all goes well."""
    yield await keeper.trials()
    if not request.node.stash.get(HAS_PASSED, False):
        await keeper.close()
