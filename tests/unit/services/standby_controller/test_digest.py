"""When the daily digest is due, and who tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.standby_controller.policy.digest import digest_key, tells_digest
from services.standby_controller.policy.sights import PeerSight, Situation
from shared.node.model import State

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("now", "at", "zone", "key"),
    [
        ("2026-01-31T07:59:59", "08:00", "UTC", None),
        ("2026-01-31T08:00:00", "08:00", "UTC", "digest-2026-01-31"),
        ("2026-01-31T10:59:59", "08:00", "UTC", "digest-2026-01-31"),
        ("2026-01-31T11:00:00", "08:00", "UTC", None),
        ("2026-01-31T07:30:00", "08:00", BERLIN, "digest-2026-01-31"),
        ("2026-07-31T06:30:00", "08:00", BERLIN, "digest-2026-07-31"),
        ("2026-02-01T00:30:00", "23:30", "UTC", "digest-2026-01-31"),
        ("2026-03-29T01:30:00", "02:30", BERLIN, "digest-2026-03-29"),  # the hour that is left out
        ("2026-10-25T00:30:00", "02:30", BERLIN, "digest-2026-10-25"),  # the hour that comes twice
        ("2026-10-25T01:30:00", "02:30", BERLIN, "digest-2026-10-25"),
    ],
)
def test_the_digest_is_due_once_a_day(now: str, at: str, zone: str, key: str | None) -> None:
    """At its hour in its zone, or a little late; of one day it has one key."""
    assert digest_key(datetime.fromisoformat(now).replace(tzinfo=UTC), at, ZoneInfo(zone)) == key


def sight(state: State | None, *, is_own: bool = False, is_lost: bool = False) -> PeerSight:
    """Return a node."""
    return PeerSight("b" if is_own else "a", is_own, is_lost, state, None)


@pytest.mark.parametrize(
    ("own", "peer", "expected"),
    [
        (State.STANDBY, sight(State.ACTIVE), True),
        (State.STANDBY, sight(None, is_lost=True), True),
        (State.ACTIVE, sight(State.STANDBY), False),
        (State.ACTIVE, sight(None, is_lost=True), True),
        (State.ACTIVE, sight(State.FENCED), True),
        (State.FENCED, sight(State.ACTIVE), False),
        (None, sight(State.ACTIVE), False),
    ],
)
def test_the_standby_tells_it_or_else_the_active_node(own: State | None, peer: PeerSight, expected: bool) -> None:
    """So that there is one, not two."""
    situation = Situation(sight(own, is_own=True), (peer,), (), 3600, True, 1.0)
    assert tells_digest(situation) is expected
