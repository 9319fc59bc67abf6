"""What a failover or a switchover would check and do, as data: acts are named, nothing here could do one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.standby_controller.policy.detector import Way
from services.standby_controller.policy.gate import Check, Override, refusals_automatic, refusals_by_hand
from shared.errors.base import Refusal
from shared.node.model import AttemptKind
from shared.node.steps import DEMOTION, PROMOTION, SENTENCES, Act
from shared.surroundings import HookName

BARE_TAKEOVER_SECONDS: Final = 1.0
"""From the decision to the first probe that says active, without hooks."""


class PlanKind(StrEnum):
    """What is planned."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"


@dataclass(frozen=True, slots=True)
class PlannedAct:
    """One act: which node does it, what it is, and how long it may take at most where that is limited."""

    node_id: str
    name: str
    text: str
    is_point_of_no_return: bool = False
    is_skipped: bool = False
    limit_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What the acts depend on: who is who, which hooks there are with their limits, what the node that serves does."""

    own_id: str
    active_id: str | None
    is_active_answering: bool
    hook_limits: tuple[tuple[HookName, float], ...] = ()
    sync_seconds: float | None = None
    is_agent_down: bool = False
    """The agent of the node that serves is dead, its controller answers."""

    def limit_of(self, name: str) -> float | None:
        """Return the limit of a hook; None where there is no such hook."""
        return next((limit for hook, limit in self.hook_limits if hook.value == name), None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The dry run: every check, every act, what it would cost."""

    kind: PlanKind
    way: Way
    checks: tuple[Check, ...]
    refusals_automatic: tuple[Refusal, ...]
    refusals_by_hand: tuple[Refusal, ...]
    acts: tuple[PlannedAct, ...]
    estimated_loss_seconds: float | None
    detection_seconds: float
    takeover_seconds: float


_SYNC: Final = ("sync", "bring the copy up to date while the active node serves, until the next sync is short")
_RESERVE: Final = ("reserve", "open the attempt: durable, and may still be abandoned")
_LAST_SYNC: Final = ("last_sync", "bring the last changes, up to the position at which the active node was closed")
_FENCE_OLD: Final = ("fence_former", "tell the former active node to stop serving until it confirms")
_RETURN: Final = ("return", "make the former active node a standby, with a first sync from this one")


def make_plan(
    kind: PlanKind,
    way: Way,
    checks: Sequence[Check],
    facts: PlanFacts,
    *,
    overrides: Sequence[Override],
    data_age_seconds: float | None,
    detection_seconds: float,
) -> Plan:
    """Return the plan of a change of roles that would be begun now."""
    acts = _switchover(facts) if kind is PlanKind.SWITCHOVER else _failover(facts)
    return Plan(
        kind=kind,
        way=way,
        checks=tuple(checks),
        refusals_automatic=refusals_automatic(checks),
        refusals_by_hand=refusals_by_hand(checks, overrides),
        acts=acts,
        estimated_loss_seconds=0.0 if kind is PlanKind.SWITCHOVER else data_age_seconds,
        detection_seconds=0.0 if kind is PlanKind.SWITCHOVER else detection_seconds,
        takeover_seconds=BARE_TAKEOVER_SECONDS + (facts.sync_seconds or 0.0 if kind is PlanKind.SWITCHOVER else 0.0),
    )


def _failover(facts: PlanFacts) -> tuple[PlannedAct, ...]:
    if facts.is_active_answering and facts.active_id is not None:  # it is closed first, with proof
        return (
            _plain(facts.own_id, _RESERVE),
            *_promotion(facts, AttemptKind.TAKEOVER, meanwhile=_demotion(facts, facts.active_id)),
        )
    closing: tuple[PlannedAct, ...] = ()
    if facts.is_agent_down and facts.active_id is not None:  # by its controller, which runs no hooks
        acts = _demotion(facts, facts.active_id)
        closing = tuple(act for act in acts if act.name != Act.STOP_APPLICATION)
    former = () if facts.active_id is None else (_plain(facts.active_id, _FENCE_OLD),)
    return (*closing, _plain(facts.own_id, _RESERVE), *_promotion(facts, AttemptKind.FAILOVER), *former)


def _switchover(facts: PlanFacts) -> tuple[PlannedAct, ...]:
    active_id = facts.active_id or "the active node"
    closing = (*_demotion(facts, active_id), _plain(facts.own_id, _LAST_SYNC))
    return (
        _plain(facts.own_id, _SYNC),
        _plain(facts.own_id, _RESERVE),
        *_promotion(facts, AttemptKind.SWITCHOVER, meanwhile=closing),
        _plain(active_id, _RETURN),
    )


def _promotion(facts: PlanFacts, kind: AttemptKind, meanwhile: tuple[PlannedAct, ...] = ()) -> tuple[PlannedAct, ...]:
    acts: list[PlannedAct] = []
    for act in PROMOTION[kind]:
        if act is Act.AWAIT_HANDOVER:
            acts.extend(meanwhile)
        acts.append(_act(facts, facts.own_id, act))
    return tuple(acts)


def _demotion(facts: PlanFacts, node_id: str) -> tuple[PlannedAct, ...]:
    return tuple(PlannedAct(node_id, act.value, SENTENCES[act]) for act in DEMOTION if act is not Act.CLOSED)


def _act(facts: PlanFacts, node_id: str, act: Act) -> PlannedAct:
    is_hook = act.value in {hook.value for hook in HookName}
    limit = facts.limit_of(act.value) if is_hook else None
    return PlannedAct(
        node_id,
        act.value,
        SENTENCES[act],
        is_point_of_no_return=act is Act.TAKE_TERM,
        is_skipped=is_hook and limit is None,
        limit_seconds=limit,
    )


def _plain(node_id: str, what: tuple[str, str]) -> PlannedAct:
    return PlannedAct(node_id, *what)
