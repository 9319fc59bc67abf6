"""Fixtures of all tests: clusters that live as long as the run, a fresh database for each test, and chance with a seed.

A test that kills, pauses or configures a server takes one of its own (``new_cluster``); all others share (``cluster``,
``pair_of_clusters``) and work in databases of their own (``database``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.nursery import Nursery
from lab.service import Service
from tests.tier import IS_FULL, MAJORS, SEED, rounds, seed_of

hypothesis.settings.register_profile(
    "tier",
    deadline=None,
    max_examples=rounds(100, 1000),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tier")

# majors of source and target; the target is never older
PAIRS = [(15, 15), (18, 18), (15, 18), *rounds([], [(16, 16), (17, 17), (15, 16), (16, 17), (17, 18)])]


@dataclass(frozen=True, slots=True)
class PairOfClusters:
    """Two clusters that run: what is replicated comes from ``source`` and goes to ``target``."""

    source: Cluster
    target: Cluster


def pytest_report_header() -> list[str]:
    """Say what is needed to repeat this run."""
    majors = ", ".join(map(str, MAJORS))
    tier = "all" if IS_FULL else "normal"
    return [f"tier {tier} (PostgreSQL {majors}); chance: WARMSTANDBY_TEST_SEED={SEED}"]


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Have services start without the time of their imports."""
    Service.nursery = Nursery()
    yield
    Service.nursery.close()
    Service.nursery = None


@pytest.fixture
def random_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test; a failure shows how to repeat it."""
    print(f"repeat with WARMSTANDBY_TEST_SEED={SEED} ./test '{request.node.nodeid}'")
    return seed_of(request.node.nodeid)


@pytest.fixture
def chance(random_seed: int) -> random.Random:
    """A random generator of this test's own seed."""
    return random.Random(random_seed)


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int, str], Cluster]]:
    """Give the run's cluster of a major and a role, started at its first use."""
    clusters: dict[tuple[int, str], Cluster] = {}

    def get(major: int, role: str = "source") -> Cluster:
        if (major, role) not in clusters:
            folder = tmp_path_factory.mktemp(f"{role}-{major}-")
            clusters[major, role] = Cluster.create(folder, major=major)
        clusters[major, role].start()
        return clusters[major, role]

    yield get
    for cluster in clusters.values():
        cluster.remove()


@pytest.fixture(scope="session", params=MAJORS, ids=lambda major: f"pg{major}")
def major(request: pytest.FixtureRequest) -> int:
    """Each major version of PostgreSQL that the tier covers, one after the other."""
    value: int = request.param
    return value


@pytest.fixture(scope="session")
def cluster(major: int, shared_cluster: Callable[[int, str], Cluster]) -> Cluster:
    """The run's cluster of each major: the test runs once for each."""
    return shared_cluster(major, "source")


@pytest.fixture(scope="session", params=PAIRS, ids=lambda pair: f"pg{pair[0]}-pg{pair[1]}")
def pair_of_clusters(request: pytest.FixtureRequest, shared_cluster: Callable[[int, str], Cluster]) -> PairOfClusters:
    """Source and target, each combination of majors that the tier covers: the test runs once for each."""
    source, target = request.param
    return PairOfClusters(shared_cluster(source, "source"), shared_cluster(target, "target"))


@pytest.fixture
def database() -> Iterator[Callable[..., Database]]:
    """Make fresh databases in a running cluster (``database(cluster)``); they are dropped at the end of the test."""
    made: list[Database] = []

    def make(cluster: Cluster, name: str | None = None, *, options: str = "") -> Database:
        made.append(Database.create(cluster, name, options=options))
        return made[-1]

    yield make
    for item in made:
        if item.cluster.is_running:
            item.drop()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Make clusters for this test alone (``new_cluster(major, setting="value")``), running; the test may kill them."""
    made: list[Cluster] = []

    def make(major: int = MAJORS[-1], **settings: str) -> Cluster:
        made.append(Cluster.create(tmp_path / f"cluster-{len(made)}", major=major, settings=settings))
        made[-1].start()
        return made[-1]

    yield make
    for item in made:
        item.remove()
