"""From whom a node copies: the owner of the highest term, and only while the node itself is a standby."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.source import Source, check_standby, find_source
from services.standby_controller.store.records import Failure
from shared.errors import NotActive, NotStandby, PeerRefusedUs, PeerUnreachable, WarmstandbyError
from shared.node.model import ClockExchange, DatabaseHealth, Heartbeat, State, Term, Versions
from shared.settings import Mode

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Term(epoch=1, owner="a")
SECOND = Term(epoch=18, owner="b")
THIRD = Term(epoch=35, owner="c")


def node(
    node_id: str, state: State | None, term: Term | None = FIRST, reach: Reach = Reach.ANSWERING, *, own: bool = False
) -> NodeFacts:
    """Return what is known of a node; without a state it never answered."""
    heartbeat = None
    if state is not None:
        heartbeat = Heartbeat(
            pair_id="pair",
            node_id=node_id,
            boot_id="boot",
            term=term,
            mode=Mode.PRIMARY,
            site="main",
            state=state,
            clock=ClockExchange(received_at=NOON, answered_at=NOON),
            database=DatabaseHealth(is_healthy=True, checked_age_seconds=0),
            uptime_seconds=1,
            versions=Versions(warmstandby="0", python="3"),
        )
    problem = None if reach is Reach.ANSWERING else Failure("x", "it is gone", "")
    return NodeFacts(node_id, Mode.PRIMARY, "main", own, reach, heartbeat, problem=problem)


OWN = node("b", State.STANDBY, own=True)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ((OWN, node("a", State.ACTIVE)), Source("a", FIRST)),
        ((node("b", State.STANDBY, None, own=True), node("a", State.ACTIVE)), Source("a", FIRST)),
        ((OWN, node("a", State.ACTIVE, reach=Reach.MISSING)), Source("a", FIRST)),  # one miss is not a loss
        ((OWN, node("a", State.FENCED), node("c", State.ACTIVE, THIRD)), Source("c", THIRD)),
        ((OWN, node("a", State.ACTIVE), node("c", State.ACTIVE, THIRD)), Source("c", THIRD)),  # the higher term wins
        ((OWN, node("a", State.FENCED), node("c", State.STANDBY)), NotActive),
        ((OWN, node("a", State.STANDBY, THIRD)), NotActive),  # who owns the term is not even known here
        ((node("b", State.STANDBY, SECOND, own=True), node("a", State.ACTIVE)), NotStandby),
        ((OWN, node("a", State.ACTIVE, reach=Reach.LOST)), PeerUnreachable),
        ((OWN, node("a", State.ACTIVE, reach=Reach.REFUSED)), PeerRefusedUs),
        ((node("b", State.STANDBY, None, own=True), node("a", None, reach=Reach.LOST)), PeerUnreachable),
        ((node("b", State.STANDBY, None, own=True), node("a", State.WAITING, None)), NotActive),
        # The owner of the highest term ever heard is silent: an active node of a lower term is not followed.
        ((OWN, node("a", State.ACTIVE), node("c", State.ACTIVE, THIRD, Reach.LOST)), PeerUnreachable),
    ],
)
def test_the_source_is_the_owner_of_the_highest_term(
    nodes: tuple[NodeFacts, ...], expected: Source | type[WarmstandbyError]
) -> None:
    """Each row is one view of the pair."""
    if isinstance(expected, Source):
        assert find_source(nodes) == expected
    else:
        with pytest.raises(expected):
            find_source(nodes)


@pytest.mark.parametrize("state", [state for state in State if state is not State.STANDBY])
def test_only_a_standby_takes_data(state: State) -> None:
    """Whatever else the node is, its data must not be overwritten."""
    with pytest.raises(NotStandby):
        check_standby(node("b", state, own=True))


def test_a_silent_own_agent_is_no_standby() -> None:
    """What it said before it fell silent counts no more."""
    with pytest.raises(PeerUnreachable, match="own agent"):
        check_standby(node("b", State.STANDBY, reach=Reach.LOST, own=True))
    check_standby(OWN)
