"""Cases played on a pair: all are made, seeded, changed and synced together, so that one seed and three deltas do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.database import Database
from lab.node import component_name
from lab.pair import Pair
from sample.comparison import CompareMethod, Comparison, compare_databases
from sample.comparison_result import SequenceComparison, TableComparison
from tests.replication.case import ROUNDS, Case

Json = dict[str, Any]
Found = TableComparison | SequenceComparison


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one database in one sync, and what the judge found after it."""

    component: Json
    comparison: Comparison

    def of(self, case: Case) -> list[Found]:
        """Return what was found of a case's tables and sequences."""
        everything: list[Found] = [*self.comparison.tables, *self.comparison.sequences]
        return [found for found in everything if found.name.startswith(tuple(f"{name}." for name in case.all_schemas))]


@dataclass(slots=True)
class Played:
    """A database full of cases, and what became of it: the seed, then the deltas."""

    source: Database
    cases: Sequence[Case]
    user: str = "postgres"
    preparation: str = ""
    method: CompareMethod = CompareMethod.SORTED_ROWS
    steps: list[Step] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a case was not played, by its name."""

    @property
    def component(self) -> str:
        """The database's name as a component."""
        return component_name(self.source.name)

    def prepare(self) -> None:
        """Make what the cases begin with; cases that this server cannot have are left out."""
        extensions = set(self.source.psql("SELECT name FROM pg_available_extensions").splitlines())
        has_icu = self.source.psql("SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')") == "t"
        present = extensions | ({"icu"} if has_icu else set())
        for case in self.cases:
            if case.since > self.source.cluster.major:
                self.left_out[case.name] = f"PostgreSQL {self.source.cluster.major} knows no {case.name}"
            elif case.needs is not None and case.needs not in present:
                self.left_out[case.name] = f"this PostgreSQL has no {case.needs}"
        wanted = {case.needs for case in self._present() if case.needs in extensions}
        made = "".join(f"CREATE EXTENSION {extension};\n" for extension in sorted(map(str, wanted)))
        self._run(made + self.preparation + "".join(case.setup_script() for case in self._present()))

    def change(self, number: int) -> None:
        """Do to each case what it wants done before the delta of this number, from 0."""
        self._run("".join(case.script(case.rounds[number]) for case in self._present()))

    def found(self, case: Case) -> list[list[Found]]:
        """Return what was found of a case's tables and sequences after each sync."""
        return [step.of(case) for step in self.steps]

    def _run(self, script: str) -> None:
        self.source.psql(script, user=self.user)

    def _present(self) -> list[Case]:
        return [case for case in self.cases if case.name not in self.left_out]


def play(pair: Pair, databases: Sequence[Played]) -> None:
    """Seed, and let each round of changes be followed by a delta and a comparison."""
    asyncio.run(sync_and_compare(pair, databases))
    for number in range(ROUNDS):
        for database in databases:
            database.change(number)
        asyncio.run(sync_and_compare(pair, databases))


async def sync_and_compare(pair: Pair, databases: Sequence[Played]) -> None:
    """Sync once, and note for each database what became of it."""
    sync = await pair.sync()
    ended: Mapping[str, Json] = {component["component"]: component for component in sync["components"]}
    for played in databases:
        target = Database(pair.secondary.cluster, played.source.name)
        comparison = await compare_databases(played.source.dsn, target.dsn, method=played.method)
        played.steps.append(Step(ended[played.component], comparison))
