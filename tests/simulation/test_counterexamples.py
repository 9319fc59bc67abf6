"""The ways to two serving nodes, or to none, that the search has found in earlier rules, and where they end now."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.simulation.moves import Moves
from tests.simulation.rules import Rules
from tests.simulation.test_model import start
from tests.simulation.world import Budget, World

PLENTY = Budget(*[9] * len(Budget._fields))
BOOTS = ("one: host dies", "one: host boots", "one: agent starts, is waiting", "one: judges, is waiting")
HANDED_OVER = (
    "two: switches over",
    "two: asks one to prepare",
    "one: closes",
    "one: end_sessions done, is demoting",
    "one: prove done, is demoting",
    "two: sees one closed",
    "two: commits",
    "two: takes the term",
)


@dataclass(frozen=True)
class Trace:
    """Steps, what must not follow them, and what does instead."""

    why: str
    steps: tuple[str, ...]
    forbidden: str
    instead: str
    scene: str = "pair"
    is_eligible: bool = True


TRACES = (
    Trace(
        "an agent whose databases its controller closed took its own restart for a reason to open them",
        ("one: agent dies", "one: controller closes for its dead agent", "one: agent starts, is waiting"),
        "one: judges, is active",
        "one: judges, is waiting",
    ),
    Trace(
        "an active agent that has just started calls itself waiting, while its databases stand open",
        ("one: agent dies", "one: agent starts, is waiting", "two: is promoted by hand"),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
    ),
    Trace(
        "a node that is being fenced is not active any more, and not closed yet",
        ("one: is fenced", "two: is promoted by hand"),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
    ),
    Trace(
        "two promotions did not see each other, because neither was active yet",
        (*BOOTS, "one: is forced", "one: look_around done, is promoting", "two: is promoted by hand"),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
    ),
    Trace(
        "a node that waited and was heard before the term was taken could go on serving just then",
        (*BOOTS, "two: is promoted by hand"),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
        is_eligible=False,
    ),
    Trace(
        "a takeover counted a node as closed that waits after a boot, and goes on when it hears nobody",
        (*BOOTS, "two: takes over by hand"),
        "two: sees one closed",
        "two: orders one to fence",
        is_eligible=False,
    ),
    Trace(
        "a promotion past the point of no return was carried on after a boot, whoever had been promoted since",
        (
            *HANDED_OVER,
            "one: judges, is standby",
            "one: is promoted by hand",
            "two: host dies",
            "one: look_around done, is promoting",
            "one: takes the term",
            "two: host boots",
            "two: agent starts, is waiting",
        ),
        "two: opens",
        "two: judges, is demoting",
        is_eligible=False,
    ),
    Trace(
        "an owner that was forced anew forgot that the standby may promote itself",
        (
            *BOOTS,
            "one: is forced",
            "one: look_around done, is promoting",
            "one: takes the term",
            "one: host dies",
            "two: misses one",
            "link one-two cut",
            "one: host boots",
            "one: agent starts, is waiting",
            "one: judges, is waiting",
        ),
        "one: judges after the grace, is active",
        "one: judges after the grace, is waiting",
    ),
    Trace(
        "a node that had lost its record told the one it took over from that the attempt was abandoned",
        (*HANDED_OVER, "two: agent dies", "two: record lost", "two: agent starts, is uninitialised"),
        "two: tells one that the attempt is abandoned",
        "two: judges, is demoting",
        is_eligible=False,
    ),
    Trace(
        "nobody was forced beside a node whose record is lost while its databases stand open",
        ("one: agent dies", "one: record lost", "one: agent starts, is uninitialised", "two: is forced"),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
    ),
    Trace(
        "of three, one closed for another's attempt opens when that one gives up",
        (
            "link one-two cut",
            "two: misses one",
            "link one-two healed",
            "two: fails over",
            "three: switches over",
            "three: asks one to prepare",
            "one: closes",
            "one: end_sessions done, is demoting",
            "one: prove done, is demoting",
            "three: gives up waiting",
        ),
        "two: look_around done, is promoting",
        "two: gives up at look_around",
        scene="three",
    ),
    Trace(
        "of three, one closed for another's promotion, which happened, was taken over from once more",
        (
            "two: takes over",
            "two: orders one to fence",
            "one: closes",
            "one: end_sessions done, is demoting",
            "one: prove done, is fenced",
            "two: sees one closed",
            "two: commits",
            "two: takes the term",
            "two: host dies",
            "three: takes over by hand",
        ),
        "three: sees one closed",
        "three: gives up waiting",
        scene="three",
    ),
    Trace(
        "of three, one that had booted served on by a grant while another one was only about to be closed",
        (
            "link one-two cut",
            "two: misses one",
            "three: takes over by hand",
            "three: orders one to fence",
            "one: closes",
            "one: end_sessions done, is demoting",
            "one: prove done, is fenced",
            "three: sees one closed",
            "three: commits",
            "three: takes the term",
            "one: judges, is fenced",
            "three: host dies",
            "two: fails over",
            "two: look_around done, is promoting",
            "two: takes the term",
            "two: opens",
            "three: host boots",
            "three: agent starts, is waiting",
            "two: judges, is demoting",
            "three: judges, is waiting",
            "three: has the grant of one",
        ),
        "three: judges, is active",
        "two: stop_application done, is demoting",
        scene="three",
    ),
)


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.why.replace(" ", "-"))
def test_it_does_not_happen_again(trace: Trace) -> None:
    moves = Moves(Rules())
    world = start(moves.rules, trace.scene, PLENTY, is_eligible=trace.is_eligible)
    for step in trace.steps:
        offered = _offered(moves, world)
        assert step in offered, f"{step}: not among {sorted(offered)}"
        world = offered[step]
    offered = _offered(moves, world)
    assert trace.forbidden not in offered
    assert trace.instead in offered, sorted(offered)


def _offered(moves: Moves, world: World) -> dict[str, World]:
    return dict(moves.all(world))
