"""Fixtures of the fence tests: a server of each major that is theirs, with a fresh stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import Cluster
from lab.roles import Rights
from tests.fencing.stage import Stage, prepare
from tests.tier import rounds

NewStage = Callable[..., Awaitable[Stage]]


GetCluster = Callable[[int, Rights], Awaitable[Cluster]]
# strength and rights; rules that reject ask little of our rights, so that one of four is for the full tier
WAYS = [
    ("hba", Rights.DOCUMENTED),
    ("limit", Rights.DOCUMENTED),
    ("limit", Rights.SUPERUSER),
    *rounds([], [("hba", Rights.SUPERUSER)]),
]


@pytest.fixture(scope="session")
def fenced_clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GetCluster]:
    """Give a running cluster of a major whose roles have these rights, for these tests alone."""
    made: dict[tuple[int, Rights], Cluster] = {}

    async def get(major: int, rights: Rights) -> Cluster:
        if (major, rights) not in made:
            folder = tmp_path_factory.mktemp(f"fence-{major}-")
            cluster = Cluster.create(folder, major=major, settings={"wal_retrieve_retry_interval": "200ms"})
            made[major, rights] = cluster
            cluster.start()
            await prepare(cluster, rights)
        made[major, rights].start()
        return made[major, rights]

    yield get
    for cluster in made.values():
        cluster.remove()


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, Rights]:
    """Each strength with each kind of rights."""
    value: tuple[str, Rights] = request.param
    return value


@pytest.fixture
def strength(way: tuple[str, Rights]) -> str:
    """The strength that is configured."""
    return way[0]


@pytest.fixture(params=[Rights.DOCUMENTED, Rights.SUPERUSER], ids=str)
def rights(request: pytest.FixtureRequest) -> Rights:
    """Both kinds of rights of our roles, for tests that choose the strength."""
    value: Rights = request.param
    return value


@pytest.fixture
async def new_stage(fenced_clusters: GetCluster, major: int, tmp_path: Path) -> AsyncIterator[NewStage]:
    """Make the stage of a test: strength and rights as it wants them."""
    made: list[Stage] = []

    async def make(*, strength: str, rights: Rights, **fencing: Any) -> Stage:
        cluster = await fenced_clusters(major, rights)
        made.append(Stage.make(cluster, tmp_path, strength=strength, **fencing))
        return made[-1]

    yield make
    for stage in made:
        stage.database.drop()


@pytest.fixture
async def stage(new_stage: NewStage, way: tuple[str, Rights]) -> Stage:
    """The stage with each strength and each kind of rights."""
    return await new_stage(strength=way[0], rights=way[1])
