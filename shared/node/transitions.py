"""How a node's state changes: one pure table, read by one function over one observation. No clock, no I/O.

A row says which event moves which state where, and why. A pair without a row stays as it is. Nothing here starts to
serve on absence of evidence, or stops on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from shared.node.model import State, Term
from shared.node.observation import Contact, Databases, Observation, Start
from shared.node.reasons import Reason
from shared.settings import Mode


class Event(StrEnum):
    """What an observation amounts to, for the state it is made in."""

    NOTHING = "nothing"
    PEERS_MISSING = "peers_missing"
    ALL_NEW = "all_new"
    PRIMARY_MISSING = "primary_missing"
    TWO_PRIMARIES = "two_primaries"
    PAIR_KNOWN_DATABASES_UNKNOWN = "pair_known_databases_unknown"
    PAIR_KNOWN_DATABASES_EMPTY = "pair_known_databases_empty"
    PAIR_KNOWN_DATABASES_IN_USE = "pair_known_databases_in_use"
    RESTARTED = "restarted"
    BOOTED = "booted"
    HIGHER_TERM_OWNED = "higher_term_owned"
    HIGHER_TERM_HEARD = "higher_term_heard"
    PEER_PROMOTING = "peer_promoting"
    PEER_ACTIVE = "peer_active"
    PEER_UNCLEAR = "peer_unclear"
    PEERS_GRANT = "peers_grant"
    PEERS_SILENT = "peers_silent"
    GRACE_OVER = "grace_over"
    GRACE_OVER_ELIGIBLE = "grace_over_eligible"
    # what the own controller, a peer or an administrator asks for
    TAKE_OVER_ASKED = "take_over_asked"
    SWITCH_OVER_ASKED = "switch_over_asked"
    FORCE_ASKED = "force_asked"
    HANDOVER_ASKED = "handover_asked"
    FENCE_ASKED = "fence_asked"
    UNFENCE_ASKED = "unfence_asked"
    # how a promotion or a demotion goes on
    TERM_TAKEN = "term_taken"
    OPENED = "opened"
    CLOSE_PROVED = "close_proved"
    CLOSE_FAILED = "close_failed"
    HANDOVER_ACCEPTED = "handover_accepted"
    HANDOVER_ABANDONED = "handover_abandoned"
    HANDOVER_UNANSWERED = "handover_unanswered"
    HANDOVER_OVERTAKEN = "handover_overtaken"
    RESYNCED = "resynced"


class TermRule(StrEnum):
    """What becomes of the term."""

    KEEP = "keep"
    FIRST = "first"
    ADOPT = "adopt"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a row leads; without a reason the present one stays."""

    state: State
    reason: Reason | None
    term: TermRule = TermRule.KEEP


TRANSITIONS: Final[Mapping[tuple[State, Event], Transition]] = MappingProxyType(
    {
        (State.UNINITIALISED, Event.PEERS_MISSING): Transition(State.UNINITIALISED, Reason.WAITS_FOR_PEERS),
        (State.UNINITIALISED, Event.PRIMARY_MISSING): Transition(State.UNINITIALISED, Reason.WAITS_FOR_PRIMARY),
        (State.UNINITIALISED, Event.TWO_PRIMARIES): Transition(State.UNINITIALISED, Reason.MODE_CONFLICT),
        (State.UNINITIALISED, Event.ALL_NEW): Transition(State.ACTIVE, Reason.FIRST_NODE, TermRule.FIRST),
        (State.UNINITIALISED, Event.PAIR_KNOWN_DATABASES_UNKNOWN): Transition(
            State.UNINITIALISED, Reason.WAITS_FOR_DATABASES
        ),
        (State.UNINITIALISED, Event.PAIR_KNOWN_DATABASES_EMPTY): Transition(
            State.STANDBY, Reason.UNSEEDED, TermRule.ADOPT
        ),
        (State.UNINITIALISED, Event.PAIR_KNOWN_DATABASES_IN_USE): Transition(
            State.DEMOTING, Reason.CLOSING, TermRule.ADOPT
        ),
        (State.FENCED, Event.PAIR_KNOWN_DATABASES_EMPTY): Transition(State.STANDBY, Reason.UNSEEDED, TermRule.ADOPT),
        (State.FENCED, Event.HIGHER_TERM_OWNED): Transition(State.FENCED, None, TermRule.ADOPT),
        (State.STANDBY, Event.HIGHER_TERM_OWNED): Transition(State.STANDBY, Reason.FOLLOWS, TermRule.ADOPT),
        (State.ACTIVE, Event.HIGHER_TERM_OWNED): Transition(State.DEMOTING, Reason.CLOSING, TermRule.ADOPT),
        (State.ACTIVE, Event.RESTARTED): Transition(State.ACTIVE, None),
        (State.ACTIVE, Event.BOOTED): Transition(State.WAITING, Reason.BOOTED),
        (State.WAITING, Event.HIGHER_TERM_OWNED): Transition(State.FENCED, Reason.SUPERSEDED, TermRule.ADOPT),
        (State.WAITING, Event.HIGHER_TERM_HEARD): Transition(State.WAITING, Reason.TERM_HEARD),
        (State.WAITING, Event.PEER_PROMOTING): Transition(State.WAITING, Reason.PEER_PROMOTING),
        (State.WAITING, Event.PEER_ACTIVE): Transition(State.WAITING, Reason.PEER_ACTIVE),
        (State.WAITING, Event.PEER_UNCLEAR): Transition(State.WAITING, Reason.PEER_UNCLEAR),
        (State.WAITING, Event.PEERS_SILENT): Transition(State.WAITING, Reason.PEERS_SILENT),
        (State.WAITING, Event.GRACE_OVER_ELIGIBLE): Transition(State.WAITING, Reason.NO_ACTIVE_NODE),
        (State.WAITING, Event.PEERS_GRANT): Transition(State.ACTIVE, Reason.PEERS_AGREE),
        (State.WAITING, Event.GRACE_OVER): Transition(State.ACTIVE, Reason.GRACE_OVER),
        (State.STANDBY, Event.TAKE_OVER_ASKED): Transition(State.PROMOTING, Reason.TAKING_OVER),
        (State.STANDBY, Event.SWITCH_OVER_ASKED): Transition(State.PROMOTING, Reason.SWITCHING_OVER),
        (State.UNINITIALISED, Event.FORCE_ASKED): Transition(State.PROMOTING, Reason.FORCED),
        (State.STANDBY, Event.FORCE_ASKED): Transition(State.PROMOTING, Reason.FORCED),
        (State.FENCED, Event.TAKE_OVER_ASKED): Transition(State.PROMOTING, Reason.TAKING_OVER),
        (State.FENCED, Event.FORCE_ASKED): Transition(State.PROMOTING, Reason.FORCED),
        (State.WAITING, Event.FORCE_ASKED): Transition(State.PROMOTING, Reason.FORCED),
        (State.DEMOTING, Event.FORCE_ASKED): Transition(State.PROMOTING, Reason.FORCED),
        (State.PROMOTING, Event.RESTARTED): Transition(State.PROMOTING, None),
        (State.PROMOTING, Event.BOOTED): Transition(State.WAITING, Reason.BOOTED),
        (State.PROMOTING, Event.HIGHER_TERM_OWNED): Transition(State.DEMOTING, Reason.CLOSING, TermRule.ADOPT),
        (State.PROMOTING, Event.TERM_TAKEN): Transition(State.PROMOTING, None, TermRule.OWN),
        (State.PROMOTING, Event.OPENED): Transition(State.ACTIVE, Reason.PROMOTED),
        (State.ACTIVE, Event.HANDOVER_ASKED): Transition(State.DEMOTING, Reason.HANDING_OVER),
        (State.ACTIVE, Event.FENCE_ASKED): Transition(State.DEMOTING, Reason.CLOSING),
        (State.WAITING, Event.FENCE_ASKED): Transition(State.DEMOTING, Reason.CLOSING),
        (State.DEMOTING, Event.HIGHER_TERM_OWNED): Transition(State.DEMOTING, Reason.CLOSING, TermRule.ADOPT),
        (State.DEMOTING, Event.CLOSE_PROVED): Transition(State.FENCED, None),
        (State.DEMOTING, Event.CLOSE_FAILED): Transition(State.ACTIVE, Reason.FENCE_INCOMPLETE),
        (State.DEMOTING, Event.HANDOVER_ACCEPTED): Transition(State.STANDBY, Reason.FOLLOWS, TermRule.ADOPT),
        (State.DEMOTING, Event.HANDOVER_ABANDONED): Transition(State.ACTIVE, Reason.TAKEN_BACK),
        (State.DEMOTING, Event.HANDOVER_UNANSWERED): Transition(State.DEMOTING, Reason.IN_DOUBT),
        (State.DEMOTING, Event.HANDOVER_OVERTAKEN): Transition(State.FENCED, Reason.SUPERSEDED, TermRule.ADOPT),
        (State.FENCED, Event.UNFENCE_ASKED): Transition(State.ACTIVE, Reason.UNFENCED),
        (State.FENCED, Event.RESYNCED): Transition(State.STANDBY, Reason.FOLLOWS),
    }
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the node is from now on."""

    state: State
    reason: Reason | None
    term: Term | None
    event: Event = Event.NOTHING


def decide(seen: Observation) -> Decision:
    """Return what the node is from now on; the same as before where no row moves it."""
    event = observe(seen)
    row = TRANSITIONS.get((seen.state, event))
    if row is None:
        return Decision(seen.state, seen.reason, seen.term, event)
    term = seen.term
    if row.term is TermRule.FIRST:
        term = Term(epoch=seen.first_epoch, owner=seen.node_id)
    elif row.term is TermRule.ADOPT:
        term = seen.highest_owned or seen.highest_heard or seen.term
    return Decision(row.state, row.reason or seen.reason, term, event)


def observe(seen: Observation) -> Event:
    """Return what the observation amounts to, the gravest first."""
    if seen.state is State.UNINITIALISED:
        return _observe_uninitialised(seen)
    if seen.highest_owned is not None:
        return _observe_owner(seen, seen.highest_owned)
    match seen.state:
        case State.PROMOTING if not seen.is_bound:
            return Event.NOTHING  # asked for since the start: it goes on, or is given up, by itself
        case State.ACTIVE | State.PROMOTING:
            return {Start.RESTART: Event.RESTARTED, Start.BOOT: Event.BOOTED}.get(seen.start, Event.NOTHING)
        case State.WAITING:
            return _observe_waiting(seen)
        case State.FENCED if seen.reason is Reason.STATE_LOST and _knows_pair(seen):
            return _observe_databases(seen)
        case _:
            return Event.NOTHING


def _observe_owner(seen: Observation, term: Term) -> Event:
    """An attempt is not disturbed by what it is to overcome; a handover knows the epoch it waits for."""
    if seen.state is State.PROMOTING and not seen.is_bound:
        return Event.NOTHING
    if seen.awaited is not None:
        return Event.HANDOVER_ACCEPTED if term == seen.awaited else Event.HANDOVER_OVERTAKEN
    return Event.HIGHER_TERM_OWNED


def _observe_uninitialised(seen: Observation) -> Event:
    if seen.mode is Mode.PRIMARY and any(peer.mode is Mode.PRIMARY for peer in seen.answered):
        return Event.TWO_PRIMARIES
    if _knows_pair(seen):
        return _observe_databases(seen)
    if seen.mode is not Mode.PRIMARY:
        return Event.PRIMARY_MISSING
    if len(seen.answered) == len(seen.peers) and all(peer.state is State.UNINITIALISED for peer in seen.peers):
        return Event.ALL_NEW
    return Event.PEERS_MISSING


def _observe_databases(seen: Observation) -> Event:
    return {
        Databases.UNKNOWN: Event.PAIR_KNOWN_DATABASES_UNKNOWN,
        Databases.EMPTY: Event.PAIR_KNOWN_DATABASES_EMPTY,
        Databases.IN_USE: Event.PAIR_KNOWN_DATABASES_IN_USE,
    }[seen.databases]


def _observe_waiting(seen: Observation) -> Event:
    if seen.highest_heard is not None:
        return Event.HIGHER_TERM_HEARD
    if any(peer.state is State.PROMOTING for peer in seen.answered):
        return Event.PEER_PROMOTING
    if any(peer.state in (State.ACTIVE, State.DEMOTING) for peer in seen.answered):
        return Event.PEER_ACTIVE
    if any(peer.has_granted for peer in seen.answered) and seen.eligible <= {
        peer.node_id for peer in seen.answered if peer.has_granted
    }:
        return Event.PEERS_GRANT
    if any(peer.contact is Contact.UNCLEAR for peer in seen.peers):
        return Event.PEER_UNCLEAR
    is_early = seen.waited_seconds < seen.boot_grace_seconds
    if is_early or seen.answered or any(peer.contact is Contact.NOT_ASKED for peer in seen.peers):
        return Event.PEERS_SILENT
    return Event.GRACE_OVER_ELIGIBLE if seen.eligible else Event.GRACE_OVER


def _knows_pair(seen: Observation) -> bool:
    return any(peer.term is not None for peer in seen.answered)
