"""Which event is told to whom, when it goes out, and how often it is tried: the tables of notifications."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.policy.delivery import (
    Delivery,
    DeliveryState,
    Outcome,
    after_attempt,
    is_failing,
    pause_seconds,
    to_resend,
)
from services.standby_controller.policy.notice import (
    LONGEST_INCIDENT,
    NOTICES,
    Default,
    Incident,
    Part,
    Told,
    Wishes,
    addressees,
    place,
    title_of,
    topic_of,
    wants,
)
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FOLD = 600.0
OPS = Wishes("ops")


def told(kind: str, severity: Severity = Severity.CRITICAL, subject: str | None = "a") -> Told:
    """Return an event of a kind."""
    return Told(f"pair/1/{kind}/k", kind, severity, subject)


def at(seconds: float) -> datetime:
    """Return a moment after noon."""
    return NOON + timedelta(seconds=seconds)


def test_every_kind_of_event_has_its_row() -> None:
    """A kind that is added says how it is told."""
    assert set(EventKind) - set(NOTICES) == set()


def test_who_closes_has_somebody_who_opens() -> None:
    """In each topic that anything closes, something opens."""
    opened = {notice.topic for notice in NOTICES.values() if notice.part is Part.OPENS}
    assert {notice.topic for notice in NOTICES.values() if notice.part is Part.CLOSES} <= opened


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sync_failed", True),
        ("sync_succeeded", False),
        ("sync_skipped", True),
        ("peer_lost", True),
        ("peer_back", True),
        ("transition_begun", True),
        ("transition_done", True),
        ("transition_failed", True),
        ("protected", True),
        ("unprotected", True),
        ("disarmed", True),
        ("rescue_saved", True),
        ("clock_skew", True),
        ("data_old", True),
        ("verification_failed", True),
        ("channel_failing", True),
        ("digest", True),
        ("config_changed", False),
        ("notification_test", False),
        ("what_a_newer_release_tells", True),
    ],
)
def test_the_defaults_are_what_an_administrator_expects(kind: str, expected: bool) -> None:
    """Failures, refusals, changes of roles and recoveries; not each completed sync."""
    assert wants(OPS, told(kind), None) is expected


@pytest.mark.parametrize(
    ("wishes", "event", "is_open", "expected"),
    [
        (Wishes("ops", Severity.CRITICAL), told("sync_failed", Severity.WARNING), None, False),
        (Wishes("ops", Severity.CRITICAL), told("peer_back", Severity.INFO), True, True),
        (Wishes("ops", Severity.CRITICAL), told("peer_back", Severity.INFO), False, False),
        (Wishes("ops", Severity.CRITICAL), told("digest", Severity.INFO), None, True),
        (Wishes("ops", exclude=("digest",)), told("digest", Severity.INFO), None, False),
        (Wishes("ops", exclude=("peer_back",)), told("peer_back", Severity.INFO), True, False),
        (Wishes("ops", include=("sync_succeeded",)), told("sync_succeeded", Severity.INFO), None, True),
        (OPS, told("sync_succeeded", Severity.INFO), True, True),
        (OPS, told("channel_failing", Severity.WARNING, "ops"), None, False),
        (OPS, told("channel_failing", Severity.WARNING, "hook"), None, True),
        (Wishes("ops", include=("channel_failing",)), told("channel_failing", subject="ops"), None, False),
    ],
)
def test_a_channel_gets_what_it_wants(wishes: Wishes, event: Told, is_open: bool | None, expected: bool) -> None:
    """Whoever heard of a beginning hears of the end; no channel tells of itself."""
    incident = None if is_open is None else Incident("x", is_open, NOON, NOON, NOON, frozenset({"peer_lost"}))
    assert wants(wishes, event, incident) is expected


def test_the_first_of_each_kind_goes_out_at_once_and_repeats_are_held() -> None:
    """Until the window ends; after it the next one goes out, and a new window begins."""
    first = place(told("peer_lost"), None, NOON, FOLD)
    assert (first.held_until, first.incident.is_open) == (None, True)
    second = place(told("peer_back"), first.incident, at(5), FOLD)
    assert (second.held_until, second.incident.is_open) == (None, False)
    third = place(told("peer_lost"), second.incident, at(10), FOLD)
    assert (third.held_until, third.incident.id) == (at(600), first.incident.id)
    later = place(told("peer_lost"), third.incident, at(601), FOLD)
    assert (later.held_until, later.incident.window_ends_at) == (None, at(1201))
    assert place(told("peer_back"), later.incident, at(602), FOLD).held_until is None


def test_a_story_that_is_over_is_followed_by_another() -> None:
    """After a quiet time, not before; what stays open is the same story for days, and not for ever."""
    first = place(told("peer_lost"), None, NOON, FOLD).incident
    closed = place(told("peer_back"), first, at(60), FOLD).incident
    assert place(replace(told("peer_lost"), id="new"), closed, at(60 + 601), FOLD).incident.id == "new"
    assert place(replace(told("peer_lost"), id="new"), closed, at(60 + 599), FOLD).incident.id == first.id
    days = timedelta(days=3)
    assert place(replace(told("peer_lost"), id="new"), first, NOON + days, FOLD).incident.id == first.id
    long = LONGEST_INCIDENT + timedelta(seconds=1)
    assert place(replace(told("peer_lost"), id="new"), first, NOON + long, FOLD).incident.id == "new"


@given(st.lists(st.tuples(st.sampled_from(["peer_lost", "peer_back"]), st.floats(0.1, 30)), max_size=200))
def test_however_it_flaps_few_letters_go_out(steps: list[tuple[str, float]]) -> None:
    """At most two for each window that was begun; and none is held without an end."""
    incident, now, sent, windows = None, NOON, 0, 1
    for kind, pause in steps:
        now += timedelta(seconds=pause)
        placed = place(told(kind), incident, now, FOLD)
        if incident is not None and placed.incident.window_ends_at != incident.window_ends_at:
            windows += 1
        sent += placed.held_until is None
        assert placed.held_until is None or now < placed.held_until <= now + timedelta(seconds=FOLD)
        incident = placed.incident
    assert sent <= 2 * windows


def test_nothing_is_folded_where_the_window_is_nought() -> None:
    """Each event is told."""
    incident = place(told("peer_lost"), None, NOON, 0).incident
    assert place(told("peer_lost"), incident, NOON, 0).held_until is None


def test_an_event_goes_to_each_channel_by_that_ones_story() -> None:
    """The topic is the node's; one channel has heard of it, the other not."""
    heard = place(told("peer_lost"), None, NOON, FOLD).incident
    found = dict(addressees(told("peer_lost"), [OPS, Wishes("new")], {("ops", "peer a"): heard}, at(1), FOLD))
    assert (found["ops"].held_until, found["new"].held_until) == (at(600), None)
    assert topic_of(told("peer_lost")) == topic_of(told("peer_agent_down")) == "peer a"
    assert title_of("peer_lost", "a") == "node a does not answer"
    assert title_of("what_is_new", None) == "what is new"


def test_every_row_is_reasonable() -> None:
    """A kind that tells of a recovery only closes something."""
    assert all(one.part is Part.CLOSES for one in NOTICES.values() if one.default is Default.RECOVERY)


# Attempts ------------------------------------------------------------------------------------------------------------

WAITING = Delivery("ops", "i", DeliveryState.WAITING, NOON, NOON)


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"),
    [
        (1, 0.5, 10),
        (2, 0.5, 20),
        (3, 0.5, 40),
        (9, 0.5, 2560),
        (10, 0.5, 3600),
        (500, 0.5, 3600),
        (1, 0, 8),
        (1, 1, 12),
    ],
)
def test_pauses_double_up_to_an_hour(attempts: int, chance: float, seconds: float) -> None:
    """A fifth to either side."""
    assert pause_seconds(attempts, chance) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("outcome", "after_hours", "state"),
    [
        (Outcome(), 0, DeliveryState.SENT),
        (Outcome(problem="silent"), 0, DeliveryState.WAITING),
        (Outcome(problem="silent"), 23.9, DeliveryState.WAITING),
        (Outcome(problem="silent"), 24, DeliveryState.DEAD),
        (Outcome(problem="410", is_final=True), 0, DeliveryState.DEAD),
        (Outcome(delivered=("a",), refused={"b": "550 no"}), 0, DeliveryState.DEAD),
        (Outcome(problem="b: 451", delivered=("a",)), 0, DeliveryState.WAITING),
    ],
)
def test_an_attempt_comes_to_a_state(outcome: Outcome, after_hours: float, state: DeliveryState) -> None:
    """Sent, to be tried again, or dead."""
    now = NOON + timedelta(hours=after_hours)
    after = after_attempt(WAITING, outcome, now, give_up_hours=24, chance=0.5)
    assert (after.state, after.attempts) == (state, 1)
    if state is DeliveryState.WAITING:
        assert after.next_attempt_at == now + timedelta(seconds=10)


def test_a_recipient_who_has_it_is_never_forgotten() -> None:
    """However the next attempts go; and a dead one begins anew for those who are left."""
    first = after_attempt(WAITING, Outcome("b: 451", ("a",)), NOON, give_up_hours=24, chance=0.5)
    second = after_attempt(first, Outcome("silent"), NOON, give_up_hours=24, chance=0.5)
    third = after_attempt(second, Outcome(refused={"b": "550 no"}), NOON, give_up_hours=24, chance=0.5)
    assert (third.delivered, third.refused, third.state) == (("a",), {"b": "550 no"}, DeliveryState.DEAD)
    assert third.problem == "b: 550 no"
    again = to_resend(third, at(5))
    assert (again.delivered, again.refused, again.attempts, again.queued_at) == (("a",), {}, 0, at(5))


@pytest.mark.parametrize(("failures", "expected"), [(0, False), (2, False), (3, True), (9, True)])
def test_a_channel_fails_when_it_failed_several_times(failures: int, expected: bool) -> None:
    """One that is away for a moment is not told of."""
    assert is_failing(failures) is expected
