"""The merge of settings and tokens: whatever is delivered in whatever order, all nodes come to the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.standby_controller.known_pair import EMPTY, KnownPair
from services.standby_controller.pair_document import PairDocument, parse_document
from services.standby_controller.pair_groups import Narrower
from services.standby_controller.policy.narrowing import narrow, widened
from services.standby_controller.policy.pair_merge import (
    FIRST,
    canonical,
    is_overruled,
    merge_books,
    merge_settings,
    succeed,
)
from shared.node.pair import LINEAGE_LENGTH, ConfigVersion, PairBook, PairSettings, PairToken

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NODES = ("a", "b", "c")

versions = some.builds(
    ConfigVersion, epoch=some.integers(0, 3), version=some.integers(1, 4), node_id=some.sampled_from(NODES)
)
instants = some.integers(0, 5).map(lambda minutes: NOON + timedelta(minutes=minutes))
settings = some.builds(
    PairSettings,
    document=some.dictionaries(some.sampled_from(["sync", "monitor"]), some.integers(0, 2), max_size=2),
    version=versions,
    changed_at=instants,
    changed_by=some.sampled_from(["ann", "bob"]),
    lineage=some.lists(versions, max_size=2).map(tuple),
)
tokens = some.builds(
    PairToken,
    id=some.sampled_from(["t1", "t2", "t3"]),
    name=some.just("name"),
    role=some.just("viewer"),
    secret_sha256=some.sampled_from(["0" * 64, "f" * 64]),
    created_at=some.just(NOON),
    expires_at=some.none(),
    made_on=some.sampled_from(NODES),
    deleted_at=some.none() | instants,
)
books = some.builds(
    PairBook,
    settings=settings,
    tokens=some.lists(tokens, max_size=3, unique_by=lambda token: token.id).map(
        lambda found: tuple(sorted(found, key=lambda token: token.id))
    ),
)


@given(books, books, books)
def test_the_merge_is_a_join(one: PairBook, other: PairBook, third: PairBook) -> None:
    """Commutative, associative, idempotent."""
    assert merge_books(one, other) == merge_books(other, one)
    assert merge_books(merge_books(one, other), third) == merge_books(one, merge_books(other, third))
    assert merge_books(one, one) == one
    assert merge_books(one, merge_books(one, other)) == merge_books(one, other)


@given(some.lists(some.tuples(some.sampled_from(NODES), some.sampled_from(NODES), some.booleans()), max_size=30))
def test_nodes_that_talk_in_any_order_converge(happenings: list[tuple[str, str, bool]]) -> None:
    """Changes made on any node, messages lost, doubled and late: after one round of all with all, all hold the same."""
    held = dict.fromkeys(NODES, EMPTY)
    sent: list[PairBook] = []
    for number, (node, other, is_change) in enumerate(happenings):
        if is_change:
            changed = succeed(held[node].settings, {"sync": number}, epoch=0, node_id=node, changed_by=node, now=NOON)
            assert merge_settings(changed, held[node].settings) == changed
            held[node] = held[node].model_copy(update={"settings": changed})
            sent.append(held[node])
        elif sent:
            held[other] = merge_books(held[other], sent[number % len(sent)])
        else:
            held[other] = merge_books(held[other], held[node])
    everything = EMPTY
    for book in (*held.values(), *sent):
        everything = merge_books(everything, book)
    for _ in range(2):
        for node in NODES:
            for other in NODES:
                held[node] = merge_books(held[node], held[other])
    for node in NODES:
        assert canonical(held[node].settings) == canonical(max(held.values(), key=canonical).settings)
    assert len({canonical(book) for book in held.values()}) == 1
    assert merge_books(everything, held["a"]) == everything


def _change(base: PairSettings, node: str, *, epoch: int = 1, value: int = 1) -> PairSettings:
    return succeed(base, {"sync": value}, epoch=epoch, node_id=node, changed_by=node, now=NOON)


def test_the_higher_epoch_wins_then_the_version_then_the_node() -> None:
    """In this order, whoever says it."""
    base = _change(EMPTY.settings, "a")
    by_epoch, by_version = _change(base, "a", epoch=17), _change(_change(_change(base, "a"), "a"), "a")
    by_node = (_change(base, "a"), _change(base, "b"))
    assert merge_settings(by_epoch, by_version) == by_epoch
    assert merge_settings(by_version, by_node[1]) == by_version
    assert merge_settings(*by_node) == by_node[1]


def test_what_was_made_from_a_change_does_not_overrule_it() -> None:
    """Only a change that its winner did not know of is lost."""
    base = _change(EMPTY.settings, "a")
    later = _change(_change(base, "b"), "a", value=3)
    assert not is_overruled(base, later)
    assert not is_overruled(EMPTY.settings, later)
    assert is_overruled(_change(base, "a", value=2), _change(base, "b"))
    assert not is_overruled(_change(base, "a"), _change(base, "b"))  # both say the same
    last = base
    for _ in range(LINEAGE_LENGTH + 10):
        last = _change(last, "a", value=9)
    assert len(last.lineage) == LINEAGE_LENGTH
    assert not is_overruled(base, last)


def test_a_deleted_token_stays_deleted() -> None:
    """Whoever still holds it as living."""
    token = PairToken(id="t", name="n", role="admin", secret_sha256="0" * 64, created_at=NOON)
    living = PairBook(settings=EMPTY.settings, tokens=(token,))
    dead = PairBook(settings=EMPTY.settings, tokens=(token.model_copy(update={"deleted_at": NOON}),))
    assert merge_books(merge_books(living, dead), living) == dead


async def test_settings_that_widen_the_right_to_promote_wait_for_the_active_node() -> None:
    """A standby uses the narrower value until the active node has recorded the wider; a narrower one counts at once."""
    known = KnownPair("b", ("a",))
    narrower = succeed(EMPTY.settings, {"failover": {"failures": 5}}, epoch=1, node_id="b", changed_by="ann", now=NOON)
    await known.take(PairBook(settings=narrower))
    assert known.effective("a").failover.failures == 5
    assert (known.not_yet_on, known.not_in_effect("a")) == (("a",), ())
    await known.note_recorded("a", PairBook(settings=narrower))
    assert known.not_yet_on == ()
    wide = succeed(narrower, {"failover": {"failures": 2}}, epoch=1, node_id="b", changed_by="ann", now=NOON)
    await known.take(PairBook(settings=wide))
    assert known.effective("a").failover.failures == 5
    assert known.not_in_effect("a") == ("failover.failures",)
    assert known.effective("b").failover.failures == 2  # this node is active itself
    await known.note_recorded("a", PairBook(settings=wide))
    assert known.effective("a").failover.failures == 2


async def test_an_active_node_that_recorded_nothing_goes_by_the_defaults() -> None:
    """So a standby that was changed before they met may not use a wider right than those."""
    known = KnownPair("b", ("a",))
    wide = succeed(EMPTY.settings, {"failover": {"failures": 1}}, epoch=0, node_id="b", changed_by="x", now=NOON)
    await known.take(PairBook(settings=wide))
    assert known.effective("a").failover.failures == 3
    assert known.effective(None).failover.failures == 1


def test_the_defaults_are_the_same_whoever_wrote_them_when() -> None:
    """They are no change."""
    assert EMPTY.settings.version == FIRST
    assert KnownPair("a", ("b",)).not_yet_on == ()


WIDENING = [
    # setting, narrower, wider
    ("policy", "keep_in_standby", "promote"),
    ("armed", False, True),
    ("maintenance", True, False),
    ("failures", 5, 2),
    ("recheck_seconds", 3.0, 0.5),
    ("agent_down_seconds", 90.0, 10.0),
    ("application_down", "alarm", "takeover"),
    ("cooldown_seconds", 900.0, 0.0),
    ("data_age_limit_seconds", 4000, 9000),
    ("fence_peer_required", True, False),
]


@pytest.mark.parametrize(("name", "narrower", "wider"), WIDENING)
def test_of_two_values_the_one_counts_that_gives_less_right_to_promote(name: str, narrower: Any, wider: Any) -> None:
    """Whichever of them is new."""
    one, other = (parse_document({"failover": {name: value}}) for value in (narrower, wider))
    assert narrow(other, one) == narrow(one, other) == one
    assert widened(other, one) == (f"failover.{name}",)
    assert widened(one, other) == ()


def test_every_setting_that_widens_is_in_the_table_above() -> None:
    """A new one is tried, too."""
    marked = {
        name
        for group in PairDocument.model_fields.values()
        for name, field in group.annotation.model_fields.items()  # type: ignore[union-attr]
        if any(isinstance(mark, Narrower) for mark in field.metadata)
    }
    assert marked == {name for name, _, _ in WIDENING}


@pytest.mark.parametrize(
    ("present", "recorded", "counting"), [(None, 4000, 4000), (9000, None, 7200), (4000, None, 4000)]
)
def test_a_limit_that_follows_from_other_settings_is_taken_at_its_least(
    present: int | None, recorded: int | None, counting: int
) -> None:
    """By default two intervals, and at least two hours: as nobody can tell which is less, the least counts."""
    one, other = (parse_document({"failover": {"data_age_limit_seconds": value}}) for value in (present, recorded))
    assert narrow(one, other).failover.data_age_limit_seconds == counting
