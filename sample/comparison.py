"""An independent judge: compares all tables and sequences of two databases, with nothing of the product's own code.

Compared are all ordinary tables and leaves of partitioned tables, generated columns too. Not compared: views,
materialized views, large objects, definitions of constraints, indexes and code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Final

from sample.comparison_result import (
    GOOD,
    CompareMethod,
    Comparison,
    DifferingRow,
    SequenceComparison,
    TableComparison,
    Verdict,
)
from sample.snapshot_reader import (
    Content,
    NotComparableError,
    Sequence,
    SnapshotReader,
    Table,
    open_reader,
    read_sequences,
)

__all__ = ["CompareMethod", "Comparison", "Verdict", "compare_databases", "read_sequences"]

SHOWN_BYTES: Final = 400


async def compare_databases(
    source_dsn: str,
    target_dsn: str,
    *,
    source_snapshot: str | None = None,
    source_sequences: Mapping[str, Sequence] | None = None,
    schemas: Collection[str] | None = None,
    tables: Collection[str] | None = None,
    exclude_schemas: Collection[str] = ("warmstandby",),
    exclude_tables: Collection[str] = (),
    method: CompareMethod = CompareMethod.SORTED_ROWS,
    workers: int = 2,
) -> Comparison:
    """Compare the target's present content with the source: at an exported snapshot, or as both are now.

    Sequences do not obey snapshots: who gives `source_snapshot` also gives `source_sequences`, read by `read_sequences`
    before that snapshot was made; the target must have reached those values. `tables` and `exclude_tables` hold names
    like `schema.table`, unquoted.
    """
    if source_snapshot is not None and source_sequences is None:
        raise ValueError("source_snapshot needs source_sequences: read_sequences(source) from before the snapshot")
    started = time.monotonic()
    sequences_then = source_sequences if source_sequences is not None else await read_sequences(source_dsn)

    def is_wanted(schema: str, name: str | None = None) -> bool:
        if schema in exclude_schemas or (schemas is not None and schema not in schemas):
            return False
        return name is None or (name not in exclude_tables and (tables is None or name in tables))

    async with open_reader(source_dsn, source_snapshot) as source, open_reader(target_dsn) as target:
        names = {
            table.qualified: max(table.pages, 0)
            for reader in (source, target)
            for table in reader.tables.values()
            if is_wanted(table.schema, table.qualified)
        }
        # Small tables first: they are the ones that applications truncate.
        waiting = sorted(names, key=lambda name: (names[name], name), reverse=True)
        found: list[TableComparison] = []

        async def work() -> None:
            while waiting:
                found.append(await compare_table(source, target, waiting.pop(), method))

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    compared_sequences = compare_sequences(
        sequences_then, await read_sequences(target_dsn), await read_sequences(source_dsn)
    )
    return Comparison(
        tables=tuple(sorted(found, key=lambda table: table.name)),
        sequences=tuple(each for each in compared_sequences if is_wanted(each.name.split(".", 1)[0])),
        method=method,
        seconds=time.monotonic() - started,
    )


async def compare_table(
    source: SnapshotReader, target: SnapshotReader, name: str, method: CompareMethod
) -> TableComparison:
    """Compare one table's columns and rows."""
    here, there = source.tables.get(name), target.tables.get(name)
    if here is None:
        return TableComparison(name=name, verdict=Verdict.ONLY_ON_TARGET)
    if there is None:
        return TableComparison(name=name, verdict=Verdict.ONLY_ON_SOURCE)
    if difference := describe_columns(here, there):
        return TableComparison(name=name, verdict=Verdict.DIFFERENT, reason=difference)
    outcomes = await asyncio.gather(
        read_content(source, here, here.columns, method),
        read_content(target, there, here.columns, method),
    )
    for side, outcome in zip(("source", "target"), outcomes, strict=True):
        if isinstance(outcome, NotComparableError):
            return TableComparison(name=name, verdict=Verdict.NOT_COMPARABLE, reason=f"on the {side}: {outcome}")
    left, right = (outcome for outcome in outcomes if isinstance(outcome, Content))
    first_difference = None if left == right else await find_first_difference(source, target, here, there)
    return TableComparison(
        name=name,
        verdict=Verdict.EQUAL if left == right else Verdict.DIFFERENT,
        source_rows=left.rows,
        target_rows=right.rows,
        source_digest=left.digest,
        target_digest=right.digest,
        first_difference=first_difference,
    )


async def read_content(
    reader: SnapshotReader, table: Table, columns: tuple[str, ...], method: CompareMethod
) -> Content | NotComparableError:
    """Hash one side's rows."""
    read = reader.hash_sorted_rows if method is CompareMethod.SORTED_ROWS else reader.sum_row_hashes
    try:
        return await read(table, columns)
    except NotComparableError as error:
        return error


async def find_first_difference(
    source: SnapshotReader, target: SnapshotReader, here: Table, there: Table
) -> DifferingRow | None:
    """Read both sides again, row by row, up to the first place where they differ; None when it is gone by now."""
    lefts = source.stream_sorted_rows(here, here.columns)
    rights = target.stream_sorted_rows(there, here.columns)
    number = 0
    try:
        while True:
            number += 1
            left, right = await anext(lefts, None), await anext(rights, None)
            if left != right:
                shown = show_pair(left, right)
                return DifferingRow(number=number, columns=here.columns, source=shown[0], target=shown[1])
            if left is None:
                return None
    except NotComparableError:
        return None
    finally:
        await lefts.aclose()
        await rights.aclose()


def show_pair(left: bytes | None, right: bytes | None) -> tuple[str | None, str | None]:
    """Shorten two rows for a message: their beginning, and the place where they part."""
    if left is None or right is None:
        return shorten(left, 0), shorten(right, 0)
    parting = next((place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), 0)
    start = max(parting - SHOWN_BYTES // 4, 0)
    return shorten(left, start), shorten(right, start)


def shorten(row: bytes | None, start: int) -> str | None:
    """Show a short row whole, of a long one the beginning and a stretch from `start`."""
    if row is None or len(row) <= SHOWN_BYTES:
        return None if row is None else row.decode("utf-8", errors="replace")
    head = row[: min(SHOWN_BYTES // 4, start)].decode("utf-8", errors="replace")
    tail = row[start : start + SHOWN_BYTES].decode("utf-8", errors="replace")
    return f"{head}{' … ' if head else ''}{tail} … ({len(row)} bytes)"


def describe_columns(here: Table, there: Table) -> str | None:
    """Say how the columns differ by name or type; their order does not matter."""
    left = set(zip(here.columns, here.types, strict=True))
    right = set(zip(there.columns, there.types, strict=True))
    if left == right:
        return None
    only_left = ", ".join(sorted(f"{name} {kind}" for name, kind in left - right)) or "nothing"
    only_right = ", ".join(sorted(f"{name} {kind}" for name, kind in right - left)) or "nothing"
    return f"columns only on the source: {only_left}; only on the target: {only_right}"


def compare_sequences(
    source_then: Mapping[str, Sequence], target: Mapping[str, Sequence], source_now: Mapping[str, Sequence]
) -> list[SequenceComparison]:
    """Compare where sequences stand: the target must have reached what the source had given out at `then`."""
    found: list[SequenceComparison] = []
    for name in sorted(source_then.keys() | target.keys()):
        then, there = source_then.get(name), target.get(name)
        if then is None:
            # Made after `then`, and already carried over; or the target's own.
            verdict = Verdict.AHEAD if name in source_now else Verdict.ONLY_ON_TARGET
        elif there is None:
            verdict = Verdict.ONLY_ON_SOURCE if name in source_now else Verdict.NOT_COMPARABLE
        else:
            verdict = judge_sequence(then, there, source_now.get(name, then))
        found.append(
            SequenceComparison(
                name=name,
                verdict=verdict,
                source_next=then.next_value if then else None,
                target_next=there.next_value if there else None,
                reason=explain_sequence(then, there, verdict),
            )
        )
    return found


def judge_sequence(then: Sequence, there: Sequence, now: Sequence) -> Verdict:
    """Say where the target's sequence stands; one that cycles must lie between the source's values of then and now."""
    if (then.increment, then.cycle) != (there.increment, there.cycle):
        return Verdict.DIFFERENT
    if there.next_value == then.next_value:
        return Verdict.EQUAL
    steps = (there.next_value - then.next_value) * (1 if then.increment > 0 else -1)
    if not then.cycle:
        return Verdict.AHEAD if steps > 0 else Verdict.BEHIND
    length = then.highest - then.lowest + 1
    allowed = (now.next_value - then.next_value) * (1 if then.increment > 0 else -1)
    return Verdict.AHEAD if steps % length <= allowed % length else Verdict.BEHIND


def explain_sequence(then: Sequence | None, there: Sequence | None, verdict: Verdict) -> str | None:
    """Say what the two values alone do not tell."""
    if then is None or there is None or verdict in GOOD:
        return None
    if verdict is Verdict.BEHIND:
        return "it cycles, and the target is not where the source was in the meantime" if then.cycle else None
    return (
        f"increment {then.increment}, {'cycles' if then.cycle else 'does not cycle'} on the source;"
        f" increment {there.increment}, {'cycles' if there.cycle else 'does not cycle'} on the target"
    )
