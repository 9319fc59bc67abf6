"""What the controller knows of a node now: the last heartbeat with its age, and how the node can be reached. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.standby_controller.policy.clock_drift import ClockDrift
from services.standby_controller.policy.clock_offset import ClockOffset
from services.standby_controller.policy.detector import Series
from services.standby_controller.store.records import Failure
from shared.node.model import CaptureState, Heartbeat, State, Term
from shared.settings import Mode


class Reach(StrEnum):
    """How a node can be reached."""

    UNKNOWN = "unknown"
    ANSWERING = "answering"
    MISSING = "missing"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node as last seen; `answered_at_monotonic` gives the age of every fact."""

    node_id: str
    mode: Mode
    site: str
    is_own: bool
    reach: Reach = Reach.UNKNOWN
    heartbeat: Heartbeat | None = None
    answered_at: datetime | None = None
    answered_at_monotonic: float | None = None
    asked_since_monotonic: float | None = None
    misses: int = 0
    series: Series = field(default_factory=Series)
    problem: Failure | None = None
    offset: ClockOffset | None = None
    drift: ClockDrift | None = None
    round_trip_seconds: float | None = None
    certificate_expires_at: datetime | None = None

    @property
    def present(self) -> Heartbeat | None:
        """Return the last heartbeat as long as the node is not lost."""
        return self.heartbeat if self.reach in (Reach.ANSWERING, Reach.MISSING) else None

    @property
    def state(self) -> State | None:
        """Return the node's state; None when it is not available."""
        return None if self.present is None else self.present.state

    @property
    def term(self) -> Term | None:
        """Return the last term heard from the node, also when it is silent now."""
        return None if self.heartbeat is None else self.heartbeat.term

    @property
    def is_clock_synchronised(self) -> bool | None:
        """Return what the node's kernel says of its clock; None where it said nothing, or is not available."""
        return None if self.present is None else self.present.clock.is_synchronised

    def silent_seconds(self, now_monotonic: float) -> float | None:
        """Return how long the node has been silent; None when it never answered."""
        return None if self.answered_at_monotonic is None else max(0.0, now_monotonic - self.answered_at_monotonic)

    def clock_at(self, now_monotonic: float) -> datetime | None:
        """Return the node's own wall clock as it goes on since its last answer; this node's plays no part in it."""
        if self.heartbeat is None or self.answered_at_monotonic is None:
            return None
        on_the_way = (self.round_trip_seconds or 0.0) / 2
        return self.heartbeat.clock.answered_at + timedelta(
            seconds=now_monotonic - self.answered_at_monotonic + on_the_way
        )

    def broken_captures(self) -> dict[str, str]:
        """Return the components whose changes the node fails to capture, with what is wrong."""
        if self.present is None:
            return {}
        return {
            component.name: component.capture.problem.text if component.capture.problem else "no reason given"
            for component in self.present.components
            if component.capture is not None and component.capture.state is CaptureState.BROKEN
        }

    def capture_ids(self) -> dict[str, str | None]:
        """Return the capture of each component that has one."""
        known = () if self.present is None else self.present.components
        return {component.name: component.capture.capture_id for component in known if component.capture is not None}

    def absent_subscribers(self) -> dict[tuple[str, str], datetime]:
        """Return when the standbys that this node keeps nothing for any more were seen, by component and node."""
        if self.present is None:
            return {}
        return {
            (component.name, absent.node_id): absent.last_seen_at
            for component in self.present.components
            if component.capture is not None
            for absent in component.capture.absent
        }


def highest_term(nodes: tuple[NodeFacts, ...]) -> Term | None:
    """Return the highest term any node has spoken of."""
    terms = [node.term for node in nodes if node.term is not None]
    return max(terms, key=lambda term: term.epoch, default=None)
