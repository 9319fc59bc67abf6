"""Databases for the tests of the sample application: one cluster, one small installed database to copy from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from lab.cluster import Cluster
from lab.database import Database
from sample.application import install

ROWS = 4000


@pytest.fixture(scope="session")
def sample_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.create(tmp_path_factory.mktemp("sample") / "cluster") as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="session")
def installed(sample_cluster: Cluster) -> Database:
    """The database as `install` leaves it; read it, copy it, but do not write to it."""
    database = Database.create(sample_cluster, "installed")
    asyncio.run(install(database.dsn, rows=ROWS, seed=3))
    return database


@pytest.fixture
def copy_installed(sample_cluster: Cluster, installed: Database) -> Iterator[Callable[[], Database]]:
    """Make copies of the installed database that a test may change."""
    made: list[Database] = []

    def copy() -> Database:
        made.append(Database.create(sample_cluster, options=f"TEMPLATE {installed.name}"))
        return made[-1]

    yield copy
    for database in made:
        database.drop()
