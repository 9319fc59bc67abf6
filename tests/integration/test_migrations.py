"""Numbered migrations: applied once, also by two at once, each whole or not at all, and never backwards."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database
from shared.errors import DatabaseMissing, PostgresError, RightsMissing, SchemaTooNew
from shared.postgres.migrations import load_migrations, migrate

PACKAGE = "migrations_of_a_test"
STEPS = {
    "0001_start.sql": "CREATE TABLE thing.stock (id int PRIMARY KEY); INSERT INTO thing.stock VALUES (1);",
    "0002_more.sql": "ALTER TABLE thing.stock ADD COLUMN name text; INSERT INTO thing.stock VALUES (2, 'two');",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of migrations that the test may change."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, script in STEPS.items():
        (folder / name).write_text(script)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop(PACKAGE, None)


@pytest.fixture
def target(cluster: Cluster, database: Callable[..., Database]) -> Database:
    return database(cluster)


async def test_each_migration_runs_once(package: Path, target: Database) -> None:
    """A second start changes nothing."""
    for _ in range(2):
        assert await migrate(target.dsn, package=PACKAGE, schema="thing") == 2
    assert target.psql("SELECT string_agg(id || coalesce(name, ''), ',' ORDER BY id) FROM thing.stock") == "1,2two"
    assert target.psql("SELECT string_agg(name, ',' ORDER BY version) FROM thing.migrations") == "start,more"


async def test_two_services_may_start_at_once(package: Path, target: Database) -> None:
    """Both end well, and each step has run once."""
    versions = await asyncio.gather(*(migrate(target.dsn, package=PACKAGE, schema="thing") for _ in range(6)))
    assert versions == [2] * 6
    assert target.psql("SELECT count(*) FROM thing.stock") == "2"


async def test_a_step_that_fails_leaves_nothing(package: Path, target: Database) -> None:
    """The steps before it stay, and it runs again once it is mended."""
    good = (package / "0002_more.sql").read_text()
    (package / "0002_more.sql").write_text(f"{good} SELECT 1/0;")
    with pytest.raises(PostgresError, match="division by zero"):
        await migrate(target.dsn, package=PACKAGE, schema="thing")
    assert target.psql("SELECT max(version) FROM thing.migrations") == "1"
    assert target.psql("SELECT count(*) FROM thing.stock") == "1"
    (package / "0002_more.sql").write_text(good)
    assert await migrate(target.dsn, package=PACKAGE, schema="thing") == 2


async def test_a_newer_database_is_refused(package: Path, target: Database) -> None:
    """An older release must not work on what it does not know."""
    await migrate(target.dsn, package=PACKAGE, schema="thing")
    (package / "0002_more.sql").unlink()
    with pytest.raises(SchemaTooNew, match=r"version 2.*up to 1"):
        await migrate(target.dsn, package=PACKAGE, schema="thing")


async def test_missing_rights_and_databases_are_said_clearly(package: Path, target: Database) -> None:
    """An administrator must see what to do."""
    with pytest.raises(DatabaseMissing):
        await migrate(target.cluster.dsn("no_such_database"), package=PACKAGE, schema="thing")
    target.psql("CREATE ROLE poor LOGIN")
    try:
        with pytest.raises(RightsMissing):
            await migrate(target.cluster.dsn(target.name, "poor"), package=PACKAGE, schema="thing")
    finally:
        target.psql("DROP ROLE poor")


@pytest.mark.parametrize(
    ("extra", "fault"), [("0004_gap.sql", "without gaps"), ("0002_twice.sql", "without gaps"), ("x.sql", "NNNN_name")]
)
def test_a_package_with_a_wrong_name_or_number_is_refused(package: Path, extra: str, fault: str) -> None:
    """It would be applied in another order, or never."""
    (package / extra).write_text("SELECT 1")
    with pytest.raises(ValueError, match=fault):
        load_migrations(PACKAGE)
