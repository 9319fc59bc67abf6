"""The detector: what a series of looks at a peer amounts to, and how long that takes at most."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.standby_controller.policy.detector import (
    DATABASE_GRACE_SECONDS,
    Door,
    FailureKind,
    Look,
    Pace,
    Series,
    Way,
    add_life_sign,
    add_look,
    begin_anew,
    count_misses,
    diagnose,
    kind_of,
    way_of,
    worst_case_detection_seconds,
)

A, S, R, G, N = Door.ANSWERED, Door.SILENT, Door.REFUSED, Door.GARBLED, Door.NOT_ASKED
LOOK_SECONDS = 3.0
PAUSE_SECONDS = 2.0


def look(
    agent: Door = S,
    controller: Door = S,
    references: Door = A,
    database: Door = N,
    *,
    at: float = 0.0,
    is_database_healthy: bool = True,
    is_application_healthy: bool = True,
) -> Look:
    return Look(
        at,
        at + LOOK_SECONDS,
        agent,
        controller,
        database,
        references,
        is_database_healthy=is_database_healthy,
        is_application_healthy=is_application_healthy,
    )


WELL = look(A, N, N)
FIRST = look(S, N, N)


def series_of(*looks: Look, start: float = 100.0) -> Series:
    """Return the series of looks that follow each other at the pace of re-checks."""
    series, at = Series(), start
    for one in looks:
        series = add_look(series, replace(one, began_seconds=at, ended_seconds=at + LOOK_SECONDS))
        at += LOOK_SECONDS + PAUSE_SECONDS
    return series


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (WELL, FailureKind.WELL),
        (look(A, N, N, is_database_healthy=False), FailureKind.DATABASE_DOWN),
        (look(A, N, N, is_application_healthy=False), FailureKind.APPLICATION_DOWN),
        (look(A, N, N, is_database_healthy=False, is_application_healthy=False), FailureKind.DATABASE_DOWN),
        (look(S, S, A), FailureKind.SILENT),
        (look(S, S, N), FailureKind.SILENT),  # no reference target is configured
        (look(S, S, A, S), FailureKind.SILENT),
        (look(S, S, S), FailureKind.SELF_ISOLATED),
        (look(S, A, A), FailureKind.AGENT_DOWN),
        (look(S, A, S), FailureKind.AGENT_DOWN),  # its controller answers, so we are not cut off
        (look(S, S, A, A), FailureKind.AGENT_DOWN),  # its database serves on
        (look(R, N, N), FailureKind.REFUSED_US),
        (look(S, R, A), FailureKind.REFUSED_US),
        (look(G, N, N), FailureKind.PROTOCOL),
        (look(G, A, A), FailureKind.PROTOCOL),
        (look(G, G, A), FailureKind.PROTOCOL),
        (look(S, G, A), FailureKind.PROTOCOL),
        (look(S, S, A, G), FailureKind.PROTOCOL),
        (look(G, S, A), FailureKind.SILENT),  # no life sign, and the second opinion is silent too
        (look(G, S, S), FailureKind.SELF_ISOLATED),
        (FIRST, FailureKind.SILENT),
    ],
)
def test_each_answer_of_the_doors_is_a_kind(seen: Look, kind: FailureKind) -> None:
    """As the table of kinds has it."""
    assert kind_of(seen) is kind


@pytest.mark.parametrize(
    ("looks", "kind", "count", "is_certain"),
    [
        ((), FailureKind.UNKNOWN, 0, False),
        ((WELL,), FailureKind.WELL, 0, False),
        ((WELL, FIRST), FailureKind.SILENT, 1, False),
        ((FIRST, look()), FailureKind.SILENT, 2, False),
        ((FIRST, look(), look()), FailureKind.SILENT, 3, True),
        ((FIRST, look(), WELL, look()), FailureKind.SILENT, 1, False),
        ((FIRST, look(), look(R, N, N), look()), FailureKind.SILENT, 1, False),
        ((FIRST, FIRST, FIRST), FailureKind.SILENT, 3, False),  # without a second opinion never
        ((FIRST, look(), look(S, A)), FailureKind.AGENT_DOWN, 1, False),
        ((FIRST, look(S, A), look(S, A)), FailureKind.AGENT_DOWN, 3, True),
        ((FIRST, look(S, A), look()), FailureKind.SILENT, 1, False),  # its controller answered a moment ago
        ((FIRST, look(S, S, S), look(S, S, S)), FailureKind.SELF_ISOLATED, 3, True),
        ((FIRST, look(S, S, S), look()), FailureKind.SILENT, 1, False),  # our own link has only just come back
        ((look(G, N, N), look(G, S), look(G, S)), FailureKind.SILENT, 3, True),
        ((look(R, N, N),) * 3, FailureKind.REFUSED_US, 3, True),
        ((look(A, N, N, is_database_healthy=False),) * 3, FailureKind.DATABASE_DOWN, 3, True),
        ((FIRST, look(), look(A, N, N, is_database_healthy=False)), FailureKind.DATABASE_DOWN, 1, False),
    ],
)
def test_failures_in_a_row_that_agree_become_certain(
    looks: tuple[Look, ...], kind: FailureKind, count: int, is_certain: bool
) -> None:
    """Three of them; one that disagrees begins the count anew."""
    found = diagnose(series_of(*looks), 3)
    assert (found.kind, found.count, found.is_certain) == (kind, count, is_certain)
    if count:
        assert found.since_seconds == found.evidence[0].began_seconds


def test_misses_are_looks_without_a_life_sign() -> None:
    """A refusal is one: somebody is there."""
    assert count_misses(series_of(FIRST, look(G, S), look())) == 3
    assert count_misses(series_of(FIRST, look(R, N, N))) == 0
    assert count_misses(series_of(look(R, N, N), FIRST)) == 1


def test_what_was_seen_while_this_process_slept_is_forgotten() -> None:
    """Also the look that was under way: its deadline ran out in our sleep."""
    series = series_of(FIRST, look())  # they began at 100 and 105
    asleep = replace(look(), began_seconds=110.0, ended_seconds=400.0)
    after = add_look(begin_anew(series, 399.0), asleep)
    assert diagnose(after, 3).kind is FailureKind.UNKNOWN
    for at in (401.0, 406.0, 411.0):
        assert not diagnose(after, 3).is_certain
        after = add_look(after, replace(look(), began_seconds=at, ended_seconds=at + 3))
    assert diagnose(after, 3).is_certain
    assert begin_anew(after, 300.0) == after  # an older pause takes nothing away again


def test_a_life_sign_of_another_kind_ends_a_silence() -> None:
    """An export that answers is one; the look that it fell into proves nothing."""
    series = add_life_sign(series_of(FIRST, look()), 108.5)
    assert diagnose(series, 3).count == 0
    assert add_look(series, replace(look(), began_seconds=108.0, ended_seconds=111.0)) == series
    assert diagnose(add_look(series, replace(look(), began_seconds=109.0, ended_seconds=112.0)), 3).count == 1


def test_a_life_sign_does_not_mend_a_database() -> None:
    """The agent answers all the time; what it says of its database stands."""
    down = look(A, N, N, is_database_healthy=False)
    assert diagnose(add_life_sign(series_of(down, down, down), 1000.0), 3).is_certain


def test_looks_on_demand_do_not_hurry_the_count() -> None:
    """Somebody who starts three syncs while the peer is silent must not cause a failover."""
    series = Series()
    for at in (100.0, 100.1, 100.2, 101.0):
        series = add_look(series, replace(look(), began_seconds=at, ended_seconds=at), spacing_seconds=1.0)
    assert diagnose(series, 3).count == 2


@pytest.mark.parametrize(
    ("kind_of_look", "lasted", "way"),
    [
        (look(), 0.0, Way.UNPLANNED),
        (look(S, S, S), 1e6, Way.NONE),
        (look(S, A), 59.9, Way.NONE),
        (look(S, A), 60.0, Way.CLOSED_FIRST),
        (look(A, N, N, is_database_healthy=False), DATABASE_GRACE_SECONDS - 0.1, Way.NONE),
        (look(A, N, N, is_database_healthy=False), DATABASE_GRACE_SECONDS, Way.ORDERED),
        (look(A, N, N, is_application_healthy=False), 1e6, Way.NONE),
        (look(R, N, N), 1e6, Way.NONE),
        (look(G, A), 1e6, Way.NONE),
    ],
)
def test_each_kind_has_its_way(kind_of_look: Look, lasted: float, way: Way) -> None:
    """And where none is due there is none."""
    found = diagnose(series_of(kind_of_look, kind_of_look, kind_of_look), 3)
    assert found.since_seconds is not None
    now = found.since_seconds + lasted
    assert way_of(found, now, agent_down_seconds=60.0, takes_over_for_application=False) is way
    assert way_of(replace(found, is_certain=False), now, agent_down_seconds=60.0, takes_over_for_application=True) is (
        Way.NONE
    )


def test_an_application_that_is_down_is_taken_over_where_the_pair_wants_it() -> None:
    """The default is an alarm."""
    down = look(A, N, N, is_application_healthy=False)
    found = diagnose(series_of(down, down, down), 3)
    assert way_of(found, 1e6, agent_down_seconds=60.0, takes_over_for_application=True) is Way.ORDERED


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Pace(5.0, 3.0, 2.0, 3), 18.0),
        (Pace(1.0, 1.0, 0.5, 3), 5.0),
        (Pace(5.0, 3.0, 2.0, 1), 8.0),
    ],
)
def test_the_worst_case_is_that_of_the_formula(pace: Pace, seconds: float) -> None:
    """Interval + N x timeout + (N - 1) x recheck."""
    assert worst_case_detection_seconds(pace) == seconds


doors = st.sampled_from(Door)
looks = st.builds(
    look, doors, doors, doors, doors, is_database_healthy=st.booleans(), is_application_healthy=st.booleans()
)


@given(st.lists(looks, max_size=12), st.integers(1, 5))
@example([look(S, N, A, A), look(S, S, A, N)], 2)
def test_nobody_is_called_dead_who_gave_a_life_sign(seen: list[Look], failures: int) -> None:
    """In each look of the evidence for a silence no door of the peer answered, and a second one was asked."""
    found = diagnose(series_of(*seen), failures)
    if found.kind is FailureKind.SILENT and found.is_certain:
        assert found.count >= failures
        assert found.evidence[-1].has_second_opinion
        for one in found.evidence:
            assert one.agent not in (Door.ANSWERED, Door.REFUSED)
            assert one.controller in (Door.SILENT, Door.NOT_ASKED)
            assert one.database not in (Door.ANSWERED, Door.REFUSED)
            assert not one.has_second_opinion or one.references is not Door.SILENT
