"""Fixtures: a prepared control database on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.store.database import Database as ControlDatabase
from services.standby_controller.store.database import open_database
from tests.tier import MAJORS


@pytest.fixture(scope="session")
def emptied_database(shared_cluster: Callable[[int, str], Cluster]) -> Iterator[Callable[[int], str]]:
    """Give the DSN of a database without the controller's schema: one for each major, which is quicker."""
    made: dict[int, Database] = {}

    def get(major: int) -> str:
        if major not in made:
            made[major] = Database.create(shared_cluster(major, "source"))
        made[major].psql("DROP SCHEMA IF EXISTS control CASCADE")
        return made[major].dsn

    yield get
    for database in made.values():
        database.drop()


@pytest.fixture
def control_dsn(major: int, emptied_database: Callable[[int], str]) -> str:
    """An empty database, of each major the tier covers."""
    return emptied_database(major)


@pytest.fixture
def newest_dsn(emptied_database: Callable[[int], str]) -> str:
    """An empty database of the newest major: for what does not depend on the server."""
    return emptied_database(MAJORS[-1])


@pytest.fixture
async def control(control_dsn: str) -> AsyncIterator[ControlDatabase]:
    """A control database with its schema."""
    async with open_database(control_dsn) as opened:
        await opened.prepare()
        yield opened
