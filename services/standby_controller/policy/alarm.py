"""What is wrong for as long as it lasts, and told when it begins: a failover that is due and refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.standby_controller.policy.detector import Way
from services.standby_controller.policy.sights import Situation
from services.standby_controller.severity import Severity


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong; `kind` and `ended` are those of the events that tell it and its end."""

    kind: str
    ended: str | None
    subject: str
    severity: Severity
    text: str
    ended_text: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Return what makes it the same alarm, whatever its words are by now."""
        return self.kind, self.subject


def alarms(situation: Situation, way: Way, peer_id: str | None, refusals: Sequence[str]) -> Iterator[Alarm]:
    """Yield what is wrong now; `refusals` say why no automatic failover begins that is due by `way`."""
    if situation.is_standby and way is not Way.NONE and refusals:
        yield Alarm(
            "failover_refused",
            None,
            peer_id or "-",
            Severity.CRITICAL,
            f"Node {peer_id} has failed, and this node does not take over: {' '.join(refusals)}",
        )
