"""Fixtures of the replication tests: clusters of their own, which they may configure, and a world for each file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import Cluster
from tests.replication.judge import check_all_equal
from tests.replication.two_nodes import Ground, TwoNodes, two_clusters
from tests.replication.world import Place, World


@pytest.fixture(scope="session")
def replicating_cluster(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of each major for these tests alone: slots and settings are theirs."""
    with Cluster.create(tmp_path_factory.mktemp(f"replication-{major}-"), major=major) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="module")
def seeded_place(
    replicating_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Place]:
    """A source made by the module's `SCHEMA`, with a copy that is complete."""
    place = Place.create(replicating_cluster, tmp_path_factory.mktemp("seeded-"), request.module.SCHEMA)
    asyncio.run(_seed(place))
    yield place
    asyncio.run(check_all_equal(place.dsn, place.copy_dsn))
    place.remove()


async def _seed(place: Place) -> None:
    async with place.open() as world:
        await world.seed()


@pytest.fixture
async def world(seeded_place: Place) -> AsyncIterator[World]:
    """The module's source and copy, equal at first: what a test changes must come over by deltas."""
    async with seeded_place.open() as opened:
        yield opened


@pytest.fixture
def new_place(replicating_cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Make places for this test alone (``new_place(schema)``, ``new_place(schema, cluster=…, target=…)``)."""
    made: list[Place] = []

    def make(schema: str = "", *, cluster: Cluster | None = None, target: Cluster | None = None) -> Place:
        folder = tmp_path / f"place-{len(made)}"
        made.append(Place.create(cluster or replicating_cluster, folder, schema, target=target))
        return made[-1]

    yield make
    for place in made:
        place.remove()


@pytest.fixture(scope="module")
def clusters(major: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Cluster]]:
    """Two clusters of a major for a file whose nodes change their roles."""
    with two_clusters(tmp_path_factory.mktemp("nodes-"), major) as both:
        yield both


@pytest.fixture
async def pair(
    clusters: tuple[Cluster, Cluster], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[TwoNodes]:
    """A pair whose second node follows the first, equal to it, with the module's `SCHEMA`."""
    ground = Ground.create(clusters, tmp_path, request.module.SCHEMA)
    try:
        async with ground.open() as nodes:
            yield nodes
    finally:
        ground.remove()
