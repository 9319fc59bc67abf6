"""From whom this node copies: the owner of the highest term, and only while this node is a standby. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.standby_controller.facts import NodeFacts, Reach, highest_term
from shared.errors import NotActive, NotStandby, PeerRefusedUs, PeerUnreachable
from shared.node.model import State, Term


@dataclass(frozen=True, slots=True)
class Source:
    """The node to copy from and the term it is active in."""

    node_id: str
    term: Term


def check_standby(own: NodeFacts) -> None:
    """Raise PeerUnreachable when the own agent is silent, NotStandby in any state but standby."""
    if own.state is None:
        detail = own.problem.detail if own.problem else "it was not asked yet"
        raise PeerUnreachable(
            f"this node's own agent does not answer: {detail}", hint="Start `warmstandby agent` on this node."
        )
    if own.state is not State.STANDBY:
        reason = own.present.reason if own.present else None
        raise NotStandby(f"node {own.node_id} is {own.state}" + (f" ({reason})" if reason else ""))


def find_source(nodes: tuple[NodeFacts, ...]) -> Source:
    """Return whom to copy from; raises NotActive, NotStandby, PeerUnreachable, PeerRefusedUs."""
    term = highest_term(nodes)
    if term is None:
        silent = [
            node for node in nodes if not node.is_own and node.reach in (Reach.LOST, Reach.MISSING, Reach.UNKNOWN)
        ]
        if silent:
            raise PeerUnreachable(f"node {silent[0].node_id} does not answer")
        raise NotActive("no node has been active yet")
    owner = next((node for node in nodes if node.node_id == term.owner), None)
    if owner is None:
        raise NotActive(f"node {term.owner} owns the highest term, and is not among [[peers]]")
    if owner.is_own:
        raise NotStandby(f"this node owns the highest term ({term.epoch}); nobody is there to copy from")
    if owner.reach is Reach.REFUSED or owner.state is None:
        kind = PeerRefusedUs if owner.reach is Reach.REFUSED else PeerUnreachable
        if owner.problem is None:
            raise kind(f"node {owner.node_id} was not asked yet")
        raise kind(owner.problem.detail, hint=owner.problem.hint)
    if owner.state is not State.ACTIVE:
        raise NotActive(f"node {owner.node_id} is {owner.state}")
    return Source(owner.node_id, term)
