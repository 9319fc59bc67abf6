"""Protected or not: on a standby by its own gate, on the active node by what its standbys say."""

from __future__ import annotations

import pytest

from services.standby_controller.policy.protection import PeerWord, Reason, reasons_not_protected
from shared.errors.base import Refusal
from shared.node.model import State

READY = PeerWord("b", state=State.STANDBY, gaps=())
GAP = Reason("data_too_old", "The copy is old.")


@pytest.mark.parametrize(
    ("peers", "codes"),
    [
        ((READY,), []),
        ((READY, PeerWord("c", is_lost=True)), []),
        ((), ["no_standby"]),
        ((PeerWord("b", is_lost=True, state=State.STANDBY, gaps=()),), ["standby_silent"]),
        ((PeerWord("b", state=State.FENCED, gaps=()),), ["no_standby"]),
        ((PeerWord("b"),), ["no_standby"]),
        ((PeerWord("b", state=State.STANDBY),), ["standby_unknown"]),
        ((PeerWord("b", state=State.STANDBY, gaps=(GAP,)),), ["data_too_old"]),
        (
            (PeerWord("b", state=State.STANDBY, gaps=(GAP,)), PeerWord("c", is_lost=True)),
            ["data_too_old", "standby_silent"],
        ),
    ],
)
def test_the_active_node_says_by_itself_whether_it_is_protected(peers: tuple[PeerWord, ...], codes: list[str]) -> None:
    """A standby that is silent, or whose controller is, protects nothing; its own gate does not count here."""
    reasons = reasons_not_protected(State.ACTIVE, (Refusal("not_a_standby", "It is active."),), peers)
    assert [reason.code for reason in reasons] == codes


def test_a_reason_of_the_standby_says_whose_it_is() -> None:
    """Two standbys may have the same one."""
    peer = PeerWord("b", state=State.STANDBY, gaps=(GAP,))
    assert reasons_not_protected(State.ACTIVE, (), (peer,)) == (Reason("data_too_old", "Node b: The copy is old."),)


@pytest.mark.parametrize("state", [State.STANDBY, State.FENCED, State.WAITING, None])
def test_elsewhere_the_own_gate_says_it(state: State | None) -> None:
    """All refusals are given; another standby that would take over is enough."""
    refusals = (Refusal("unsynced", "Never copied."), Refusal("disk_full", "Full."))
    active = PeerWord("a", state=State.ACTIVE, gaps=())
    assert [one.code for one in reasons_not_protected(state, refusals, (active,))] == ["unsynced", "disk_full"]
    assert reasons_not_protected(state, refusals, (active, READY)) == ()
    assert reasons_not_protected(state, (), (active,)) == ()
