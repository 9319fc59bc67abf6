"""What is asked of a node, as pure changes of its record: each returns the record after, or raises why it may not be.

Where a state leads to stands in `shared/node/transitions.py`, the acts in `shared/node/steps.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from shared.errors import (
    AttemptGone,
    AttemptOpen,
    NotEligible,
    PeerNotClosed,
    PeerServes,
    StaleTerm,
    TransitionRefused,
)
from shared.node.model import (
    Attempt,
    AttemptKind,
    ClosedFor,
    Demotion,
    DemotionKind,
    NodeView,
    Prepare,
    Promote,
    State,
    Term,
)
from shared.node.reasons import SENTENCES, Reason
from shared.node.record import Record
from shared.node.steps import DEMOTION, PROMOTION, Act, act_after, is_past_return
from shared.node.transitions import TRANSITIONS, Decision, Event, TermRule
from shared.surroundings import HookName

_NODES: Final = 16
"""Epochs are congruent to the node's number modulo this: two nodes never own the same one."""
_FORGOTTEN: Final = _NODES << 20
"""Where a node that has lost its record goes on, above all that the pair can have used."""
_ASKED: Final = {
    AttemptKind.FAILOVER: Event.TAKE_OVER_ASKED,
    AttemptKind.TAKEOVER: Event.TAKE_OVER_ASKED,
    AttemptKind.SWITCHOVER: Event.SWITCH_OVER_ASKED,
    AttemptKind.FORCE: Event.FORCE_ASKED,
}


def next_epoch(number: int, *used: int) -> int:
    """Return the lowest epoch of a node's class above all that were used."""
    highest = max(used, default=0)
    epoch = highest - highest % _NODES + number
    return epoch if epoch > highest else epoch + _NODES


def reserve(record: Record, asked: Promote, number: int, heard: Iterable[Term]) -> Record:
    """Open an attempt; its epoch is above all that this node has heard of.

    Raises TransitionRefused, AttemptOpen, StaleTerm (the caller believes in another term) and NotEligible.
    """
    if record.attempt is not None:
        raise AttemptOpen(f"attempt {record.attempt.id} ({record.attempt.kind}) is on its way")
    present = None if record.term is None else record.term.epoch
    if asked.expected_epoch != present:
        raise StaleTerm(f"the caller expects term {asked.expected_epoch}, this node accepts {present}")
    if record.state is State.FENCED and not asked.may_leave_fence:
        raise TransitionRefused(f"the node is fenced: {_sentence(record)}")
    if asked.kind is AttemptKind.FORCE and record.state is State.DEMOTING and not _is_in_doubt(record):
        raise TransitionRefused("the node is being closed at this moment")
    if not asked.is_by_hand and not record.eligible.get(record.node_id, False):
        raise NotEligible("the active node has not agreed that this standby may promote itself")
    epochs = [term.epoch for term in heard]
    epoch = next_epoch(number, record.highest_epoch, present or _FORGOTTEN, *epochs)
    attempt = Attempt(
        id=asked.attempt_id,
        epoch=epoch,
        kind=asked.kind,
        step=PROMOTION[asked.kind][0],
        is_by_hand=asked.is_by_hand,
        from_state=State.FENCED if record.state is State.DEMOTING else record.state,
        from_reason=Reason.IN_DOUBT if record.state is State.DEMOTING else record.reason,
        peer=asked.peer,
        why=asked.why,
        sequence_headroom=asked.sequence_headroom,
        is_failback=asked.is_failback,
    )
    return _enter(record, _ASKED[asked.kind], attempt=attempt, demotion=None, highest_epoch=epoch)


def advance(record: Record, attempt_id: str, act: Act, *, peers: Iterable[NodeView] = ()) -> Record:
    """Note that an act of the attempt is done; taking the term is the one fsync after which it has happened.

    `peers` is what they answered during the attempt. Raises AttemptGone, PeerServes, StaleTerm, PeerNotClosed.
    """
    attempt = _open_attempt(record, attempt_id)
    if attempt.step != act:
        raise AttemptGone(f"attempt {attempt_id} is at {attempt.step}, not at {act}")
    following = act_after(PROMOTION[attempt.kind], act)
    if act is Act.TAKE_TERM:
        _check_term_is_free(record, attempt, peers)
        assert following is not None
        return _enter(
            record,
            Event.TERM_TAKEN,
            term=Term(epoch=attempt.epoch, owner=record.node_id),
            attempt=attempt.model_copy(update={"step": following}),
            eligible=_still_eligible(record),
        )
    if act is Act.LOOK_AROUND:
        _check_term_is_free(record, attempt, peers)
    if following is Act.SERVE:
        last = (HookName.POST_FAILBACK,) if attempt.is_failback else ()
        hooks = (HookName.START_APPLICATION, HookName.POST_PROMOTE, *last)
        return _enter(record, Event.OPENED, attempt=None, pending_hooks=hooks)
    assert following is not None, "to serve is the last act"
    return record.model_copy(update={"attempt": attempt.model_copy(update={"step": following})})


def see_peer_closed(record: Record, attempt_id: str, peer: NodeView) -> Record:
    """Note that the node that hands over is closed for just this attempt: it reopens only when told so here."""
    attempt = _open_attempt(record, attempt_id)
    if peer.node_id != attempt.peer or not _is_closed(peer, attempt, record):
        return record
    return record.model_copy(update={"attempt": attempt.model_copy(update={"is_peer_closed": True})})


def commit(record: Record, attempt_id: str) -> Record:
    """Go on with a switchover: the last changes are here. Raises AttemptGone, PeerNotClosed."""
    attempt = _open_attempt(record, attempt_id)
    if not attempt.is_peer_closed:
        raise PeerNotClosed(f"node {attempt.peer} was not seen closed for attempt {attempt_id}")
    return advance(record, attempt_id, Act.AWAIT_HANDOVER)


def abandon(record: Record, attempt_id: str) -> Record:
    """Give up an attempt that has not become the term; raises AttemptGone for one that has, or is not there."""
    attempt = _open_attempt(record, attempt_id)
    if is_past_return(attempt.kind, Act(attempt.step)):
        raise AttemptGone(f"attempt {attempt_id} has become term {attempt.epoch}; there is only the way forward")
    reason = None if attempt.from_reason is None else Reason(attempt.from_reason)
    return record.model_copy(update={"state": attempt.from_state, "reason": reason, "attempt": None})


def begin_handover(record: Record, asked: Prepare, peer: str) -> Record:
    """Begin to close for a peer's attempt; asked again for the same attempt changes nothing.

    Raises StaleTerm, TransitionRefused.
    """
    if record.demotion is not None and record.demotion.id == asked.attempt_id:
        return record
    _check_serves(record, asked.expected_epoch)
    demotion = Demotion(kind=DemotionKind.HANDOVER, id=asked.attempt_id, step=DEMOTION[0], peer=peer, epoch=asked.epoch)
    return _enter(record, Event.HANDOVER_ASKED, demotion=demotion, highest_epoch=max(record.highest_epoch, asked.epoch))


def begin_fence(record: Record, demotion_id: str, reason: Reason, peer: str | None = None) -> Record:
    """Begin to stop serving for good; a node that is closed already says so. Raises TransitionRefused.

    Closed for a peer's attempt it is for that one only, until it is open again or follows another term: the peer may
    have taken its term, and be away at this moment. The same peer's next attempt takes the place of its last one.
    """
    claim = None if peer is None else ClosedFor(attempt_id=demotion_id, peer=peer)
    if is_fencing(record):
        is_free = record.closed_for is None or record.closed_for.peer == peer
        return record.model_copy(update={"closed_for": claim}) if claim is not None and is_free else record
    demotion = Demotion(kind=DemotionKind.FENCE, id=demotion_id, step=DEMOTION[0], reason_code=reason)
    return _enter(record, Event.FENCE_ASKED, demotion=demotion, closed_for=claim)


def advance_demotion(record: Record, demotion_id: str, act: Act) -> Record:
    """Note that an act of the demotion is done; a proved fence ends it, a handover waits closed for its outcome."""
    demotion = _demotion(record, demotion_id)
    if demotion.step != act:
        return record
    following = act_after(DEMOTION, act)
    if following is Act.CLOSED and demotion.kind is DemotionKind.FENCE:
        reason = Reason(demotion.reason_code or Reason.SUPERSEDED)
        fenced = _enter(
            record,
            Event.CLOSE_PROVED,
            demotion=None,
            closed_for=record.closed_for,
            pending_hooks=(HookName.ON_FENCED,),
        )
        return fenced.model_copy(update={"reason": reason})
    assert following is not None, "nothing follows the wait for the outcome"
    changed = demotion.model_copy(update={"step": following})
    return record.model_copy(update={"demotion": changed})


def take_back(record: Record, demotion_id: str, event: Event) -> Record:
    """Serve on after a handover: its attempt is abandoned for certain, or the databases could not be closed."""
    _demotion(record, demotion_id)
    return _enter(record, event, demotion=None, pending_hooks=(HookName.START_APPLICATION,))


def doubt(record: Record, demotion_id: str) -> Record:
    """Note that the peer does not say what became of the handover."""
    demotion = _demotion(record, demotion_id)
    if demotion.kind is DemotionKind.IN_DOUBT:
        return record
    changed = demotion.model_copy(update={"kind": DemotionKind.IN_DOUBT})
    return _enter(record, Event.HANDOVER_UNANSWERED, demotion=changed)


def unfence(record: Record) -> Record:
    """Serve again after a fence that ended no term; the caller has every peer's grant. Raises TransitionRefused."""
    owns_term = record.term is not None and record.term.owner == record.node_id
    if not owns_term or record.reason not in (Reason.BY_ADMIN, Reason.HANDED_OVER):
        raise TransitionRefused(f"the node cannot simply go on serving: {_sentence(record)}")
    return _enter(record, Event.UNFENCE_ASKED, pending_hooks=(HookName.START_APPLICATION,))


def follow(record: Record, epoch: int) -> Record:
    """Become a standby once the databases hold what the owner of the term has; raises StaleTerm, TransitionRefused."""
    if record.state is State.STANDBY:
        return record
    if record.term is None or record.term.epoch != epoch or record.term.owner == record.node_id:
        raise StaleTerm(f"the re-sync is of term {epoch}, this node accepts {_describe(record.term)}")
    return _enter(record, Event.RESYNCED, eligible={})


def set_eligible(record: Record, node_id: str, epoch: int, *, is_eligible: bool) -> Record:
    """Record whether a standby may promote itself in this term; at most one may at a time.

    A standby that was promoted knows of no other then that could do the same without hearing of it. Raises StaleTerm
    for a word about another term, TransitionRefused.
    """
    if record.term is None or record.term.epoch != epoch:
        raise StaleTerm(f"this was said for term {epoch}, this node accepts {_describe(record.term)}")
    others = sorted(name for name, is_so in record.eligible.items() if is_so and name != node_id)
    if is_eligible and others:
        raise TransitionRefused(f"node {others[0]} may promote itself already")
    return record.model_copy(update={"eligible": {**record.eligible, node_id: is_eligible}})


def recover(record: Record) -> Record:
    """Return the record as it counts after a start: an attempt that has not happened is abandoned."""
    attempt = record.attempt
    return record if attempt is None or is_bound(record) else abandon(record, attempt.id)


def obey(record: Record, decision: Decision, demotion_id: str) -> Record:
    """Return the record after a judgement; a node that must stop serving closes its databases first."""
    update: dict[str, Any] = {"state": decision.state, "reason": decision.reason, "term": decision.term}
    if decision.state is not record.state:
        update["pending_hooks"] = ()
    if decision.term != record.term:
        update["eligible"], update["closed_for"] = {}, None
        update["highest_epoch"] = max(record.highest_epoch, decision.term.epoch if decision.term else 0)
    match decision.event:
        case Event.HIGHER_TERM_OWNED if record.state in (State.ACTIVE, State.PROMOTING):
            reason = Reason.BOTH_ACTIVE if record.state is State.ACTIVE else Reason.SUPERSEDED
            update["attempt"] = None
            update["demotion"] = Demotion(kind=DemotionKind.FENCE, id=demotion_id, step=DEMOTION[0], reason_code=reason)
        case Event.PAIR_KNOWN_DATABASES_IN_USE if decision.state is State.DEMOTING:
            update["demotion"] = Demotion(
                kind=DemotionKind.FENCE, id=demotion_id, step=DEMOTION[0], reason_code=Reason.STATE_LOST
            )
        case Event.PEERS_GRANT | Event.GRACE_OVER:  # at the boot its units did not start: the node did not serve yet
            update["pending_hooks"] = (HookName.START_APPLICATION,)
        case Event.BOOTED:  # a promotion that a boot cut short ends like that of an active node: by asking
            update["attempt"] = None
        case Event.HIGHER_TERM_OWNED if record.demotion is not None and record.demotion.kind is not DemotionKind.FENCE:
            fence = {"kind": DemotionKind.FENCE, "reason_code": Reason.SUPERSEDED}
            update["demotion"] = record.demotion.model_copy(update=fence)
        case Event.HANDOVER_ACCEPTED | Event.HANDOVER_OVERTAKEN:
            update["demotion"] = None
        case _:
            pass
    return record.model_copy(update=update)


def is_fencing(record: Record) -> bool:
    """Say whether the node is fenced, or on the way there."""
    is_closing = record.demotion is not None and record.demotion.kind is DemotionKind.FENCE
    return record.state is State.FENCED or is_closing


def is_bound(record: Record) -> bool:
    """Say whether the open attempt has become the term."""
    attempt = record.attempt
    return attempt is not None and is_past_return(attempt.kind, Act(attempt.step))


def awaited_term(record: Record) -> Term | None:
    """Return the term that a handover makes room for, once the databases are closed for it."""
    demotion = record.demotion
    if demotion is None or demotion.kind is DemotionKind.FENCE or demotion.step != Act.CLOSED:
        return None
    assert demotion.epoch is not None
    assert demotion.peer is not None
    return Term(epoch=demotion.epoch, owner=demotion.peer)


def check_grant(record: Record, caller: str, epoch: int) -> None:
    """Raise why the caller may not go on serving: another term counts here, or an attempt is open."""
    if record.term != Term(epoch=epoch, owner=caller):
        raise StaleTerm(f"node {caller} asks for term {epoch}, this node accepts {_describe(record.term)}")
    check_remembers(record)
    if record.attempt is not None:
        raise AttemptOpen(f"attempt {record.attempt.id} is on its way")
    if record.demotion is not None:
        raise TransitionRefused("this node is being closed itself")


def check_remembers(record: Record) -> None:
    """Raise TransitionRefused where the record was lost: this node may have been promoted and does not know it."""
    if record.term is None or Reason.STATE_LOST in (record.reason, record.demotion and record.demotion.reason_code):
        raise TransitionRefused(f"this node cannot vouch for anything: {SENTENCES[Reason.STATE_LOST]}")


def _check_term_is_free(record: Record, attempt: Attempt, peers: Iterable[NodeView]) -> None:
    for peer in peers:
        if peer.term is not None and peer.term.epoch >= attempt.epoch:
            raise StaleTerm(f"node {peer.node_id} accepts term {peer.term.epoch} by now")
        if peer.node_id != attempt.peer and _may_be_open(peer, attempt.kind, record.node_id):
            raise PeerServes(f"node {peer.node_id} is {peer.state}: its databases may be open")
    if attempt.peer is not None and not attempt.is_peer_closed:
        raise PeerNotClosed(f"node {attempt.peer} was not seen closed")
    if record.term is not None and record.term.epoch >= attempt.epoch:
        raise StaleTerm(f"term {record.term.epoch} is accepted here by now")


def _still_eligible(record: Record) -> dict[str, bool]:
    """Return the standbys that may promote themselves by a word of the term that ends, until they say otherwise."""
    return {name: True for name, is_so in record.eligible.items() if is_so and name != record.node_id}


def _may_be_open(peer: NodeView, kind: AttemptKind, node_id: str) -> bool:
    """Say whether applications may write on a peer that answers, or could again before this node hears of it.

    A name of a state alone does not exclude it.
    """
    match peer.state:
        case State.ACTIVE | State.PROMOTING | State.WAITING:
            # Of two attempts at once, each sees the other: none may go on. A node that waits may begin to serve
            # at any moment; it asks for a grant, or is closed first by a takeover.
            return True
        case State.DEMOTING:
            demotion = peer.demotion  # closed for another node's attempt, it opens when that one gives up
            return demotion is None or demotion.step != Act.CLOSED or demotion.peer != node_id
        case _:
            is_closed = None if peer.fence is None else peer.fence.is_closed
            is_undecided = peer.state is State.UNINITIALISED and is_closed is None and kind is not AttemptKind.FORCE
            return is_undecided or is_closed is False


def _check_serves(record: Record, expected_epoch: int) -> None:
    if record.term is None or record.term.epoch != expected_epoch:
        raise StaleTerm(f"the caller follows term {expected_epoch}, this node accepts {_describe(record.term)}")


def _enter(record: Record, event: Event, **update: Any) -> Record:
    """Return the record in the state where the table's row leads."""
    row = TRANSITIONS.get((record.state, event))
    if row is None:
        raise TransitionRefused(f"node {record.node_id} is {record.state}: {_sentence(record)}")
    assert row.term in (TermRule.KEEP, TermRule.OWN), "only judgements adopt a term"
    blank = {"pending_hooks": (), "closed_for": None}
    entered = {"state": row.state, "reason": row.reason or record.reason, **blank, **update}
    return record.model_copy(update=entered)


def _is_closed(peer: NodeView, attempt: Attempt, record: Record) -> bool:
    """Say whether a peer serves nobody and will not, as long as the attempt is open: it would ask for a grant first.

    One that waits after a boot may go on without a grant when it hears nobody; it is to be fenced first.
    """
    if attempt.kind is AttemptKind.SWITCHOVER:
        demotion = peer.demotion
        return demotion is not None and demotion.id == attempt.id and demotion.step == Act.CLOSED
    is_fenced = peer.state is State.FENCED and peer.term == record.term
    is_for_this = peer.closed_for is not None and peer.closed_for.attempt_id == attempt.id
    return is_fenced and is_for_this and not _may_be_open(peer, attempt.kind, record.node_id)


def _open_attempt(record: Record, attempt_id: str) -> Attempt:
    if record.attempt is None or record.attempt.id != attempt_id:
        raise AttemptGone(f"attempt {attempt_id} is not open on node {record.node_id}")
    return record.attempt


def _demotion(record: Record, demotion_id: str) -> Demotion:
    if record.demotion is None or record.demotion.id != demotion_id:
        raise AttemptGone(f"nothing is closed for {demotion_id} on node {record.node_id}")
    return record.demotion


def _is_in_doubt(record: Record) -> bool:
    return record.demotion is not None and record.demotion.kind is DemotionKind.IN_DOUBT


def _sentence(record: Record) -> str:
    return SENTENCES[record.reason] if record.reason is not None else "no reason is recorded"


def _describe(term: Term | None) -> str:
    return "no term yet" if term is None else f"term {term.epoch} of {term.owner}"
