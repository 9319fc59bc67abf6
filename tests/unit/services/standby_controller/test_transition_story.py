"""The story of a change of roles, told from journals: results, phases, who and why; and how people read it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.commands.explain import describe_transition
from services.standby_controller.api.transition_models import TransitionAnswer
from services.standby_controller.policy.transition_story import (
    Evidence,
    JournalLine,
    Topic,
    Transition,
    TransitionResult,
    tell_transition,
)
from services.standby_controller.transition_events import events_of_entry
from shared.node.model import JournalEntry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_numbers = itertools.count(1)


def line(node: str, kind: str, step: str, outcome: str = "done", **more: Any) -> JournalLine:
    number = next(_numbers)
    entry = JournalEntry(
        seq=number,
        at=NOON + timedelta(seconds=number),
        transition_id="t",
        kind=kind,
        step=step,
        outcome=outcome,
        **more,
    )
    return JournalLine(node, entry)


def tell(*lines: JournalLine, **more: Any) -> Transition:
    return tell_transition(lines, **more)


def test_a_failover_is_over_when_the_node_serves() -> None:
    """Whatever its hooks do after that."""
    lines = [
        line("b", "failover", "asked", detail="a is silent", data={"is_by_hand": False}),
        line("b", "failover", "open", "begun", data={"epoch": "18"}),
        line("b", "failover", "open", "failed", detail="the server is starting"),
        line("b", "failover", "open", "begun", data={"epoch": "18"}),
        line("b", "failover", "open", seconds=0.25),
        line("b", "hook", "start_application", "failed", detail="exit code 1"),
    ]
    told = tell(*reversed(lines))
    assert (told.kind, told.node, told.result) == ("failover", "b", TransitionResult.SUCCEEDED)
    assert (told.started_at, told.ended_at) == (lines[0].entry.at, lines[4].entry.at)
    assert (told.why, told.term_epoch, told.attempts, told.is_by_hand) == ("a is silent", 18, 2, False)
    opened = told.phases[1]
    assert (opened.step, opened.outcome, opened.seconds, opened.times) == ("open", "done", 0.25, 2)


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ([line("b", "failover", "asked")], TransitionResult.RUNNING),
        ([line("b", "failover", "asked"), line("b", "failover", "abandoned")], TransitionResult.ABANDONED),
        ([line("a", "fence", "asked"), line("a", "fence", "prove", "failed")], TransitionResult.RUNNING),
        ([line("a", "fence", "asked"), line("a", "fence", "prove")], TransitionResult.SUCCEEDED),
        ([line("a", "handover", "prove"), line("a", "handover", "handover_abandoned")], TransitionResult.ABANDONED),
        ([line("a", "return", "follow")], TransitionResult.SUCCEEDED),
    ],
)
def test_how_a_transition_stands(lines: list[JournalLine], result: TransitionResult) -> None:
    """By its last act, or the word that it was given up."""
    assert tell(*lines).result is result


def test_what_the_node_did_not_end_is_over_when_it_goes_on_with_another() -> None:
    """A crash left no last line."""
    told = tell(line("b", "failover", "asked"), superseded=frozenset({"b"}))
    assert told.result is TransitionResult.ABANDONED


def test_a_switchover_is_one_story_of_both_nodes_and_a_failback_when_the_primary_is_back() -> None:
    """The node that is promoted leads, the phases are those of both."""
    lines = [
        line("a", "switchover", "asked", data={"is_by_hand": True, "why": "ann asked"}),
        line("b", "handover", "close", "begun"),
        line("b", "handover", "close"),
        line("a", "switchover", "open"),
    ]
    told = tell(*lines, primary="a")
    assert (told.kind, told.node, told.is_by_hand, told.why) == ("failback", "a", True, "ann asked")
    assert [(phase.node, phase.step) for phase in told.phases] == [("a", "asked"), ("b", "close"), ("a", "open")]
    assert tell(*lines, primary="b").kind == "switchover"


def test_each_transition_is_told_when_it_begins_and_when_it_ends() -> None:
    """Once each; the acts between them are for the history."""
    entries = [
        line("b", "failover", "asked", detail="a is silent").entry,
        line("b", "failover", "stop_apply").entry,
        line("b", "failover", "open", "begun").entry,
        line("b", "failover", "open").entry,
        line("b", "hook", "post_promote").entry,
        line("a", "fence", "prove", "failed", detail="somebody is inside").entry,
    ]
    events = [
        event for number, entry in enumerate(entries) for event in events_of_entry(entry, "b", is_first=number == 0)
    ]
    assert [(event.kind.value, event.severity.value) for event in events] == [
        ("transition_begun", "critical"),
        ("transition_done", "critical"),
        ("transition_failed", "critical"),
    ]
    assert events[0].text == "A failover of b begins: a is silent"


def test_people_read_it_in_about_ten_lines() -> None:
    """What, when, who, why, evidence of both nodes, phases, loss, what to do."""
    look = {"peer": "a", "state": "active", "term_epoch": 1, "round_trip_seconds": 0.01}
    looks = [
        {**look, "at": "2026-01-01T11:59:50.000000Z", "result": "ok"},
        *({**look, "at": f"2026-01-01T11:59:5{n}.000000Z", "result": "peer_unreachable"} for n in (5, 7, 9)),
    ]
    evidence = [
        Evidence("b", Topic.LOOKS, NOON, {"looks": looks}),
        Evidence("a", Topic.LOOKS, NOON, {"looks": []}),
        Evidence(
            "b",
            Topic.DECISION,
            NOON,
            {
                "requested_by": "the controller",
                "estimated_loss_seconds": 120,
                "gate": [{"code": "x", "passed": True}, {"code": "y", "passed": False, "text": "the clock is off"}],
            },
        ),
        Evidence("a", Topic.LOSS, NOON, {"rows": 12}),
    ]
    told = tell(
        line("b", "failover", "asked", detail="a is silent"),
        line("b", "failover", "open", seconds=0.02),
        evidence=evidence,
    )
    text = list(describe_transition(TransitionAnswer.of(told).model_dump(mode="json")))
    assert 8 <= len(text) <= 12
    shown = "\n".join(text)
    for words in (
        "failover of b succeeded",
        "decided by  the controller on b",
        "why         a is silent",
        "on b: 1 of 2 checks passed; not: the clock is off",
        "b saw a active at 11:59:50.000, then 3 times peer_unreachable",
        "a saw nothing in the minute before",
        "b: open 0.02 s",
        "the copy was 120 s old; 12 rows, rescued",
        "GET /v1/rescues",
    ):
        assert words in shown, shown


def test_a_clock_that_is_set_meanwhile_is_not_in_the_duration() -> None:
    """Nor is the difference of two nodes' clocks: one node's monotonic clock tells it, unless it was booted."""
    lines = [
        line("a", "handover", "prepare", monotonic_seconds=70_000.0),
        line("b", "switchover", "asked", monotonic_seconds=100.0),
        line("b", "switchover", "open", monotonic_seconds=102.5),
    ]
    set_back = lines[2].entry.model_copy(update={"at": NOON + timedelta(hours=1)})
    lines[2] = JournalLine("b", set_back)
    assert tell(*lines).duration_seconds == 2.5
    booted = set_back.model_copy(update={"monotonic_seconds": 5.0, "at": lines[1].entry.at + timedelta(seconds=7)})
    assert tell(*lines[:2], JournalLine("b", booted)).duration_seconds == 7.0
    assert tell(*lines[:2]).duration_seconds is None
