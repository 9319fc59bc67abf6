"""What is wrong with a peer, told from a series of looks at it and at the surroundings. Pure.

A look says what each door answered: the peer's agent, its controller, its database where one is configured, and the
reference targets. Times are monotonic seconds of this process; what it slept through is never held against the peer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

KEPT_LOOKS: Final = 100
UNKNOWN_AFTER_INTERVALS: Final = 3
DATABASE_GRACE_SECONDS: Final = 20.0
"""What the peer's own agent gets to start its database again (`restart_database`, three times)."""


class Door(StrEnum):
    """What came of asking at one door."""

    ANSWERED = "answered"
    SILENT = "silent"
    REFUSED = "refused"  # 401, 403, TLS, wrong pair, protocol: somebody is there and will not talk to us
    GARBLED = "garbled"  # an answer that is none: no life sign, and no silence either
    NOT_ASKED = "not_asked"


class FailureKind(StrEnum):
    """What is wrong with a peer."""

    UNKNOWN = "unknown"
    WELL = "well"
    SILENT = "silent"
    SELF_ISOLATED = "self_isolated"
    AGENT_DOWN = "agent_down"
    DATABASE_DOWN = "database_down"
    APPLICATION_DOWN = "application_down"
    REFUSED_US = "refused_us"
    PROTOCOL = "protocol"


class Way(StrEnum):
    """How a standby would take over in this case."""

    NONE = "none"
    UNPLANNED = "unplanned"  # the peer is silent: nobody can be asked
    CLOSED_FIRST = "closed_first"  # its controller closes that node and proves it
    ORDERED = "ordered"  # its agent fences itself first


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a peer is looked at, and how many failures in a row are believed."""

    interval_seconds: float
    timeout_seconds: float
    recheck_seconds: float
    failures: int

    @property
    def fact_limit_seconds(self) -> float:
        """Return the age above which a fact is unknown."""
        return UNKNOWN_AFTER_INTERVALS * self.interval_seconds + self.timeout_seconds


def worst_case_detection_seconds(pace: Pace) -> float:
    """Return the longest time from a peer's death to the verdict: interval + N x timeout + (N - 1) x recheck.

    It dies right after it answered; the next look comes an interval later and each of the N looks runs into its
    timeout, all doors being asked at once; between them lie the re-check pauses. Where connections are refused the
    timeouts fall away.
    """
    return pace.interval_seconds + pace.failures * pace.timeout_seconds + (pace.failures - 1) * pace.recheck_seconds


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a peer; `detail` is what was said to be wrong, for people."""

    began_seconds: float
    ended_seconds: float
    agent: Door
    controller: Door = Door.NOT_ASKED
    database: Door = Door.NOT_ASKED
    references: Door = Door.NOT_ASKED
    is_database_healthy: bool = True
    is_application_healthy: bool = True
    detail: str = ""

    @property
    def has_life_sign(self) -> bool:
        """Say whether the peer's agent gave an answer that only a living one gives."""
        return self.agent in (Door.ANSWERED, Door.REFUSED)

    @property
    def has_second_opinion(self) -> bool:
        """Say whether another door than the agent's was asked."""
        return self.controller is not Door.NOT_ASKED


@dataclass(frozen=True, slots=True)
class Series:
    """The looks at one peer since all was well, oldest first, and what makes older ones worthless."""

    looks: tuple[Look, ...] = ()
    well_at_seconds: float | None = None
    alive_at_seconds: float = float("-inf")
    fresh_from_seconds: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the series amounts to; `evidence` are the looks that agree, `is_certain` that they are enough."""

    kind: FailureKind
    is_certain: bool = False
    since_seconds: float | None = None
    evidence: tuple[Look, ...] = ()

    @property
    def count(self) -> int:
        """Return how many looks in a row agree."""
        return len(self.evidence)


def add_look(series: Series, look: Look, *, spacing_seconds: float = 0.0) -> Series:
    """Return the series with one more look.

    A look that began before the evidence may, or while the peer gave another life sign, counts for nothing. So does a
    failure that follows the last one sooner than `spacing_seconds`: looks on demand prove nothing the pace would not.
    """
    if kind_of(look) is FailureKind.WELL:
        return replace(series, looks=(), well_at_seconds=look.ended_seconds)
    if look.began_seconds < series.fresh_from_seconds:
        return series
    alive_at = max(series.alive_at_seconds, series.well_at_seconds or series.alive_at_seconds)
    if not look.has_life_sign and look.began_seconds < alive_at:
        return series
    if series.looks and look.began_seconds < series.looks[-1].ended_seconds + spacing_seconds:
        return series
    return replace(series, looks=(*series.looks, look)[-KEPT_LOOKS:])


def add_life_sign(series: Series, at_seconds: float) -> Series:
    """Return the series after the peer gave a life sign of another kind, as an export's answer is."""
    if at_seconds <= series.alive_at_seconds:
        return series
    looks = tuple(look for look in series.looks if look.has_life_sign or look.began_seconds >= at_seconds)
    return replace(series, looks=looks, alive_at_seconds=at_seconds)


def begin_anew(series: Series, at_seconds: float) -> Series:
    """Return the series without what began before: this process slept, or automatic failover was switched off."""
    if at_seconds <= series.fresh_from_seconds:
        return series
    looks = tuple(look for look in series.looks if look.began_seconds >= at_seconds)
    return replace(series, looks=looks, fresh_from_seconds=at_seconds)


def count_misses(series: Series) -> int:
    """Return how many looks in a row, up to now, found no life sign of the peer's agent."""
    count = 0
    for look in reversed(series.looks):
        if look.has_life_sign:
            break
        count += 1
    return count


def diagnose(series: Series, failures: int) -> Diagnosis:
    """Return what is wrong with the peer, by the looks at the end of the series that agree with the last one.

    `failures` of them make it certain. The first look of a series asks the agent alone, so it agrees with whatever the
    other doors say later; a silence without any second opinion is never certain.
    """
    if not series.looks:
        return Diagnosis(FailureKind.UNKNOWN if series.well_at_seconds is None else FailureKind.WELL)
    last = series.looks[-1]
    kind = kind_of(last)
    agreeing = 0
    for look in reversed(series.looks):
        if not _agrees(look, kind):
            break
        agreeing += 1
    evidence = series.looks[-agreeing:]
    return Diagnosis(
        kind=kind,
        is_certain=agreeing >= failures and (last.has_life_sign or last.has_second_opinion),
        since_seconds=evidence[0].began_seconds,
        evidence=evidence,
    )


def way_of(
    diagnosis: Diagnosis, now_seconds: float, *, agent_down_seconds: float, takes_over_for_application: bool
) -> Way:
    """Return how a standby would take over now, if the gate lets it; NONE while that is not due."""
    if not diagnosis.is_certain or diagnosis.since_seconds is None:
        return Way.NONE
    lasted = now_seconds - diagnosis.since_seconds
    match diagnosis.kind:
        case FailureKind.SILENT:
            return Way.UNPLANNED
        case FailureKind.AGENT_DOWN if lasted >= agent_down_seconds:
            return Way.CLOSED_FIRST
        case FailureKind.DATABASE_DOWN if lasted >= DATABASE_GRACE_SECONDS:
            return Way.ORDERED
        case FailureKind.APPLICATION_DOWN if takes_over_for_application:
            return Way.ORDERED
        case _:
            return Way.NONE


def kind_of(look: Look) -> FailureKind:
    """Return what one look alone says."""
    if look.agent is Door.ANSWERED:
        if not look.is_database_healthy:
            return FailureKind.DATABASE_DOWN
        return FailureKind.WELL if look.is_application_healthy else FailureKind.APPLICATION_DOWN
    if Door.REFUSED in (look.agent, look.controller):
        return FailureKind.REFUSED_US
    if look.controller is Door.ANSWERED or look.database in (Door.ANSWERED, Door.REFUSED):
        return FailureKind.AGENT_DOWN if look.agent is Door.SILENT else FailureKind.PROTOCOL
    if Door.GARBLED in (look.controller, look.database) or (look.agent is Door.GARBLED and not look.has_second_opinion):
        return FailureKind.PROTOCOL
    return FailureKind.SELF_ISOLATED if look.references is Door.SILENT else FailureKind.SILENT


def _agrees(look: Look, kind: FailureKind) -> bool:
    if kind_of(look) is kind:
        return True
    is_open = not look.has_life_sign and not look.has_second_opinion and look.database is Door.NOT_ASKED
    return is_open and kind in (
        FailureKind.SILENT,
        FailureKind.SELF_ISOLATED,
        FailureKind.AGENT_DOWN,
        FailureKind.PROTOCOL,
    )
