"""How often a hook is tried again, and when: pure. Which result ends the tries is known elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.surroundings import HookName


@dataclass(frozen=True, slots=True)
class RetryRule:
    """So many tries, begun and ended within so long, each so long after the start of the last one at the earliest."""

    tries: int
    within_seconds: float
    apart_seconds: float


@dataclass(frozen=True, slots=True)
class Tries:
    """What was tried so far; the times are those of one monotonic clock."""

    count: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class NextTry:
    """When the next try begins, counted from now, and how long it may take."""

    after_seconds: float
    limit_seconds: float


RETRIES: Final[Mapping[HookName, RetryRule]] = MappingProxyType(
    {
        HookName.RESTART_DATABASE: RetryRule(tries=3, within_seconds=20.0, apart_seconds=6.0),
        HookName.START_APPLICATION: RetryRule(tries=3, within_seconds=180.0, apart_seconds=5.0),
        HookName.STOP_APPLICATION: RetryRule(tries=2, within_seconds=20.0, apart_seconds=1.0),
    }
)
ONCE: Final = RetryRule(tries=1, within_seconds=float("inf"), apart_seconds=0.0)
LEAST_LIMIT_SECONDS: Final = 1.0


def next_try(rule: RetryRule, made: Tries | None, *, limit_seconds: float, now: float) -> NextTry | None:
    """Return the next try, None when the rule allows no more; `limit_seconds` is what one may take at most."""
    if made is None:
        return NextTry(0.0, min(limit_seconds, rule.within_seconds))
    begins_at = max(now, made.last_at + rule.apart_seconds)
    left_seconds = made.first_at + rule.within_seconds - begins_at
    if made.count >= rule.tries or left_seconds < LEAST_LIMIT_SECONDS:
        return None
    return NextTry(begins_at - now, min(limit_seconds, left_seconds))
