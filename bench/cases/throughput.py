"""What capture costs the application: pgbench on a database that is a component and on equal ones that are not.

One load at a time, in turns, the first one of each round alternating, so that a drift of the machine cancels. While
another database has its turn, what captures ours is paused, and the subscription is disabled; before each turn the log
of the others' turns has been read. A turn begins with a load that is not counted, so that what is counted finds a
backlog of one interval, as it leaves one behind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.model import Case, Group, NotMeasured, Round, Sizes
from bench.rivals import Native
from bench.stage import OURS, PEERS, Stage, open_stage
from lab.binaries import find_bin_dir
from lab.cluster import Cluster
from lab.node_toml import Document
from lab.service import plain_environment
from shared.settings import AgentSettings, ControllerSettings

PLAIN: Final = "plain"
CLIENTS: Final = 4
ROWS_PER_SCALE: Final = 100_000
IN_EARNEST: Final[Document] = {
    name: {"heartbeat_seconds": section.model_fields["heartbeat_seconds"].default}
    for name, section in (("agent", AgentSettings), ("controller", ControllerSettings))
}
TPS: Final = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bank:
    """pgbench's own tables; its history has a key, too, so that nothing of the load goes uncaptured."""

    program: Path
    scale: int

    def fill(self, cluster: Cluster, database: str, *, with_rows: bool) -> None:
        """Let pgbench make its tables and keys."""
        steps = "dtgvp" if with_rows else "dtp"
        self.run(cluster, database, "-i", "-q", "-I", steps, "-s", str(self.scale))
        cluster.psql("ALTER TABLE pgbench_history ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", database)

    def load(self, cluster: Cluster, database: str, seconds: int) -> float:
        """Return the transactions per second of a load."""
        told = self.run(cluster, database, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds))
        found = TPS.search(told)
        if found is None:
            raise ValueError(f"pgbench told no rate: {told[-300:]}")
        return float(found[1])

    def run(self, cluster: Cluster, database: str, *arguments: str) -> str:
        """Run pgbench and return what it said."""
        libraries = {"LD_LIBRARY_PATH": str(cluster.bin_dir.parent / "lib")}
        done = subprocess.run(
            [self.program, *arguments, cluster.dsn(database)],
            capture_output=True,
            text=True,
            env=plain_environment() | libraries,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"pgbench: {done.stderr.strip()[-300:]}")
        return done.stdout


@dataclass(slots=True)
class Hall:
    """A stage whose three databases are under load in turn."""

    stage: Stage
    bank: Bank
    seconds: int
    rival: Native
    rounds: int = 0

    @property
    def warm_up_seconds(self) -> int:
        """Return how long a turn goes before it counts: about an interval of the capture."""
        return max(1, self.seconds // 6)


def groups_of(sizes: Sizes) -> tuple[Group[Any], ...]:
    """Return the comparisons of the application's throughput."""
    name = "throughput with capture"
    return (
        Group(
            lambda folder: open_hall(folder, sizes),
            (
                Case(name, against_none, "tps", "without capture", 0.95, is_at_least=True, rounds=sizes.rounds * 2),
                Case(name, against_subscription, "tps", "with a subscription", is_at_least=True),
            ),
        ),
    )


@asynccontextmanager
async def open_hall(folder: Path, sizes: Sizes) -> AsyncIterator[Hall]:
    """Open the stage with the intervals of a node in earnest; raises NotMeasured where there is no pgbench."""
    bank = Bank(find_pgbench(sizes.major), max(1, sizes.rows // ROWS_PER_SCALE))
    databases = (OURS, PEERS, PLAIN)
    settings = {} if sizes.is_quick else IN_EARNEST
    async with open_stage(folder, major=sizes.major, content=bank, databases=databases, settings=settings) as stage:
        hall = Hall(stage, bank, sizes.load_seconds, Native(stage))
        hall.rival.prepare(with_copy=True)
        hall.rival.follow()
        try:
            yield hall
        finally:
            hall.rival.end()


def find_pgbench(major: int) -> Path:
    """Return the pgbench of the PostgreSQL that is measured, or any other one."""
    own = find_bin_dir(major) / "pgbench"
    found = str(own) if own.exists() else shutil.which("pgbench")
    if found is None:
        raise NotMeasured("no pgbench here")
    return Path(found)


async def against_none(hall: Hall) -> Round:
    """With capture and without."""
    return await _in_turns(hall, _without)


async def against_subscription(hall: Hall) -> Round:
    """With capture and with a subscription that follows."""
    return await _in_turns(hall, _subscribed)


async def _in_turns(hall: Hall, peer: Callable[[Hall], Awaitable[float]]) -> Round:
    hall.rounds += 1
    if hall.rounds % 2:
        theirs = await peer(hall)
        return Round(await _captured(hall), theirs)
    ours = await _captured(hall)
    return Round(ours, await peer(hall))


async def _captured(hall: Hall) -> float:
    _prepare(hall, OURS)
    await hall.stage.wait_drained()
    return _load(hall, OURS)


async def _without(hall: Hall) -> float:
    _prepare(hall, PLAIN)
    await hall.stage.wait_drained()
    with hall.stage.without_capture():
        return _load(hall, PLAIN)


async def _subscribed(hall: Hall) -> float:
    _prepare(hall, PEERS)
    await hall.stage.wait_drained()
    with hall.stage.without_capture():
        await hall.rival.catch_up()
        try:
            return _load(hall, PEERS)
        finally:
            await hall.rival.catch_up()
            hall.rival.stop()


def _prepare(hall: Hall, database: str) -> None:
    for statement in ("VACUUM", "CHECKPOINT"):
        hall.stage.on_source(statement, database)


def _load(hall: Hall, database: str) -> float:
    hall.bank.load(hall.stage.source, database, hall.warm_up_seconds)
    return hall.bank.load(hall.stage.source, database, hall.seconds)
