"""What is told for as long as it lasts: copies that are too old, failovers that are due and refused."""

from __future__ import annotations

import pytest

from services.standby_controller.policy.advice import ComponentSight, PeerSight, Situation
from services.standby_controller.policy.alarm import alarms
from services.standby_controller.policy.detector import Way
from shared.node.model import State


@pytest.mark.parametrize(
    ("state", "age", "way", "refusals", "expected"),
    [
        (State.STANDBY, 60.0, Way.NONE, (), []),
        (State.STANDBY, None, Way.NONE, (), []),
        (State.STANDBY, 7200.0, Way.NONE, (), []),
        (State.STANDBY, 7201.0, Way.NONE, (), [("data_old", "shop")]),
        (State.ACTIVE, 9999.0, Way.NONE, ("no",), []),
        (State.STANDBY, 60.0, Way.NONE, ("no",), []),
        (State.STANDBY, 60.0, Way.UNPLANNED, (), []),
        (State.STANDBY, 60.0, Way.UNPLANNED, ("It is too old.",), [("failover_refused", "a")]),
        (State.STANDBY, 9999.0, Way.ORDERED, ("no",), [("failover_refused", "a"), ("data_old", "shop")]),
    ],
)
def test_only_what_matters_now_is_told(
    state: State, age: float | None, way: Way, refusals: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    """A node that serves has no copy; what is refused matters when it is due."""
    own = PeerSight("b", True, False, state, None)
    situation = Situation(own, (), (ComponentSight("shop", age),), 3600, True, 1.0)
    found = list(alarms(situation, way, "a", refusals))
    assert [one.name for one in found] == expected
    assert all(refusal in one.text for one in found if one.kind == "failover_refused" for refusal in refusals)
