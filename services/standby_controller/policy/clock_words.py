"""Which of two clocks is wrong, and by how much, in words for people. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.standby_controller.policy.clock_offset import ClockOffset


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Whose clock is to be set right."""

    text: str
    where: str
    """On this node, on the other, or on both, as the end of a sentence."""


def describe_offset(peer: str, offset: ClockOffset) -> str:
    """Return how far a peer's clock is from this node's, with the error bound."""
    middle = offset.middle_seconds
    way = "ahead of" if middle >= 0 else "behind"
    return (
        f"The clock of node {peer} is {_amount(abs(middle))} {way} this node's, give or take "
        f"{_amount(offset.error_seconds)}"
    )


def name_wrong_clock(peer: str, is_own_synchronised: bool | None, is_peer_synchronised: bool | None) -> WrongClock:
    """Name the clock that is wrong where the kernels' words tell; they know whether something keeps a clock right."""
    match is_own_synchronised, is_peer_synchronised:
        case True, False:
            return WrongClock(
                f"Only this node's kernel says that its clock is synchronised: the clock of node {peer} is wrong.",
                f"on node {peer}",
            )
        case False, True:
            return WrongClock(
                f"Only the kernel of node {peer} says that its clock is synchronised: this node's clock is wrong.",
                "on this node",
            )
        case False, False:
            return WrongClock(
                "Neither kernel says that its clock is synchronised: either clock may be wrong.", "on both nodes"
            )
        case True, True:
            return WrongClock(
                "Both kernels say that their clocks are synchronised: the nodes follow different time servers.",
                "on both nodes, with the same time servers",
            )
    return WrongClock("Which clock is wrong is not known: not both kernels tell.", "on both nodes")


def _amount(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"
