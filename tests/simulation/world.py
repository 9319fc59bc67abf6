"""The whole world of the model in one value: what each node knows durably and otherwise, which links are cut."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

from shared.node.model import State


class NodeNow(NamedTuple):
    """One node at one moment."""

    record: int
    """The number of its durable record."""
    is_host_up: bool = True
    is_agent_up: bool = True
    is_open: bool = False
    """Applications can write into its databases."""
    is_start_unknown: bool = False
    is_booted: bool = False
    """The host was started since the record noted what it runs on."""
    has_promised: bool = False
    """A grant it gave still holds."""
    has_evidence: bool = False
    """Its controller has noted that the active node is silent; maybe long ago."""
    grants: int = 0
    """Peers whose grant it holds in its hand (a bit for each)."""
    agreed_epoch: int = 0
    """The term for which the active node said that it notes this standby as eligible."""
    has_data: bool = False
    is_primary: bool = False
    looked_blind: bool = False
    """For the checker: at its last look round, a host that was up was not heard."""


class Budget(NamedTuple):
    """How much may still happen; what is not counted happens any number of times."""

    agent_crashes: int = 0
    host_crashes: int = 0
    cuts: int = 0
    failovers: int = 0
    """Promotions that a controller asks for by itself."""
    humans: int = 0
    """Failover by hand, force, fence, unfence, keep."""
    handovers: int = 0
    settings: int = 0
    """Times that a standby's right to promote itself is given or taken, or a mode changed."""
    takeovers: int = 0
    """Times that a controller closes the databases of its own dead agent."""
    lost_records: int = 0


class World(NamedTuple):
    """All nodes, the cut links (a bit for each pair), and what the checker has to know of the past."""

    nodes: tuple[NodeNow, ...]
    left: Budget
    cut: int = 0
    is_split_promised: bool = False
    """Two nodes may serve: what led to it is what `roles.md` says no pair without a referee can exclude."""
    risks: int = 0
    """Nodes that a human promoted although a node that was off had not agreed to it (a bit for each)."""

    def with_node(self, number: int, node: NodeNow) -> World:
        """Return the world with one node changed."""
        return self._replace(nodes=(*self.nodes[:number], node, *self.nodes[number + 1 :]))

    def with_record(self, number: int, record: int) -> World:
        """Return the world with one record changed."""
        return self.with_node(number, self.nodes[number]._replace(record=record))

    def paid(self, what: str) -> World | None:
        """Return the world with less budget; None where it is used up."""
        left: int = getattr(self.left, what)
        return self._replace(left=self.left._replace(**{what: left - 1})) if left else None

    def is_cut(self, one: int, two: int) -> bool:
        """Say whether no message passes between two nodes."""
        return bool(self.cut & link(one, two))

    def hears(self, one: int, two: int) -> bool:
        """Say whether an answer of the second node's agent reaches the first."""
        node = self.nodes[two]
        return node.is_host_up and node.is_agent_up and not self.cut & link(one, two)

    def peers(self, number: int) -> list[int]:
        """Return the other nodes."""
        return [other for other in range(len(self.nodes)) if other != number]

    @property
    def serving(self) -> list[int]:
        """Return the nodes whose databases stand open."""
        return [number for number, node in enumerate(self.nodes) if node.is_open and node.is_host_up]


_LINKS = {frozenset(pair): 1 << bit for bit, pair in enumerate(combinations(range(3), 2))}


def link(one: int, two: int) -> int:
    """Return the bit of the link between two nodes."""
    return _LINKS[frozenset((one, two))]


def state_of(node: NodeNow, recorded: State) -> State:
    """Return the state a node tells, as `Node.state` does."""
    return State.WAITING if node.is_start_unknown else recorded
