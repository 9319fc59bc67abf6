"""Real databases under random changes: both sides are equal after the seed and after each delta."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from lab.binaries import TREE
from lab.database import Database
from lab.pair import Pair
from lab.people import ask_once
from sample.comparison import compare_databases
from sample.snapshot_reader import connect
from tests.conftest import PAIRS, PairOfClusters
from tests.replication.changes import Kind, RandomChanges
from tests.tier import rounds

DATA = TREE.parent / "shared" / "data"
ROUNDS = rounds(5, 20)
CHANGES = rounds(15, 40)

pytestmark = [
    pytest.mark.parametrize("pair_of_clusters", rounds([(15, 18)], PAIRS), indirect=True, scope="session", ids=str),
    pytest.mark.skipif(
        not DATA.is_dir(), reason=f"the public sample databases are not here ({DATA.name} beside the tree)"
    ),
    pytest.mark.timeout(300),
]


@dataclass(frozen=True, slots=True)
class Real:
    """Pagila and chinook on a pair, and what was changed so far."""

    pair: Pair
    sources: tuple[Database, ...]
    unkept: dict[str, frozenset[str]] = field(default_factory=dict)
    done: Counter[Kind] = field(default_factory=Counter)

    async def sync(self) -> list[str]:
        """Sync, note which tables the sync says it leaves, and return how each database was synced."""
        sync = await self.pair.sync()
        for component in sync["components"]:
            self.unkept[component["component"]] = frozenset(table["name"] for table in component["unkept"])
        return [component["kind"] for component in sync["components"]]

    async def change(self, chance: random.Random) -> None:
        """Change both databases at random."""
        for source in self.sources:
            async with self._changing(source, chance) as changes:
                await changes.play(CHANGES)

    async def make_up(self, chance: random.Random) -> None:
        """Change pagila, which has tables for each kind of change, in the ways that were not drawn so far."""
        async with self._changing(self.sources[0], chance) as changes:
            for kind in Kind:
                if not self.done[kind]:
                    await changes.make(kind)

    @asynccontextmanager
    async def _changing(self, source: Database, chance: random.Random) -> AsyncIterator[RandomChanges]:
        async with connect(source.dsn) as connection:
            changes = await RandomChanges.on(connection, self.unkept[source.name], chance)
            yield changes
            self.done.update(changes.done)

    async def differences(self) -> list[str]:
        """Compare every row of every table of both databases."""
        found = [
            await compare_databases(source.dsn, self.pair.secondary.cluster.dsn(source.name)) for source in self.sources
        ]
        return [each.describe() for each in found if not each.equal]


@pytest.fixture(scope="module")
def real(pair_of_clusters: PairOfClusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Both databases on a pair, seeded."""
    source, target = pair_of_clusters.source, pair_of_clusters.target
    made: list[Database] = []
    try:
        for name, load in (("pagila", load_pagila), ("chinook", load_chinook)):
            made.append(Database.create(source, name))
            load(made[-1])
        with Pair.create(
            tmp_path_factory.mktemp("pair"), source, target, databases=[each.name for each in made]
        ) as pair:
            pair.start()
            yield Real(pair, tuple(made))
    finally:
        for each in made:
            each.drop()
            Database(target, each.name).drop()


async def test_real_databases_stay_equal_through_random_changes(real: Real, chance: random.Random) -> None:
    """Inserts, updates, deletes, swapped and changed keys, moves between leaves, truncates; a sync after each round."""
    assert await real.sync() == ["seed", "seed"]
    assert await real.differences() == []
    for number in range(1, ROUNDS + 1):
        await real.change(chance)
        if number == ROUNDS:
            await real.make_up(chance)
        assert await real.sync() == ["delta", "delta"], f"round {number}"
        assert await real.differences() == [], f"round {number}"
    assert set(real.done) == set(Kind), "every kind of change was made"


async def test_nothing_is_left_behind(real: Real) -> None:
    """Pagila has leaves without a key and a materialized view: the sync and the status name none of them."""
    await real.sync()
    assert real.unkept == {"pagila": frozenset(), "chinook": frozenset()}
    node = real.pair.secondary
    status = (await asyncio.to_thread(ask_once, node.controller_url, node.token, "GET", "/v1/status")).json()
    named = {item["name"]: {table["name"] for table in item["unkept"]} for item in status["components"]}
    assert named == {"pagila": set(), "chinook": set()}


def load_pagila(database: Database) -> None:
    """Load pagila; what older servers do not know is left out of its definitions."""
    schema = (DATA / "pagila-schema.sql").read_text(encoding="utf-8")
    if database.cluster.major < 17:
        schema = schema.replace("SET transaction_timeout = 0;", "")
        schema = re.sub(r"(CREATE|ALTER) VIEW public\.films_per_customer_rental.*?;\n", "", schema, flags=re.DOTALL)
    database.psql(schema)
    database.psql(DATA / "pagila-data.sql")


def load_chinook(database: Database) -> None:
    """Load chinook, but into this database and not one that it makes itself."""
    script = (DATA / "chinook.sql").read_text(encoding="utf-8")
    database.psql(script.partition("\\c chinook;")[2])
