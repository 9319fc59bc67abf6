"""What load balancers and monitors are told, from the node's record: one pure table for both services of a node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.node.model import State

NOT_AVAILABLE: Final = "NOT AVAILABLE"


class Probe(StrEnum):
    """The probes, by their paths."""

    ACTIVE = "/active"
    STANDBY = "/standby"
    STATUS_PAGE = "/status/status.html"
    STANDBY_PAGE = "/hastatus.html"


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """What a node's probes depend on."""

    state: State | None
    """None while it is unknown."""
    may_promote: bool = False
    """A standby would be let by the gate."""
    promoted_seconds: float | None = None
    """How long ago the node was promoted; None unless it was, and serves since."""


@dataclass(frozen=True, slots=True)
class ProbeTexts:
    """How the pages speak: [probes]."""

    text: str
    legacy_standby_seconds: float


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """Whether it is so (200, else 503), and the page's text."""

    is_so: bool
    text: str


def answer(probe: Probe, facts: RoleFacts, texts: ProbeTexts) -> ProbeAnswer:
    """Return what a probe says; whatever is neither active nor standby is not available."""
    if probe is Probe.STANDBY_PAGE:
        mode = _mode(facts, texts)
        return ProbeAnswer(mode is not None, f"{texts.text} (Mode: {mode})" if mode else NOT_AVAILABLE)
    is_so = facts.state is (State.STANDBY if probe is Probe.STANDBY else State.ACTIVE)
    return ProbeAnswer(is_so, texts.text if is_so else NOT_AVAILABLE)


def _mode(facts: RoleFacts, texts: ProbeTexts) -> str | None:
    """Return how /hastatus.html calls the node, None where it is neither.

    Old monitors move clients when the primary fails while the other says Standby; one that promoted itself meanwhile
    may go on saying so for a while.
    """
    if facts.state is State.ACTIVE:
        is_fresh = facts.promoted_seconds is not None and facts.promoted_seconds < texts.legacy_standby_seconds
        return "Standby" if is_fresh else "Primary"
    return "Standby" if facts.state is State.STANDBY and facts.may_promote else None
