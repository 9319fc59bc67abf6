"""The story from the first cluster to the last comparison, in the order in which it happens."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab.node import Node
from lab.pair import Pair
from lab.people import change_config
from sample.application import install
from sample.story.failure import FAILOVER, FailureStory, create_ledger
from sample.story.live import Live
from sample.story.report import Report, Round, describe_round
from sample.story.rounds import Sides, play_round
from sample.story.screen import Screen
from sample.story.stage import DATABASE, OWNER, Clusters, in_thread, open_folder, start_clusters, start_pair
from sample.workload import Workload

WRITERS: Final = 2
STAY_INTERVAL_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants."""

    rows: int
    syncs: int
    pause_seconds: float
    rate_per_second: float
    seed: int
    stay: bool


class Story:
    """One run; `play` does everything and takes it all down again, `report` holds what was found."""

    def __init__(self, wish: Wish, screen: Screen) -> None:
        self.report = Report(wanted_syncs=wish.syncs, wants_failure=not wish.stay)
        self.is_staying = False
        self._wish = wish
        self._screen = screen
        self._live = Live(screen, self._count_written)
        self._workload: Workload | None = None
        self._pair: Pair | None = None

    async def play(self) -> None:
        """Play to the end; with `stay`, until it is cancelled."""
        began_at = time.monotonic()
        with ExitStack() as stack:
            try:
                async with self._live.run():
                    clusters = await self._prepare(stack)
                    await self._play_rounds(clusters, stack)
            except Exception:
                if self._pair is not None:
                    self._screen.say(self._pair.log_tail())
                raise
            finally:
                self.report.seconds = time.monotonic() - began_at
            if self._wish.stay:
                await self._stay(clusters)
                return
            try:
                async with self._live.run():
                    await self._play_failure(clusters)
            except Exception:
                assert self._pair is not None
                self._screen.say(self._pair.log_tail())
                raise
            finally:
                self.report.seconds = time.monotonic() - began_at

    async def _prepare(self, stack: ExitStack) -> Clusters:
        self._live.begin("Starting two PostgreSQL clusters")
        folder = stack.enter_context(open_folder())
        clusters = await in_thread(partial(start_clusters, folder, stack))
        self.report.postgres = clusters.primary.psql("SHOW server_version")
        self._live.begin(f"Filling the sample database: about {self._wish.rows:,} rows")
        installed = await install(clusters.primary.dsn(DATABASE, OWNER), rows=self._wish.rows, seed=self._wish.seed)
        self.report.installed = installed.size
        await create_ledger(clusters.primary.dsn(DATABASE, OWNER))
        self._screen.say(
            f"PostgreSQL {self.report.postgres}, database {DATABASE}: {installed.size.rows:,} rows in "
            f"{installed.size.tables} tables, {installed.size.size_bytes / 1e6:,.0f} MB"
        )
        return clusters

    async def _play_rounds(self, clusters: Clusters, stack: ExitStack) -> None:
        """Start the application and the pair, seed, sync; the application rests in the last round."""
        wish, stop = self._wish, asyncio.Event()
        workload = self._workload = self._new_workload(clusters, wish.seed)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(workload.run(stop))
            self._live.begin("Starting both services of both nodes")
            self._pair = pair = await in_thread(partial(start_pair, stack, clusters))
            self._screen.say(f"The primary is active, the secondary standby; the application writes to {DATABASE}")
            async with pair.secondary.open_api() as api:
                sides = Sides(clusters.primary.dsn(DATABASE), clusters.secondary.dsn(DATABASE), api)
                shown: str | None = None
                for number in range(wish.syncs + 1):
                    if number == wish.syncs:
                        stop.set()
                        self.report.workload = await writing
                        self._workload = None
                    found, shown = await play_round(
                        number, sides, self._workload, shown_before=shown, look=self._live.look, begin=self._live.begin
                    )
                    self._tell(found)
                    if number < wish.syncs:
                        self._live.begin("The application goes on")
                        await asyncio.sleep(wish.pause_seconds)

    async def _play_failure(self, clusters: Clusters) -> None:
        """Lose the active node and get it back, then compare both sides once more, at rest."""
        assert self._pair is not None, "the rounds have started it"
        pair = self._pair
        for node in pair.nodes:
            await in_thread(partial(change_config, node.controller_url, node.token, FAILOVER))
        story = FailureStory(pair, self._live.begin, self._screen.say, self.report.failure)
        await story.play()
        async with pair.secondary.open_api() as api:
            sides = Sides(clusters.primary.dsn(DATABASE), clusters.secondary.dsn(DATABASE), api)
            found, _ = await play_round(
                len(self.report.rounds), sides, None, shown_before=None, look=self._live.look, begin=self._live.begin
            )
            self._tell(found)
            self.report.failure.rows_in_database = found.comparison.rows

    async def _stay(self, clusters: Clusters) -> None:
        """Let the application write and the schedule sync until cancelled."""
        assert self._pair is not None, "the rounds have started it"
        rhythm = {"run_every": f"PT{STAY_INTERVAL_SECONDS}S", "first_run": "now", "accept_short_interval": True}
        patch = {"sync": {"enabled": True, **rhythm}}
        for node in self._pair.nodes:
            await in_thread(partial(change_config, node.controller_url, node.token, patch))
        self._screen.say(self.report.summary())
        self._screen.say(f"\nThe pair goes on, with a sync every {STAY_INTERVAL_SECONDS} s. Ctrl-C ends it.")
        for node in self._pair.nodes:
            self._screen.say(describe_node(node))
        self.is_staying = True
        await self._new_workload(clusters, self._wish.seed + 1).run(asyncio.Event())

    def _new_workload(self, clusters: Clusters, seed: int) -> Workload:
        dsn = clusters.primary.dsn(DATABASE, OWNER)
        return Workload(dsn, writers=WRITERS, rate_per_second=self._wish.rate_per_second, seed=seed)

    def _count_written(self) -> int | None:
        return None if self._workload is None else self._workload.report().rows_written

    def _tell(self, found: Round) -> None:
        self.report.rounds.append(found)
        self._screen.say(describe_round(found))


def describe_node(node: Node) -> str:
    """Say where a node's APIs are explained, and with what one may use them."""
    return (
        f"{node.name}\n"
        f"  controller  {node.controller_url}/docs   token {node.token}\n"
        f"  agent       {node.agent_url}/docs   for its peer: the key in {node.config}\n"
        f"  database    {node.cluster.dsn(DATABASE)}"
    )
