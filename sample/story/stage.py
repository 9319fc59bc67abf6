"""What the story needs to begin: two clusters, the sample database, the pair's processes; all in one folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lab import reaper
from lab.cluster import Cluster
from lab.database import Database
from lab.pair import Pair
from lab.roles import ensure_role

DATABASE: Final = "mdm"
OWNER: Final = "mdm"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Clusters:
    """The two PostgreSQL clusters, running, and the folder that holds everything."""

    folder: Path
    primary: Cluster
    secondary: Cluster


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder for everything, gone with the block or with this process."""
    folder = Path(tempfile.mkdtemp(prefix="warmstandby-demo-"))
    reaper.watch(folder, folder)
    try:
        yield folder
    finally:
        reaper.end(folder, folder)
        reaper.forget(folder)


def start_clusters(folder: Path, stack: ExitStack) -> Clusters:
    """Make and start two clusters, and the application's empty database on the first."""
    primary = stack.enter_context(Cluster.create(folder / "primary"))
    secondary = stack.enter_context(Cluster.create(folder / "secondary"))
    primary.start()
    secondary.start()
    ensure_role(primary, OWNER)
    Database.create(primary, DATABASE, options=f"OWNER {OWNER}")
    return Clusters(folder, primary, secondary)


def start_pair(stack: ExitStack, clusters: Clusters) -> Pair:
    """Prepare and start both nodes; syncs run only when asked for."""
    pair = Pair.create(clusters.folder / "nodes", clusters.primary, clusters.secondary, databases=[DATABASE])
    stack.enter_context(pair)
    stack.callback(pair.stop)
    pair.start()
    return pair


async def in_thread(work: Callable[[], Answer]) -> Answer:
    """Do blocking work aside; a cancellation waits for its end, so that nothing is made while all is taken down."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
