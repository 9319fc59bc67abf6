"""When a copy is compared in the background, how slowly, and what is told of what was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.standby_controller.policy.verification import due_components, is_time_left, pause_seconds
from services.standby_controller.severity import Severity
from services.standby_controller.verify.model import Comparison, Difference, DifferenceKind, Order
from services.standby_controller.verify.telling import events_of_comparison
from shared.replication.verification import HeldTable, Level

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLEAN = Comparison("shop", Level.FULL, compared=("public.item",), rows=9)
PASSED = ("verification_passed", Severity.INFO)
ROW = Difference(DifferenceKind.ROWS, "public.item", "1 changed; keys 7 to 7", 9, 9, 0, 0, 1, "7", "7")


def test_a_component_is_due_when_its_last_whole_comparison_is_too_old() -> None:
    """What is not known is not due, and with 0 days nothing is."""
    compared_at = {"old": NOW - timedelta(days=8), "young": NOW - timedelta(days=6), "unknown": None}
    names = ("unknown", "young", "old", "never copied")
    assert due_components(names, compared_at, NOW, 7) == ("old",)
    assert due_components(names, compared_at, NOW, 0) == ()


@pytest.mark.parametrize(
    ("left_seconds", "interval_seconds", "may_begin"),
    [(121, 3600, True), (119, 3600, False), (-1, 3600, False), (16, 60, True), (14, 60, False)],
)
def test_a_part_begins_only_well_before_the_next_sync(
    left_seconds: float, interval_seconds: float, may_begin: bool
) -> None:
    """Else that sync would be left out, and told."""
    next_run_at = NOW + timedelta(seconds=left_seconds)
    assert is_time_left(NOW, next_run_at, interval_seconds) is may_begin
    assert is_time_left(NOW, None, interval_seconds)


@pytest.mark.parametrize(("share", "pause"), [(1.0, 0.0), (0.5, 60.0), (0.25, 180.0)])
def test_the_pause_leaves_the_work_its_share_of_the_time(share: float, pause: float) -> None:
    assert pause_seconds(60.0, share) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("found", "had_open", "told"),
    [
        (CLEAN, False, [PASSED]),
        (replace(CLEAN, next_after="public.item"), False, []),
        (replace(CLEAN, level=Level.CHANGED), False, []),
        (replace(CLEAN, level=Level.CHANGED), True, [PASSED]),
        (replace(CLEAN, differences=(ROW,)), True, [("verification_failed", Severity.CRITICAL)]),
        (
            replace(CLEAN, differences=(replace(ROW, is_repaired=True),)),
            False,
            [("verification_failed", Severity.WARNING), PASSED],
        ),
        (
            replace(CLEAN, differences=(replace(ROW, is_expected=True),)),
            False,
            [PASSED],
        ),
        (replace(CLEAN, problem_code="x", problem_text="why"), False, [("verification_failed", Severity.WARNING)]),
    ],
)
def test_what_is_told(found: Comparison, had_open: bool, told: list[tuple[str, Severity]]) -> None:
    """A difference always, that all is well where it was not or where all was compared: not after each sync."""
    events = events_of_comparison(found, "b.1", NOW, had_open=had_open)
    assert [(event.kind.value, event.severity) for event in events] == told
    assert {event.subject for event in events} <= {"shop"}


def test_an_event_names_table_rows_and_keys() -> None:
    (event,) = events_of_comparison(replace(CLEAN, differences=(ROW,) * 7), "b.1", NOW, had_open=False)
    assert "rows of public.item: 1 changed; keys 7 to 7" in event.text
    assert event.text.endswith("and 2 more")
    assert event.data["differences"][0]["first_key"] == "7"


def test_an_order_wishes_of_each_component_what_it_names() -> None:
    order = Order(Level.FULL, tables={"shop": frozenset({"public.item"})}, components=frozenset({"shop", "mail"}))
    shop, mail = order.wish_for("shop"), order.wish_for("mail")
    assert shop is not None
    assert shop.tables == frozenset({"public.item"})
    assert mail is not None
    assert mail.tables == frozenset()
    assert order.wish_for("other") is None


@pytest.mark.parametrize(("rows", "bits"), [(-1, 0), (999, 0), (1000, 1), (5_000_000, 12), (10**9, 12)])
def test_large_tables_are_divided_into_more_parts(rows: int, bits: int) -> None:
    table = HeldTable(
        number=0, schema_name="public", name="item", columns=(), key=("id",), is_followed=True, estimated_rows=rows
    )
    assert table.bits == bits
    assert table.model_copy(update={"key": ()}).bits == 0
