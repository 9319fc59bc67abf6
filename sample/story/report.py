"""What the demo measured and found, as values, as JSON, and as a summary people can read; nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sample.application import DatabaseSize
from sample.comparison_result import Comparison
from sample.story.failure import Failure
from sample.workload import WorkloadReport

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """One sync, and the comparison of both sides at the snapshot it shows."""

    number: int  # 0 is the seed
    kind: str
    rows: int
    bytes: int
    seconds: float
    age_seconds: float  # how old the standby's data was when the sync ended
    oldest_seconds: float | None  # how old it was just before; None when it had none
    held_seconds: float  # how long the application was held between transactions, for the judge's snapshot
    is_quiet: bool  # nobody wrote during the comparison
    comparison: Comparison

    @property
    def megabytes_per_second(self) -> float:
        """Say how fast the bytes came, from the sync's start to its end."""
        return self.bytes / 1e6 / self.seconds if self.seconds > 0 else 0.0

    @property
    def equal(self) -> bool:
        """Say whether everything was compared and everything is equal."""
        return self.comparison.equal

    def as_json(self) -> Json:
        """Return the round for programs."""
        return {
            "number": self.number,
            "kind": self.kind,
            "rows": self.rows,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "megabytes_per_second": round(self.megabytes_per_second, 3),
            "age_seconds": round(self.age_seconds, 3),
            "oldest_seconds": None if self.oldest_seconds is None else round(self.oldest_seconds, 3),
            "writers_held_seconds": round(self.held_seconds, 3),
            "equal": self.equal,
            "compared": {
                "tables": len(self.comparison.tables),
                "rows": self.comparison.rows,
                "sequences": len(self.comparison.sequences),
                "seconds": round(self.comparison.seconds, 3),
                "differences": [str(found) for found in self.comparison.differences],
                "not_comparable": [str(found) for found in self.comparison.not_comparable],
            },
        }


@dataclass(slots=True)
class Report:
    """All that happened, filled while it happens."""

    postgres: str = ""
    installed: DatabaseSize | None = None
    rounds: list[Round] = field(default_factory=list)
    failure: Failure = field(default_factory=Failure)
    wants_failure: bool = False
    wanted_syncs: int = 0
    workload: WorkloadReport | None = None
    seconds: float = 0.0
    error: str | None = None

    @property
    def equal(self) -> bool:
        """Say whether every sync that was wanted took place and left both sides equal."""
        wanted = self.wanted_syncs + (2 if self.wants_failure else 1)
        is_whole = len(self.rounds) == wanted and self.rounds[-1].is_quiet
        if self.wants_failure and self.failure.lost_covered_rows != 0:
            return False
        return self.error is None and is_whole and all(found.equal for found in self.rounds)

    def as_json(self) -> Json:
        """Return everything for programs."""
        size, work = self.installed, self.workload
        return {
            "equal": self.equal,
            "error": self.error,
            "postgres": self.postgres,
            "installed": None if size is None else {"tables": size.tables, "rows": size.rows, "bytes": size.size_bytes},
            "seed": self.rounds[0].as_json() if self.rounds else None,
            "syncs": [found.as_json() for found in self.rounds[1 : self.wanted_syncs + 1]],
            **(self.failure.as_json() if self.wants_failure else {}),
            "workload": None
            if work is None
            else {
                "transactions": work.transactions,
                "rows_written": work.rows_written,
                "writes_per_second": round(work.writes_per_second, 1),
                "seconds": round(work.seconds, 3),
            },
            "seconds": round(self.seconds, 3),
        }

    def summary(self) -> str:
        """Return the summary for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.rounds:
            yield from _table(self.rounds)
            yield ""
        if self.workload is not None:
            yield (
                f"The application meanwhile: {self.workload.transactions:,} transactions, "
                f"{self.workload.rows_written:,} rows written, {self.workload.writes_per_second:,.0f} rows/s."
            )
        ages = [found.age_seconds for found in self.rounds]
        oldest = [found.oldest_seconds for found in self.rounds if found.oldest_seconds is not None]
        if oldest:
            yield (
                f"Lag: the standby's data was {max(ages):.1f} s old at most when a sync ended, "
                f"and {max(oldest):.1f} s at most just before the next one ended."
            )
        yield from (line for found in self.rounds if not found.equal for line in _differences(found))
        if self.error is not None:
            yield f"FAILED: {self.error}"
        elif self.equal:
            yield f"EQUAL: after each sync both sides held the same rows. {self.seconds:.0f} s in all."
        else:
            yield f"NOT EQUAL: see above. {self.seconds:.0f} s in all."


def age_seconds(snapshot_at: str, seen_at: str) -> float:
    """Return how old data of one instant is at another (both RFC 3339)."""
    return max(0.0, (datetime.fromisoformat(seen_at) - datetime.fromisoformat(snapshot_at)).total_seconds())


def describe_round(found: Round) -> str:
    """Say in a line what a round came to."""
    name = "Seed" if found.number == 0 else f"Sync {found.number}"
    verdict = "equal" if found.equal else "NOT EQUAL"
    return (
        f"{name}: {found.kind}, {found.rows:,} rows, {found.bytes / 1e6:.1f} MB in {found.seconds:.2f} s "
        f"({found.megabytes_per_second:.1f} MB/s); {verdict}, {found.comparison.rows:,} rows compared"
    )


def _table(rounds: Sequence[Round]) -> Iterator[str]:
    yield "             rows        MB   seconds    MB/s   data age   compared"
    for found in rounds:
        name = "seed" if found.number == 0 else f"sync {found.number}"
        verdict = f"{'equal' if found.equal else 'NOT EQUAL'}: {found.comparison.rows:,} rows"
        yield (
            f"{name:<8} {found.rows:>9,} {found.bytes / 1e6:>9.1f} {found.seconds:>9.2f} "
            f"{found.megabytes_per_second:>7.1f} {found.age_seconds:>8.1f} s   {verdict}"
        )


def _differences(found: Round) -> Iterator[str]:
    yield f"{'The seed' if found.number == 0 else f'Sync {found.number}'} left both sides unequal:"
    yield from (f"  {line}" for line in found.comparison.describe().splitlines())
