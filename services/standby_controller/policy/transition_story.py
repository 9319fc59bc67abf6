"""What a change of roles was, told from the journals of both nodes and from what their controllers had seen. Pure.

Both nodes make the same story of the same lines. Acts and kinds are those of the agents' journals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.node.model import JournalEntry
from shared.node.steps import Act

PROMOTIONS: Final = ("failover", "takeover", "switchover", "force")
FAILBACK: Final = "failback"
HOOK: Final = "hook"
LAST_ACTS: Final = {**dict.fromkeys(PROMOTIONS, Act.OPEN.value), "fence": Act.PROVE.value}
"""The act with which the node serves, or serves no more; hooks may follow it."""
GIVEN_UP: Final = ("abandoned", "close_failed", "handover_abandoned")
_FOR_PEOPLE: Final = {"takeover": "failover"}  # of a node that answers: it is ordered to stop first
_IN_ONE_LINE: Final = ("unfence", "return")


class TransitionResult(StrEnum):
    """How a transition stands or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ABANDONED = "abandoned"


class Topic(StrEnum):
    """What a piece of evidence is about."""

    LOOKS = "looks"  # at the peers, in the minute before
    DECISION = "decision"  # what the deciding controller weighed: kind of failure, gate, estimated loss
    LOSS = "loss"  # what the lost node alone had, known when it is back


@dataclass(frozen=True, slots=True)
class JournalLine:
    """An entry of one node's journal."""

    node: str
    entry: JournalEntry


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one controller knew of a transition."""

    node: str
    topic: Topic
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Phase:
    """One act of one node; `outcome` is begun while it is being done."""

    node: str
    step: str
    outcome: str
    started_at: datetime
    seconds: float | None
    detail: str
    times: int
    """How often it was begun."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of roles."""

    id: str
    kind: str
    node: str
    """The node that was promoted, or else the one that changed."""
    result: TransitionResult
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float | None
    """By the monotonic clock of that node, where it was written down; the nodes' wall clocks may differ."""
    is_by_hand: bool
    asked_by: str
    """Whose word it was, as far as it is known: an administrator's token, the controller, or the node itself."""
    why: str
    term_epoch: int | None
    attempts: int
    phases: tuple[Phase, ...]
    evidence: tuple[Evidence, ...] = ()

    def known(self, topic: Topic, key: str) -> Any:
        """Return a value that a controller noted, the newest first; None where nobody did."""
        found = [one for one in self.evidence if one.topic is topic and key in one.data]
        return max(found, key=lambda one: one.at).data[key] if found else None


def tell_transition(
    lines: Sequence[JournalLine],
    evidence: Sequence[Evidence] = (),
    *,
    primary: str | None = None,
    superseded: frozenset[str] = frozenset(),
) -> Transition:
    """Return the story of one transition's lines, of which there is at least one.

    `primary` is the node of that mode: a switchover to it is a failback. `superseded` are nodes whose journal goes on
    with another transition: what they have not ended will not end.
    """
    ordered = sorted(lines, key=lambda line: (line.entry.at, line.node, line.entry.seq))
    leading = [line for line in ordered if line.entry.kind in PROMOTIONS]
    leading = leading or [line for line in ordered if line.entry.kind != HOOK] or list(ordered)
    first = leading[0]
    kind = first.entry.kind
    result, last = _result(kind, leading, is_superseded=first.node in superseded)
    phases, is_by_hand = _phases(ordered), _is_by_hand(leading)
    known = tuple(sorted(evidence, key=lambda one: (one.at, one.node, one.topic)))
    return Transition(
        id=first.entry.transition_id,
        kind=FAILBACK if kind == "switchover" and first.node == primary else _FOR_PEOPLE.get(kind, kind),
        node=first.node,
        result=result,
        started_at=ordered[0].entry.at,
        ended_at=None if last is None else last.entry.at,
        duration_seconds=None if last is None else _duration_seconds(ordered, last),
        is_by_hand=is_by_hand,
        asked_by=_asked_by(first.node, is_by_hand, known),
        why=_why(leading),
        term_epoch=_epoch(leading),
        attempts=max((phase.times for phase in phases if phase.node == first.node), default=1),
        phases=phases,
        evidence=known,
    )


def _result(
    kind: str, lines: Sequence[JournalLine], *, is_superseded: bool
) -> tuple[TransitionResult, JournalLine | None]:
    last_act = LAST_ACTS.get(kind)
    for line in lines:
        entry = line.entry
        if entry.outcome == "done" and (entry.step == last_act or kind in _IN_ONE_LINE):
            return TransitionResult.SUCCEEDED, line
    for line in lines:
        if line.entry.step in GIVEN_UP:
            return TransitionResult.ABANDONED, line
    if is_superseded:
        return TransitionResult.ABANDONED, lines[-1]
    return TransitionResult.RUNNING, None


def _duration_seconds(ordered: Sequence[JournalLine], last: JournalLine) -> float:
    """Return the time from the first line of the node that ended it to that end; by its wall clock after a boot."""
    first = next(line for line in ordered if line.node == last.node).entry
    began, ended = first.monotonic_seconds, last.entry.monotonic_seconds
    if began is not None and ended is not None and ended >= began:
        return ended - began
    return max(0.0, (last.entry.at - first.at).total_seconds())


def _phases(lines: Sequence[JournalLine]) -> tuple[Phase, ...]:
    phases: dict[tuple[str, str], Phase] = {}
    for line in lines:
        entry, key = line.entry, (line.node, line.entry.step)
        before = phases.get(key)
        phases[key] = Phase(
            node=line.node,
            step=entry.step,
            outcome=entry.outcome,
            started_at=entry.at if before is None else before.started_at,
            seconds=entry.seconds if entry.seconds is not None or before is None else before.seconds,
            detail=entry.detail or ("" if before is None else before.detail),
            times=(0 if before is None else before.times) + (entry.outcome == "begun" or before is None),
        )
    return tuple(sorted(phases.values(), key=lambda phase: phase.started_at))


def _is_by_hand(lines: Sequence[JournalLine]) -> bool:
    said = [_first(line.entry.data, "is_by_hand", "by_hand") for line in lines]
    return any(value in (True, "true") for value in said)


def _asked_by(node: str, is_by_hand: bool, evidence: Sequence[Evidence]) -> str:
    told = [one.data.get("requested_by") for one in evidence if one.topic is Topic.DECISION]
    name = next((str(name) for name in told if name), "a person" if is_by_hand else "")
    return f"{name} on {node}" if name else f"node {node} by itself"


def _why(lines: Sequence[JournalLine]) -> str:
    for line in lines:
        text = _first(line.entry.data, "why") or (line.entry.detail if line.entry.step == "asked" else "")
        if text:
            return str(text)
    reasons = [_first(line.entry.data, "reason", "reason_code") for line in lines]
    return str(next((reason for reason in reasons if reason), lines[0].entry.detail))


def _epoch(lines: Sequence[JournalLine]) -> int | None:
    for line in lines:
        value = line.entry.data.get("epoch")
        if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit()):
            return int(value)
    return None


def _first(data: Mapping[str, Any], *keys: str) -> Any:
    return next((data[key] for key in keys if data.get(key) is not None), None)
