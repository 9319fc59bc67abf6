"""Definitions that change between two syncs: the next one brings them in place, and copies no table that it need not.

After each the copy's dump is the source's, by pg_dump itself, and its rows are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.standby_controller.definitions import amending
from services.standby_controller.definitions.tables import TableChange
from services.standby_controller.outcome import ComponentOutcome
from shared.replication.model import SyncKind
from tests.replication.definitions import find_unlike, read_definitions
from tests.replication.schema_changes import BASE, CHANGES, Change
from tests.replication.world import Place, World
from tests.tier import on_newest_major

pytestmark = on_newest_major

SMALL_BYTES = 100_000
"""Far less than the large table, whose rows alone are more than 60 bytes each."""


def copied(world: World, outcome: ComponentOutcome) -> set[str]:
    """Return the tables of which all rows came."""
    return {name for name, rows in outcome.rows_per_table.items() if rows} - {
        f"{table.schema_name}.{table.name}" for table in world.target.client.manifests[-1].tables if table.key_count
    }


async def test_an_alteration_that_misses_something_ends_in_a_full_copy(
    new_place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a table has become is looked at: no copy stays another one in silence."""
    monkeypatch.setattr(amending, "alter_table", lambda _old, _new: TableChange())
    async with new_place(BASE).open() as world:
        await world.seed()
        world.sql("ALTER TABLE large ALTER COLUMN amount SET DEFAULT 9")
        outcome = await world.sync()
        assert (outcome.kind, outcome.reason) == (
            SyncKind.SEED,
            "table public.large could not be altered to what it is now",
        )
        assert find_unlike(*both(world.place)) == ""


def both(place: Place) -> tuple[list[str], list[str]]:
    """Return the definitions of source and copy."""
    return (
        read_definitions(place.cluster, place.dsn),
        read_definitions(place.target_cluster, place.copy_dsn),
    )


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name.replace(" ", "-"))
async def test_a_change_is_brought_in_place(new_place: Callable[..., Place], case: Change) -> None:
    """Nothing else is copied, and the next sync has nothing to do."""
    place = new_place(BASE)
    if not place.cluster.psql("SELECT 1 FROM pg_roles WHERE rolname = 'someone'"):
        place.cluster.psql("CREATE ROLE someone")
    async with place.open() as world:
        await world.seed()
        world.sql("UPDATE large SET amount = amount + 1 WHERE id <= 5")
        world.sql(case.sql.replace("{role}", "someone"))
        outcome = await world.sync()
        assert outcome.kind is SyncKind.DELTA, outcome.reason
        assert find_unlike(*both(place)) == ""
        assert copied(world, outcome) == case.copied
        assert outcome.bytes < SMALL_BYTES or "public.large" in case.copied
        world.sql("UPDATE large SET amount = amount + 1 WHERE id <= 5")
        following = await world.delta()
        assert following.reason is None
        assert following.keys == 5
