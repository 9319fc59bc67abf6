"""A node serves only on evidence and stops only on evidence: the table row by row, by chance, and as a pair."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.node.model import State, Term
from shared.node.observation import Contact, Databases, Observation, PeerSeen, Start
from shared.node.reasons import SENTENCES, Reason
from shared.node.transitions import TRANSITIONS, Decision, Event, decide, observe
from shared.settings import Mode

OURS, THEIRS = Term(epoch=17, owner="one"), Term(epoch=18, owner="two")

SILENT = PeerSeen("two", Contact.SILENT)
UNCLEAR = PeerSeen("two", Contact.UNCLEAR)
NOT_ASKED = PeerSeen("two", Contact.NOT_ASKED)
NEW = PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.UNINITIALISED, None)
FOLLOWER = PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.STANDBY, OURS)
GRANTED = replace(FOLLOWER, has_granted=True)
OWNER = PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.ACTIVE, THEIRS)
LOWER_OWNER = replace(OWNER, term=Term(epoch=2, owner="two"))
PROMOTING = replace(FOLLOWER, state=State.PROMOTING)
WITNESS = PeerSeen("three", Contact.ANSWERED, Mode.SECONDARY, State.STANDBY, THEIRS)

FRESH = Observation("one", Mode.PRIMARY, State.UNINITIALISED, Reason.NEW, None, 1, ())
SECOND = replace(FRESH, node_id="one", mode=Mode.SECONDARY, first_epoch=2)
ACTIVE = replace(FRESH, state=State.ACTIVE, reason=Reason.FIRST_NODE, term=OURS)
WAITING = replace(ACTIVE, state=State.WAITING, reason=Reason.BOOTED)
STANDBY = replace(SECOND, state=State.STANDBY, reason=Reason.UNSEEDED, term=OURS)
LOST = replace(FRESH, state=State.FENCED, reason=Reason.STATE_LOST)
EMPTY, IN_USE = Databases.EMPTY, Databases.IN_USE


@pytest.mark.parametrize(
    ("seen", "state", "reason"),
    [
        # the first node of a pair
        (replace(FRESH, peers=(NEW,)), State.ACTIVE, Reason.FIRST_NODE),
        (FRESH, State.ACTIVE, Reason.FIRST_NODE),
        (replace(FRESH, peers=(NOT_ASKED,)), State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (replace(FRESH, peers=(SILENT,)), State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (replace(FRESH, peers=(UNCLEAR,)), State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (replace(FRESH, peers=(NEW, replace(SILENT, node_id="three"))), State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (replace(FRESH, peers=(replace(NEW, state=State.FENCED),)), State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (replace(FRESH, peers=(replace(NEW, mode=Mode.PRIMARY),)), State.UNINITIALISED, Reason.MODE_CONFLICT),
        (replace(FRESH, peers=(replace(OWNER, mode=Mode.PRIMARY),)), State.UNINITIALISED, Reason.MODE_CONFLICT),
        # a new node of a known pair
        (replace(SECOND, peers=(NEW,)), State.UNINITIALISED, Reason.WAITS_FOR_PRIMARY),
        (replace(SECOND, peers=(SILENT,)), State.UNINITIALISED, Reason.WAITS_FOR_PRIMARY),
        (replace(SECOND, peers=(OWNER,)), State.UNINITIALISED, Reason.WAITS_FOR_DATABASES),
        (replace(SECOND, peers=(OWNER,), databases=EMPTY), State.STANDBY, Reason.UNSEEDED),
        (replace(FRESH, peers=(OWNER,), databases=EMPTY), State.STANDBY, Reason.UNSEEDED),
        (replace(SECOND, peers=(OWNER,), databases=IN_USE), State.DEMOTING, Reason.CLOSING),
        (replace(FRESH, peers=(FOLLOWER,), databases=IN_USE), State.DEMOTING, Reason.CLOSING),
        # a lost record is judged again
        (replace(LOST, peers=(OWNER,), term=THEIRS), State.FENCED, Reason.STATE_LOST),
        (replace(LOST, peers=(OWNER,), term=THEIRS, databases=IN_USE), State.FENCED, Reason.STATE_LOST),
        (replace(LOST, peers=(OWNER,), term=THEIRS, databases=EMPTY), State.STANDBY, Reason.UNSEEDED),
        (replace(LOST, peers=(SILENT,), databases=EMPTY), State.FENCED, Reason.STATE_LOST),
        (replace(LOST, peers=(NEW,), databases=EMPTY), State.FENCED, Reason.STATE_LOST),
        # a restart goes on, a boot asks first
        (replace(ACTIVE, start=Start.RESTART, peers=(SILENT,)), State.ACTIVE, Reason.FIRST_NODE),
        (replace(ACTIVE, start=Start.BOOT, peers=(FOLLOWER,)), State.WAITING, Reason.BOOTED),
        (replace(ACTIVE, start=Start.RESTART, peers=(OWNER,)), State.DEMOTING, Reason.CLOSING),
        # an active node
        (replace(ACTIVE, peers=(SILENT,)), State.ACTIVE, Reason.FIRST_NODE),
        (replace(ACTIVE, peers=(OWNER,)), State.DEMOTING, Reason.CLOSING),
        (replace(ACTIVE, peers=(WITNESS,)), State.ACTIVE, Reason.FIRST_NODE),
        (replace(ACTIVE, peers=(LOWER_OWNER,)), State.ACTIVE, Reason.FIRST_NODE),
        # a booted node
        (replace(WAITING, peers=(FOLLOWER,)), State.WAITING, Reason.PEERS_SILENT),
        (replace(WAITING, peers=(FOLLOWER,), waited_seconds=1e6), State.WAITING, Reason.PEERS_SILENT),
        (replace(WAITING, peers=(GRANTED,)), State.ACTIVE, Reason.PEERS_AGREE),
        (replace(WAITING, peers=(GRANTED,), eligible=frozenset({"two"})), State.ACTIVE, Reason.PEERS_AGREE),
        (replace(WAITING, peers=(GRANTED,), eligible=frozenset({"three"})), State.WAITING, Reason.PEERS_SILENT),
        (replace(WAITING, peers=(OWNER,)), State.FENCED, Reason.SUPERSEDED),
        (replace(WAITING, peers=(WITNESS,)), State.WAITING, Reason.TERM_HEARD),
        (replace(WAITING, peers=(PROMOTING,)), State.WAITING, Reason.PEER_PROMOTING),
        (replace(WAITING, peers=(LOWER_OWNER,)), State.WAITING, Reason.PEER_ACTIVE),
        (replace(WAITING, peers=(UNCLEAR,), waited_seconds=1e6), State.WAITING, Reason.PEER_UNCLEAR),
        (replace(WAITING, peers=(SILENT,), waited_seconds=29.9), State.WAITING, Reason.PEERS_SILENT),
        (replace(WAITING, peers=(NOT_ASKED,), waited_seconds=1e6), State.WAITING, Reason.PEERS_SILENT),
        (replace(WAITING, peers=(SILENT,), waited_seconds=30.0), State.ACTIVE, Reason.GRACE_OVER),
        (
            replace(WAITING, peers=(SILENT,), waited_seconds=1e6, eligible=frozenset({"two"})),
            State.WAITING,
            Reason.NO_ACTIVE_NODE,
        ),
        # a standby
        (replace(STANDBY, peers=(OWNER,)), State.STANDBY, Reason.FOLLOWS),
        (replace(STANDBY, peers=(SILENT,)), State.STANDBY, Reason.UNSEEDED),
    ],
)
def test_the_state_follows_from_what_is_seen(seen: Observation, state: State, reason: Reason) -> None:
    decision = decide(seen)
    assert (decision.state, decision.reason) == (state, reason)


def test_the_first_term_comes_from_the_nodes_own_class() -> None:
    """Two nodes never own the same epoch."""
    assert decide(replace(FRESH, peers=(NEW,))).term == Term(epoch=1, owner="one")


def test_a_follower_adopts_the_term_of_the_owner() -> None:
    assert decide(replace(SECOND, peers=(OWNER,), databases=EMPTY)).term == THEIRS
    assert decide(replace(STANDBY, peers=(OWNER,))).term == THEIRS


def test_a_number_in_somebody_elses_mouth_fences_nobody() -> None:
    """Only the owner itself, asked at its address, ends the service of an active node."""
    assert decide(replace(ACTIVE, peers=(WITNESS, SILENT))).term == OURS


def test_every_reason_has_a_sentence_and_every_row_an_end() -> None:
    assert set(SENTENCES) == set(Reason)
    assert {row.state for row in TRANSITIONS.values()} == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)


def _only_possible(seen: Observation) -> Observation:
    """Only what can be: no term before the first, and a handover only of a node that is closed for one."""
    seen = replace(seen, term=None) if seen.state is State.UNINITIALISED else seen
    return seen if seen.state is State.DEMOTING else replace(seen, awaited=None)


terms = st.none() | st.builds(Term, epoch=st.integers(1, 40), owner=st.sampled_from(["one", "two", "three"]))
peers_seen = st.builds(
    PeerSeen,
    node_id=st.sampled_from(["two", "three"]),
    contact=st.just(Contact.ANSWERED),
    mode=st.sampled_from(Mode),
    state=st.sampled_from(State),
    term=terms,
    has_granted=st.booleans(),
) | st.builds(PeerSeen, node_id=st.sampled_from(["two", "three"]), contact=st.sampled_from(list(Contact)[1:]))
observations = st.builds(
    Observation,
    node_id=st.just("one"),
    mode=st.sampled_from(Mode),
    state=st.sampled_from(State),
    reason=st.sampled_from(Reason),
    term=terms,
    first_epoch=st.integers(1, 15),
    peers=st.lists(peers_seen, max_size=2, unique_by=lambda peer: peer.node_id).map(tuple),
    databases=st.sampled_from(Databases),
    start=st.sampled_from(Start),
    waited_seconds=st.floats(0, 60),
    eligible=st.frozensets(st.sampled_from(["two", "three"])),
    awaited=st.none() | st.builds(Term, epoch=st.integers(1, 40), owner=st.just("two")),
).map(_only_possible)


@given(observations)
def test_whatever_is_seen_the_rules_hold(seen: Observation) -> None:
    after = decide(seen)
    begins_to_serve = after.state is State.ACTIVE and seen.state is not State.ACTIVE
    contacts = {peer.contact for peer in seen.peers}
    if after.state is State.ACTIVE:
        assert seen.highest_owned is None
        assert after.term is not None or seen.term is None
    if begins_to_serve:
        assert seen.state in (State.UNINITIALISED, State.WAITING)
        assert all(peer.state is not State.ACTIVE for peer in seen.peers)
        assert seen.highest_heard is None
        granted = {peer.node_id for peer in seen.peers if peer.has_granted}
        if seen.state is State.WAITING and granted:
            assert seen.eligible <= granted
        elif seen.state is State.WAITING:
            assert contacts <= {Contact.SILENT}
            assert seen.waited_seconds >= seen.boot_grace_seconds
            assert not seen.eligible
        else:
            assert contacts <= {Contact.ANSWERED}
    if seen.state is State.ACTIVE and after.state is not State.ACTIVE:
        assert after.state is (State.DEMOTING if seen.highest_owned else State.WAITING)
        assert seen.highest_owned or seen.start is Start.BOOT
    if after.term != seen.term:
        assert after.term is not None
        assert after.term.is_higher_than(seen.term)
    if seen.state is State.STANDBY:
        assert after.state is State.STANDBY


@given(observations)
def test_the_same_sight_twice_changes_nothing_more(seen: Observation) -> None:
    """Otherwise a node would flicker, and write its record for ever."""
    once = settle(seen, decide(seen))
    twice = settle(once, decide(once))
    again = decide(twice)
    assert (again.state, again.reason, again.term) == (twice.state, twice.reason, twice.term)


def settle(seen: Observation, decision: Decision) -> Observation:
    awaited = seen.awaited if decision.state is State.DEMOTING and decision.event is Event.NOTHING else None
    return replace(
        seen, state=decision.state, reason=decision.reason, term=decision.term, start=Start.JUDGED, awaited=awaited
    )


@given(st.data())
def test_two_nodes_never_serve_at_once(data: st.DataObject) -> None:
    """Where nobody asks for a promotion, whatever the network does and whoever boots, at most the primary serves."""
    nodes = {
        "one": Observation("one", Mode.PRIMARY, State.UNINITIALISED, Reason.NEW, None, 1, ()),
        "two": Observation("two", Mode.SECONDARY, State.UNINITIALISED, Reason.NEW, None, 2, ()),
    }
    served: set[str] = set()
    for _ in range(data.draw(st.integers(1, 25))):
        name = data.draw(st.sampled_from(["one", "two"]))
        other = nodes["two" if name == "one" else "one"]
        contact = data.draw(st.sampled_from(Contact))
        seen = (
            PeerSeen(other.node_id, contact, other.mode, other.state, other.term)
            if contact is Contact.ANSWERED
            else PeerSeen(other.node_id, contact)
        )
        sight = replace(
            nodes[name],
            peers=(seen,),
            databases=data.draw(st.sampled_from(Databases)),
            start=data.draw(st.sampled_from(Start)),
            waited_seconds=data.draw(st.sampled_from([0.0, 99.0])),
        )
        nodes[name] = settle(sight, decide(sight))
        served |= {node.node_id for node in nodes.values() if node.state is State.ACTIVE}
    assert len(served) <= 1


def test_an_event_without_a_row_changes_nothing() -> None:
    assert observe(replace(STANDBY, peers=(SILENT,))) is Event.NOTHING
    assert (State.STANDBY, Event.NOTHING) not in TRANSITIONS
