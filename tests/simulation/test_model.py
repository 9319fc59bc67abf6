"""Every world that a pair can reach within a budget of faults, orders and changed settings, by the real rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from shared.node.model import State, Term
from shared.node.reasons import Reason
from shared.node.record import Record
from shared.node.transitions import TRANSITIONS
from tests.simulation.calm import Calm
from tests.simulation.exploration import Broken, Exploration
from tests.simulation.moves import Moves
from tests.simulation.rules import NAMES, Row, Rules, noting_rows
from tests.simulation.world import Budget, NodeNow, World
from tests.tier import rounds

LIMIT: Final = 3_000_000

# Scene, whether the second node may promote itself, what may happen.
NORMAL: Final[Sequence[tuple[str, bool, Budget]]] = (
    ("new pair", False, Budget(agent_crashes=1, cuts=1, settings=1)),
    ("pair", True, Budget(agent_crashes=1, host_crashes=1, cuts=1, failovers=1)),
    ("pair", True, Budget(agent_crashes=1, host_crashes=1, takeovers=1, failovers=1)),
    ("pair", False, Budget(host_crashes=1, cuts=1, failovers=1, settings=2)),
    ("pair", False, Budget(agent_crashes=1, host_crashes=1, cuts=1, handovers=1)),
    ("pair", False, Budget(host_crashes=1, cuts=1, humans=1)),
    ("pair", False, Budget(cuts=1, handovers=1, humans=1)),
    ("pair", True, Budget(agent_crashes=1, failovers=1, humans=1)),
    ("pair", False, Budget(lost_records=1, agent_crashes=1, handovers=1, humans=1)),
    ("three", True, Budget(cuts=1, failovers=1, handovers=1)),
    ("three", True, Budget(agent_crashes=1, failovers=1, takeovers=1)),
    ("three", True, Budget(host_crashes=1, cuts=1, failovers=1)),
)
LARGE: Final[Sequence[tuple[str, bool, Budget]]] = (
    *NORMAL,
    ("pair", True, Budget(host_crashes=3, cuts=1, failovers=1, humans=1)),
    ("pair", True, Budget(agent_crashes=1, host_crashes=1, cuts=1, humans=1, failovers=1)),
    ("pair", False, Budget(agent_crashes=1, host_crashes=1, cuts=1, humans=1, handovers=1)),
    ("pair", True, Budget(agent_crashes=1, host_crashes=2, cuts=2, failovers=2)),
    ("pair", False, Budget(agent_crashes=1, host_crashes=1, cuts=1, handovers=2)),
    ("three", True, Budget(host_crashes=1, cuts=1, failovers=1, humans=1)),
)


def start(rules: Rules, scene: str, budget: Budget, *, is_eligible: bool) -> World:
    """Return the world that a search begins in."""
    number = 3 if scene == "three" else 2
    if scene == "new pair":
        nodes = tuple(NodeNow(rules.fresh(node), is_primary=node == 0) for node in range(number))
        return World(nodes, budget)
    return World(tuple(_settled(rules, node, is_eligible=is_eligible) for node in range(number)), budget)


def _settled(rules: Rules, node: int, *, is_eligible: bool) -> NodeNow:
    knows_eligible = is_eligible and node < 2
    record = Record(
        pair_id="pair",
        node_id=NAMES[node],
        state=State.STANDBY if node else State.ACTIVE,
        reason=Reason.FOLLOWS if node else Reason.FIRST_NODE,
        term=Term(epoch=1, owner=NAMES[0]),
        highest_epoch=1,
        eligible={NAMES[1]: True} if knows_eligible else {},
    )
    agreed = 1 if knows_eligible and node == 1 else 0
    return NodeNow(rules.number(record), is_open=node == 0, has_data=True, is_primary=node == 0, agreed_epoch=agreed)


@pytest.mark.parametrize(("scene", "is_eligible", "budget"), rounds(NORMAL, LARGE))
@pytest.mark.timeout(1800)
def test_nobody_serves_beside_another_and_nobody_is_stranded(
    scene: str,
    is_eligible: bool,
    budget: Budget,
) -> None:
    """Nothing fails any more: with at most one human act one node serves, also when the other never comes back."""
    moves = Moves(Rules())
    search = Exploration(moves)
    search.run(start(moves.rules, scene, budget, is_eligible=is_eligible), limit=LIMIT)
    calm = Calm(moves)
    for world in search.came:
        for gone in (None, *range(len(world.nodes))):
            problem = calm.stranded(world, gone)
            if problem is not None:
                raise Broken(search.tell(world, f"{problem}\ngone for ever: {gone}"))


def test_every_row_of_the_table_is_taken() -> None:
    """A row that no world takes is a row that nobody has thought about."""
    taken: set[Row] = set()
    with noting_rows(taken):
        for scene, is_eligible, budget in NORMAL:
            moves = Moves(Rules())
            Exploration(moves).run(start(moves.rules, scene, budget, is_eligible=is_eligible), limit=LIMIT)
            if taken == set(TRANSITIONS):
                return
    assert set(TRANSITIONS) - taken == set()
