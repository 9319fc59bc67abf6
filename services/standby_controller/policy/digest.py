"""When the daily digest is due, who tells it, and what it says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.standby_controller.policy.durations import duration
from services.standby_controller.policy.sights import Advisory, Situation
from shared.node.model import State

CATCH_UP: Final = timedelta(hours=3)
"""A digest that could not be told on time is told so late at most: the next one is near."""


def digest_key(now: datetime, at: str, zone: ZoneInfo) -> str | None:
    """Return the key of the digest that is due, one for each day; None where it is too early or too late."""
    local = now.astimezone(zone)
    hour, minute = map(int, at.split(":"))
    for day in (local.date(), local.date() - timedelta(days=1)):
        due = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
        if timedelta(0) <= now - due < CATCH_UP:
            return f"digest-{day.isoformat()}"
    return None


def tells_digest(situation: Situation) -> bool:
    """Say whether this node tells it: the standby does, and the active node where no standby answers."""
    if situation.is_standby:
        return True
    return situation.own.state is State.ACTIVE and not any(
        peer.state is State.STANDBY and not peer.is_lost for peer in situation.peers
    )


def digest_lines(
    *,
    is_protected: bool,
    reasons: Sequence[str],
    summary: str,
    data_ages: Sequence[tuple[str, float | None]],
    advisories: Sequence[Advisory],
) -> dict[str, object]:
    """Return what the digest says of the present, in the order in which it is read."""
    ages = {name: "never copied" if age is None else f"{duration(age)} old" for name, age in data_ages}
    return {
        "protected": is_protected,
        "reasons": list(reasons),
        "summary": summary,
        "copies": ages,
        "advisories": [f"{one.severity.value}: {one.text}" for one in advisories],
    }
