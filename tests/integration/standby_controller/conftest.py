"""Fixtures: a prepared control database on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from lab.cluster import Cluster
from lab.database import Database
from services.standby_controller.store.database import Database as ControlDatabase
from services.standby_controller.store.database import open_database
from tests.tier import MAJORS


@pytest.fixture
def control_dsn(cluster: Cluster, database: Callable[..., Database]) -> str:
    """An empty database."""
    return database(cluster).dsn


@pytest.fixture
def newest_dsn(shared_cluster: Callable[[int, str], Cluster], database: Callable[..., Database]) -> str:
    """An empty database of the newest major: for what does not depend on the server."""
    return database(shared_cluster(MAJORS[-1], "source")).dsn


@pytest.fixture
async def control(control_dsn: str) -> AsyncIterator[ControlDatabase]:
    """A control database with its schema."""
    async with open_database(control_dsn) as opened:
        await opened.prepare()
        yield opened
