"""What stops a sync: which loss is not believed, which database is another one, and when the disk has no room."""

from __future__ import annotations

import pytest

from services.standby_controller.policy.guards import (
    ShrinkLimits,
    find_disk_shortage,
    find_lost_tables,
    find_other_database,
    find_shrinkage,
    may_have_shrunk,
)
from shared.replication.model import SourceIdentity

LIMITS = ShrinkLimits()
STRICT = ShrinkLimits(max_table_rows_lost_share=0.5)
LENIENT = ShrinkLimits(max_rows_lost_share=1, max_tables_lost_share=1)
WORLD = {"public.account": 10_000, "public.job": 2_000, "public.note": 10}


@pytest.mark.parametrize(
    ("after", "limits", "told"),
    [
        (WORLD, LIMITS, None),
        ({"public.account": 10_000, "public.job": 0, "public.note": 0}, LIMITS, None),
        ({"public.account": 4_000, "public.job": 2_000, "public.note": 10}, LIMITS, None),
        ({"public.account": 3_990, "public.job": 2_000, "public.note": 10}, LIMITS, "account 10,000 to 3,990"),
        ({"public.account": 0, "public.job": 0, "public.note": 0}, LENIENT, "the source is empty"),
        ({"public.account": 0, "public.job": 0, "public.note": 1}, LENIENT, None),
        ({"public.account": 10_000, "public.job": 900, "public.note": 10}, LIMITS, None),
        ({"public.account": 10_000, "public.job": 900, "public.note": 10}, STRICT, "job 2,000 to 900"),
        ({"public.account": 10_000, "public.job": 2_000, "public.note": 0}, STRICT, None),
        ({"public.account": 0, "public.job": 9_000, "public.note": 0, "public.new": 9_000}, LIMITS, None),
    ],
    ids=[
        "nothing is lost", "small tables may be emptied", "just the share", "more than the share", "an empty source",
        "one row is left", "a queue that was worked off", "asked for each table", "a table under the least rows",
        "as many rows elsewhere",
    ],
)  # fmt: skip
def test_rows_that_were_lost(after: dict[str, int], limits: ShrinkLimits, told: str | None) -> None:
    """The share of all rows counts, that of each table only where it was set; an empty source is never believed."""
    reason = find_shrinkage(WORLD, after, limits)
    assert reason is None if told is None else told in (reason or "")


def test_a_small_database_may_lose_all_but_a_row() -> None:
    """It has too few rows for a share to say anything, but none at all is none."""
    assert find_shrinkage({"public.note": 900}, {"public.note": 1}, LIMITS) is None
    assert find_shrinkage({"public.note": 1}, {"public.note": 0}, LIMITS) is not None
    assert find_shrinkage({"public.note": 0}, {"public.note": 0}, LIMITS) is None


@pytest.mark.parametrize(
    ("after", "limits", "is_refused"),
    [
        (("public.account", "public.job"), LIMITS, False),
        (("public.account",), LIMITS, True),
        (("shop.account", "shop.job", "shop.note"), LIMITS, False),
        ((), LENIENT, False),
    ],
    ids=["one of three", "two of three", "all renamed", "asked for nothing"],
)
def test_tables_that_were_lost(after: tuple[str, ...], limits: ShrinkLimits, is_refused: bool) -> None:
    """Their number counts: a table that was renamed is not lost."""
    reason = find_lost_tables(WORLD, dict.fromkeys(after, 0), limits)
    assert (reason is not None) is is_refused
    assert not is_refused or "public.job" in (reason or "")


@pytest.mark.parametrize(
    ("lost", "known", "limits", "is_counted"),
    [
        ({}, WORLD, LIMITS, False),
        ({"public.note": 10}, WORLD, LIMITS, False),
        ({"public.account": 3_100}, WORLD, LIMITS, True),
        ({"public.note": 1}, {"public.note": 0}, LIMITS, True),
        ({"public.job": 600}, WORLD, LIMITS, False),
        ({"public.job": 600}, WORLD, STRICT, True),
    ],
    ids=["nothing", "little", "near the limit", "nothing is known", "little of all", "near the limit of its table"],
)
def test_rows_are_counted_only_where_it_may_matter(
    lost: dict[str, int], known: dict[str, int], limits: ShrinkLimits, is_counted: bool
) -> None:
    """Counting costs time, so the server's notes are enough as long as they could be wrong by half."""
    assert may_have_shrunk(lost, known, limits) is is_counted


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (
            SourceIdentity(system_identifier="7", database_oid=5),
            SourceIdentity(system_identifier="7", database_oid=5),
            None,
        ),
        (
            SourceIdentity(system_identifier="7", database_oid=5),
            SourceIdentity(system_identifier="7", database_oid=6),
            "made anew since the last sync: its oid was 5 and is 6",
        ),
        (
            SourceIdentity(system_identifier="7", database_oid=5),
            SourceIdentity(system_identifier="8", database_oid=5),
            "its system identifier was 7 and is 8",
        ),
        (None, SourceIdentity(system_identifier="7", database_oid=5), None),
        (SourceIdentity(system_identifier="7", database_oid=5), None, None),
    ],
    ids=["the same", "made anew", "another server", "from an earlier release", "by an earlier release"],
)
def test_another_database(before: SourceIdentity | None, now: SourceIdentity | None, told: str | None) -> None:
    """A database is known by its server's identifier and its own number; what is not known is no refusal."""
    reason = find_other_database("one", before, now)
    assert reason is None if told is None else told in (reason or "")


@pytest.mark.parametrize(
    ("needed", "free", "is_refused"),
    [
        (10**9, 12 * 10**8, False),
        (10**9, 11 * 10**8, False),
        (10**9, 109 * 10**7, True),
        (None, 0, False),
        (1, None, False),
    ],
    ids=["room", "just room", "no room", "size not known", "free space not known"],
)
def test_room_for_a_full_copy(needed: int | None, free: int | None, is_refused: bool) -> None:
    """The live copy stays until the new one takes its place, and the floor stays free."""
    reason = find_disk_shortage(needed_bytes=needed, free_bytes=free, floor_bytes=10**8, live_bytes=2 * 10**9)
    assert (reason is not None) is is_refused
    assert not is_refused or ("needs about 1.0 GB" in (reason or "") and "2.0 GB is kept" in (reason or ""))
