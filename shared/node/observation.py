"""All that a change of a node's state depends on, in one frozen value. Nothing here asks or decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.node.model import State, Term
from shared.node.reasons import Reason
from shared.settings import Mode


class Contact(StrEnum):
    """What came of asking a peer at its configured address."""

    ANSWERED = "answered"
    SILENT = "silent"
    UNCLEAR = "unclear"  # it refuses us, or answers wrongly: neither dead nor alive
    NOT_ASKED = "not_asked"


class Databases(StrEnum):
    """What the components' databases of this node hold."""

    UNKNOWN = "unknown"
    EMPTY = "empty"
    IN_USE = "in_use"


class Start(StrEnum):
    """What the start of the agent was, where the record says active."""

    UNKNOWN = "unknown"
    RESTART = "restart"
    BOOT = "boot"
    JUDGED = "judged"


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """The last look at a peer; mode and state are None unless it answered."""

    node_id: str
    contact: Contact
    mode: Mode | None = None
    state: State | None = None
    term: Term | None = None
    has_granted: bool = False
    """It has promised not to promote itself for a while, and this node may serve meanwhile."""

    @property
    def owns_its_term(self) -> bool:
        """Say whether the peer itself was promoted last, as far as it knows."""
        return self.term is not None and self.term.owner == self.node_id


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a change of state depends on."""

    node_id: str
    mode: Mode
    state: State
    reason: Reason | None
    term: Term | None
    first_epoch: int
    peers: tuple[PeerSeen, ...]
    databases: Databases = Databases.UNKNOWN
    start: Start = Start.JUDGED
    waited_seconds: float = 0.0
    boot_grace_seconds: float = 30.0
    eligible: frozenset[str] = frozenset()
    """Standbys that may promote themselves, as recorded here."""
    is_bound: bool = False
    """The open attempt has become the term."""
    awaited: Term | None = None
    """The term that a handover makes room for, once the databases are closed for it."""

    @property
    def answered(self) -> tuple[PeerSeen, ...]:
        """Return the peers that answered."""
        return tuple(peer for peer in self.peers if peer.contact is Contact.ANSWERED)

    @property
    def highest_owned(self) -> Term | None:
        """Return the highest term above ours that its owner itself confirms."""
        return _highest(self.term, *(peer.term for peer in self.answered if peer.owns_its_term))

    @property
    def highest_heard(self) -> Term | None:
        """Return the highest term above ours that any peer knows."""
        return _highest(self.term, *(peer.term for peer in self.answered))


def _highest(floor: Term | None, *terms: Term | None) -> Term | None:
    """Return the highest of the terms that is above the floor."""
    highest = None
    for term in terms:
        if term is not None and term.is_higher_than(floor):
            highest, floor = term, term
    return highest
