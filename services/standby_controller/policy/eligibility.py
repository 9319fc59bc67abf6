"""Whether a standby shall be recorded as one that may promote itself, and in which order two records learn of it. Pure.

The active node records it first and forgets it last, so that it never serves past a standby that may promote itself.
"""

from __future__ import annotations

from enum import StrEnum

from services.standby_controller.policy.gate_facts import GateFacts
from shared.node.model import State


class EligibleStep(StrEnum):
    """The one thing to do next."""

    NONE = "none"
    SET_ON_ACTIVE = "set_on_active"
    SET_HERE = "set_here"
    CLEAR_HERE = "clear_here"
    CLEAR_ON_ACTIVE = "clear_on_active"


def shall_be_eligible(facts: GateFacts) -> bool | None:
    """Say whether this standby shall be eligible: synced in this term, and everything allows it.

    None where that is not known or not this node's to say: the records stay as they are.
    """
    own = facts.switches
    if facts.own_state is not State.STANDBY or facts.term_epoch is None or not own.is_known:
        return None
    is_allowed = own.is_policy_promote and own.may_promote_itself and own.is_armed and not own.is_in_maintenance
    copies = facts.required_copies
    return is_allowed and copies != () and all(copy.synced_epoch == facts.term_epoch for copy in copies)


def next_step(wanted: bool | None, *, on_active: bool | None, here: bool | None) -> EligibleStep:
    """Return what to do next; what is not known is done again, as each step is repeatable."""
    if wanted is None:
        return EligibleStep.NONE
    if wanted:
        if on_active is not True:
            return EligibleStep.SET_ON_ACTIVE
        return EligibleStep.NONE if here else EligibleStep.SET_HERE
    if here is not False:
        return EligibleStep.CLEAR_HERE
    return EligibleStep.NONE if on_active is False else EligibleStep.CLEAR_ON_ACTIVE
