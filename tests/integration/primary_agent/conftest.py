"""Pairs of which only the agents run: one for tests that only look, others for tests that break something."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.node_toml import Document
from lab.pair import Pair
from tests.integration.primary_agent.agents import MAJOR, start_agents


@pytest.fixture(scope="module")
def make_pair(
    shared_cluster: Callable[[int, str], Cluster], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Pair]]:
    """Make a pair of nodes, agents not started; its one component holds a table."""
    pairs: list[Pair] = []
    databases: list[Database] = []

    def make(source: Cluster | None = None, target: Cluster | None = None, settings: Document | None = None) -> Pair:
        source = source or shared_cluster(MAJOR, "source")
        target = target or shared_cluster(MAJOR, "target")
        databases.append(Database.create(source))
        databases[-1].psql("CREATE TABLE users (id int PRIMARY KEY)")
        pairs.append(
            Pair.create(
                tmp_path_factory.mktemp("pair"),
                source,
                target,
                databases=(databases[-1].name,),
                settings={"agent": {"heartbeat_seconds": 0.2}, **(settings or {})},
            )
        )
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.remove()
    for database in databases:
        if database.cluster.is_running:
            database.drop()


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Iterator[Pair]:
    """Both agents run; the primary is active, the secondary follows."""
    pair = make_pair()
    start_agents(pair)
    yield pair
    pair.remove()
