"""What becomes of a letter: tried, tried again, given up; and when a channel counts as failing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 3600.0
JITTER: Final = 0.2
FAILS_AFTER_ATTEMPTS: Final = 3
"""So many attempts of a channel that fail in a row are told as an event."""


class DeliveryState(StrEnum):
    """How an event stands with one channel."""

    HELD = "held"  # until the end of its incident's window, to be told with others like it
    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"  # refused, or given up
    FOLDED = "folded"  # told by the letter of a later event


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one channel; `incident` is the id of the first event of its story."""

    channel: str
    incident: str
    state: DeliveryState
    queued_at: datetime
    next_attempt_at: datetime
    attempts: int = 0
    sent_at: datetime | None = None
    problem: str | None = None
    delivered: tuple[str, ...] = ()
    """Recipients who have it."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Recipients who will not get it, and why."""
    repeats: Mapping[str, int] = field(default_factory=dict)
    """How many events of each kind the letter tells of, itself counted; nothing where it tells of itself alone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to; without a problem nobody is left who could still get it."""

    problem: str | None = None
    delivered: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    is_final: bool = False
    """The problem will not go away by itself."""

    @property
    def is_delivered(self) -> bool:
        """Say whether everybody has it."""
        return self.problem is None and not self.refused


def after_attempt(
    before: Delivery, outcome: Outcome, now: datetime, *, give_up_hours: float, chance: float
) -> Delivery:
    """Return how a delivery stands after an attempt; `chance` is from 0 to 1."""
    after = replace(
        before,
        attempts=before.attempts + 1,
        delivered=tuple(dict.fromkeys((*before.delivered, *outcome.delivered))),
        refused={**before.refused, **outcome.refused},
        problem=outcome.problem,
    )
    if outcome.problem is None:
        if not after.refused:
            return replace(after, state=DeliveryState.SENT, sent_at=now)
        words = "; ".join(f"{name}: {why}" for name, why in after.refused.items())
        return replace(after, state=DeliveryState.DEAD, sent_at=now if after.delivered else None, problem=words)
    is_given_up = outcome.is_final or now - before.queued_at >= timedelta(hours=give_up_hours)
    if is_given_up:
        return replace(after, state=DeliveryState.DEAD)
    return replace(after, next_attempt_at=now + timedelta(seconds=pause_seconds(after.attempts, chance)))


def to_resend(before: Delivery, now: datetime) -> Delivery:
    """Return a dead delivery that begins anew, for those who do not have it."""
    return replace(
        before, state=DeliveryState.WAITING, queued_at=now, next_attempt_at=now, attempts=0, problem=None, refused={}
    )


def pause_seconds(attempts: int, chance: float) -> float:
    """Return how long to wait after so many attempts, of which there was one; `chance` is from 0 to 1.

    It doubles up to an hour, and differs by a fifth to either side, so that letters do not come in herds.
    """
    pause = LONGEST_PAUSE_SECONDS if attempts > 20 else FIRST_PAUSE_SECONDS * 2.0 ** (attempts - 1)
    return min(pause, LONGEST_PAUSE_SECONDS) * (1.0 - JITTER + 2 * JITTER * chance)


def is_failing(failures_in_a_row: int) -> bool:
    """Say whether a channel has failed often enough to be told."""
    return failures_in_a_row >= FAILS_AFTER_ATTEMPTS
