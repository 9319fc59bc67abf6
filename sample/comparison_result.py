"""What an independent comparison of two databases found; plain values and their sentences, no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CompareMethod(StrEnum):
    """How two tables are compared."""

    SORTED_ROWS = "sorted_rows"  # every row as text, sorted, both streams hashed: exact
    ROW_HASHES = "row_hashes"  # count and two sums of 64-bit row hashes: no sort, no rows on the wire, nearly exact


class Verdict(StrEnum):
    """What a comparison says about one table or sequence."""

    EQUAL = "equal"
    AHEAD = "ahead"  # a sequence of the target that is farther than the source's: as good as equal
    BEHIND = "behind"  # a sequence of the target that would give out numbers again
    DIFFERENT = "different"
    ONLY_ON_SOURCE = "only_on_source"
    ONLY_ON_TARGET = "only_on_target"
    NOT_COMPARABLE = (
        "not_comparable"  # truncated, rewritten or dropped since the snapshot: nobody can read it as it was
    )


GOOD = frozenset({Verdict.EQUAL, Verdict.AHEAD})


@dataclass(frozen=True, slots=True)
class DifferingRow:
    """The first place, in sorted order, where two tables differ; None stands for the end of the table."""

    number: int
    columns: tuple[str, ...]
    source: str | None
    target: str | None

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"row {self.number} of ({', '.join(self.columns)}): source {self.source or 'has no more rows'},"
            f" target {self.target or 'has no more rows'}"
        )


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table of both sides; rows and digests are None on a side that was not read."""

    name: str
    verdict: Verdict
    source_rows: int | None = None
    target_rows: int | None = None
    source_digest: str | None = None
    target_digest: str | None = None
    first_difference: DifferingRow | None = None
    reason: str | None = None

    @property
    def equal(self) -> bool:
        """Say whether both sides have the same rows."""
        return self.verdict in GOOD

    def __str__(self) -> str:
        """Say it in one line."""
        rows = (
            ""
            if self.source_rows is None
            else f" ({self.source_rows} rows on the source, {self.target_rows} on the target)"
        )
        detail = f": {self.first_difference or self.reason}" if self.first_difference or self.reason else ""
        return f"table {self.name} is {self.verdict.replace('_', ' ')}{rows}{detail}"


@dataclass(frozen=True, slots=True)
class SequenceComparison:
    """One sequence of both sides; the values are the next ones that it would give out."""

    name: str
    verdict: Verdict
    source_next: int | None = None
    target_next: int | None = None
    reason: str | None = None

    @property
    def equal(self) -> bool:
        """Say whether the target's sequence may be used after a failover."""
        return self.verdict in GOOD

    def __str__(self) -> str:
        """Say it in one line."""
        detail = f": {self.reason}" if self.reason else ""
        return (
            f"sequence {self.name} is {self.verdict.replace('_', ' ')}"
            f" (next value {self.source_next} on the source, {self.target_next} on the target){detail}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, table by table."""

    tables: tuple[TableComparison, ...]
    sequences: tuple[SequenceComparison, ...]
    method: CompareMethod
    seconds: float

    @property
    def equal(self) -> bool:
        """Say whether everything was compared and everything is equal."""
        return not self.differences and not self.not_comparable

    @property
    def differences(self) -> tuple[TableComparison | SequenceComparison, ...]:
        """List what differs."""
        return tuple(found for found in self._found if not found.equal and found.verdict is not Verdict.NOT_COMPARABLE)

    @property
    def not_comparable(self) -> tuple[TableComparison | SequenceComparison, ...]:
        """List what could not be read as it was at the snapshot, so that nothing is known about it."""
        return tuple(found for found in self._found if found.verdict is Verdict.NOT_COMPARABLE)

    @property
    def rows(self) -> int:
        """Count the rows that were read on the source."""
        return sum(table.source_rows or 0 for table in self.tables)

    @property
    def tables_only_on_source(self) -> tuple[str, ...]:
        """Name the tables that the target lacks."""
        return tuple(table.name for table in self.tables if table.verdict is Verdict.ONLY_ON_SOURCE)

    @property
    def tables_only_on_target(self) -> tuple[str, ...]:
        """Name the tables that the source lacks."""
        return tuple(table.name for table in self.tables if table.verdict is Verdict.ONLY_ON_TARGET)

    def describe(self, *, at_most: int = 10) -> str:
        """Say the result in a few lines, differences first."""
        bad = [str(found) for found in (*self.differences, *self.not_comparable)]
        counted = (
            f"{len(self.tables)} tables, {len(self.sequences)} sequences, {self.rows} rows in {self.seconds:.1f} s"
        )
        if not bad:
            return f"equal: {counted}"
        more = [f"and {len(bad) - at_most} more"] if len(bad) > at_most else []
        head = "different" if self.differences else "not all could be compared"
        return "\n".join([f"{head}: {counted}", *bad[:at_most], *more])

    @property
    def _found(self) -> tuple[TableComparison | SequenceComparison, ...]:
        return (*self.tables, *self.sequences)
