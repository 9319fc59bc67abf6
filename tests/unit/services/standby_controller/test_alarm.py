"""What is told of a failover that is due and refused."""

from __future__ import annotations

import pytest

from services.standby_controller.policy.alarm import refused_failover
from services.standby_controller.policy.detector import Way
from shared.node.model import State


@pytest.mark.parametrize(
    ("state", "way", "peer", "refusals", "is_told"),
    [
        (State.STANDBY, Way.UNPLANNED, "a", ("It is too old.", "It is disarmed."), True),
        (State.STANDBY, Way.ORDERED, "a", ("no",), True),
        (State.STANDBY, Way.UNPLANNED, "a", (), False),
        (State.STANDBY, Way.NONE, "a", ("no",), False),
        (State.ACTIVE, Way.UNPLANNED, "a", ("no",), False),
        (None, Way.UNPLANNED, "a", ("no",), False),
        (State.STANDBY, Way.UNPLANNED, None, ("no",), False),
    ],
)
def test_a_refusal_is_told_when_it_matters(
    state: State | None, way: Way, peer: str | None, refusals: tuple[str, ...], *, is_told: bool
) -> None:
    """By a standby, while a failover is due; with all that stands in its way."""
    found = refused_failover(state, way, peer, refusals)
    assert (found is not None) == is_told
    assert found is None or (found.node_id == "a" and all(refusal in found.text for refusal in refusals))
