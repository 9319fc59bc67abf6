"""A copy on another major: no type and no key differs by itself, and each row that is gone is told by its key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.replication import builtin_types, key_types
from tests.replication.test_verification import MENDING, compare, on_copy
from tests.replication.two_nodes import Ground, TwoNodes, two_clusters
from tests.tier import MAJORS


@pytest.fixture
async def every_type(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    """A pair of the oldest and the newest major, with a table of each kind of type and of each kind of key."""
    cases = [case for case in (*builtin_types.CASES, *key_types.CASES) if case.since <= MAJORS[0] and not case.needs]
    schema = key_types.MADE + "".join(case.setup_script() for case in cases)
    with two_clusters(tmp_path, MAJORS[0], MAJORS[-1]) as both:
        async with Ground.create(both, tmp_path, schema).open() as nodes:
            yield nodes


async def test_no_type_and_no_key_differs_between_majors(every_type: TwoNodes) -> None:
    """And each row of each table is told by its key where it is gone."""
    pair = every_type
    clean = await compare(pair)
    assert clean.differences == ()
    tables = pair.active.sql(
        """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'warmstandby')"""
    ).splitlines()
    assert len(clean.compared) == len(tables) > 30
    on_copy(pair, "".join(f"DELETE FROM {table};" for table in tables))
    assert {one.missing for one in (await compare(pair)).differences} != {0}
    repaired = await compare(pair, MENDING)
    assert repaired.is_clean
    assert len(repaired.differences) == len(pair.ways["peer"].uploaded) == len(tables)
    assert (await compare(pair)).differences == ()
