"""Fixtures of the fence tests: a server of each major that is theirs, with a fresh stage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import Cluster
from lab.roles import Rights
from tests.fencing.stage import Stage

NewStage = Callable[..., Awaitable[Stage]]


@pytest.fixture(scope="session")
def fenced_cluster(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of each major for these tests alone: they change roles and rules."""
    with Cluster.create(tmp_path_factory.mktemp(f"fence-{major}-"), major=major) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(params=["hba", "limit"])
def strength(request: pytest.FixtureRequest) -> str:
    """Both strengths: the test runs once for each."""
    value: str = request.param
    return value


@pytest.fixture(params=[Rights.DOCUMENTED, Rights.SUPERUSER], ids=str)
def rights(request: pytest.FixtureRequest) -> Rights:
    """Both kinds of rights of our roles: the test runs once for each."""
    value: Rights = request.param
    return value


@pytest.fixture
async def new_stage(fenced_cluster: Cluster, tmp_path: Path) -> AsyncIterator[NewStage]:
    """Make the stage of a test: strength and rights as it wants them."""
    made: list[Stage] = []

    async def make(**how: Any) -> Stage:
        made.append(await Stage.make(fenced_cluster, tmp_path, **how))
        return made[-1]

    yield make
    for stage in made:
        stage.database.drop()


@pytest.fixture
async def stage(new_stage: NewStage, strength: str, rights: Rights) -> Stage:
    """The stage with each strength and each kind of rights."""
    return await new_stage(strength=strength, rights=rights)
