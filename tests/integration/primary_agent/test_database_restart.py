"""The hook restart_database: a real server dies, and a real program has it started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.cluster import Cluster
from services.primary_agent.node.database_restart import DatabaseRestart
from services.primary_agent.node.hooks import Hooks
from shared.clock import SystemClock
from shared.errors import DatabaseUnreachable, WarmstandbyError
from tests.node_file import node_settings
from tests.tier import MAJORS, in_full_tier


class Stage:
    """A server, and a hook that asks for its start; the test's hand starts it at the right request."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.mark = folder / "mark"
        self.is_active = True
        self.problem: WarmstandbyError | None = None
        script = folder / "restart"
        script.write_text(f"#!/bin/sh\necho $WARMSTANDBY_REASON >> {self.mark}\n", encoding="utf-8")
        script.chmod(0o700)
        settings = node_settings(
            postgres={"dsn": cluster.dsn("postgres"), "apply_dsn": cluster.dsn("postgres")},
            hooks={"restart_database": (str(script),)},
        )
        self.restart = DatabaseRestart(
            settings,
            SystemClock(),
            Hooks(settings, SystemClock()),
            is_active=lambda: self.is_active,
            problem=lambda: self.problem,
        )

    @property
    def asked(self) -> int:
        return len(self.mark.read_text().split()) if self.mark.exists() else 0

    @asynccontextmanager
    async def starting_at(self, request: int) -> AsyncIterator[None]:
        """Start the server at that request of the hook, looking on meanwhile."""

        async def hand() -> None:
            while self.asked < request:  # noqa: ASYNC110  a file tells nobody
                await asyncio.sleep(0.05)
            await asyncio.to_thread(self.cluster.start)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(hand())
            yield
            task.cancel()

    async def look_for(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.restart.look()
                    await asyncio.sleep(0.1)


@pytest.fixture
def stage(new_cluster: Callable[..., Cluster], tmp_path: Path) -> Stage:
    return Stage(new_cluster(MAJORS[-1]), tmp_path)


async def test_a_dead_server_is_restarted_once_for_each_outage(stage: Stage) -> None:
    stage.cluster.kill()
    stage.problem = DatabaseUnreachable("refused")
    async with stage.starting_at(1):
        await stage.look_for(5.0)
        assert stage.cluster.is_running
    assert stage.mark.read_text().split() == ["database_unreachable"]
    stage.cluster.kill()
    await stage.look_for(4.0)
    assert stage.asked == 1


async def test_an_old_look_restarts_nothing(stage: Stage) -> None:
    """The server answers: only what is known of it is old, as after a pause of the agent."""
    stage.problem = DatabaseUnreachable("the last look at the server is 99 s old")
    await stage.look_for(4.0)
    assert stage.asked == 0


async def test_a_node_that_does_not_serve_restarts_nothing(stage: Stage) -> None:
    stage.cluster.kill()
    stage.problem, stage.is_active = DatabaseUnreachable("refused"), False
    await stage.look_for(4.0)
    assert stage.asked == 0


@in_full_tier
async def test_it_is_tried_again_while_the_server_does_not_answer(stage: Stage) -> None:
    """The program ends well each time; the server comes at the second."""
    stage.cluster.kill()
    stage.problem = DatabaseUnreachable("refused")
    async with stage.starting_at(2):
        await stage.look_for(12.0)
    assert (stage.asked, stage.cluster.is_running) == (2, True)
