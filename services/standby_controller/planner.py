"""The dry run of a change of roles: reads what is known and makes a plan; it holds nothing that could do anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.standby_controller.gatekeeper import Judgement
from services.standby_controller.policy.detector import FailureKind
from services.standby_controller.policy.gate import Override
from services.standby_controller.policy.plan import Plan, PlanFacts, PlanKind, make_plan
from services.standby_controller.store.records import SyncRecord
from shared.settings import Settings
from shared.surroundings import HookName

_ANSWERING: Final = (FailureKind.WELL, FailureKind.DATABASE_DOWN, FailureKind.APPLICATION_DOWN)


class LastSync(Protocol):
    """Remembers syncs."""

    @property
    def last(self) -> SyncRecord | None:
        """The last sync that ended."""


@dataclass(frozen=True, slots=True)
class Sight:
    """All that a plan is made from: each of these only tells."""

    judge: Callable[[], Judgement]
    worst_case_detection_seconds: Callable[[], float]
    syncs: LastSync


class Planner:
    """Makes plans."""

    def __init__(self, settings: Settings, sight: Sight) -> None:
        self._settings = settings
        self._sight = sight

    def plan(self, kind: PlanKind, overrides: Sequence[Override] = ()) -> Plan:
        """Return what a change of roles on this node would check and do now."""
        judgement, hooks = self._sight.judge(), self._settings.hooks
        limits = [(name, hooks.limit_seconds(name)) for name in HookName if hooks.command(name) is not None]
        last = self._sight.syncs.last
        took = None if last is None else last.took_seconds
        facts = PlanFacts(
            own_id=self._settings.node.id,
            active_id=judgement.peer_id,
            is_active_answering=judgement.kind in _ANSWERING,
            is_agent_down=judgement.kind is FailureKind.AGENT_DOWN,
            hook_limits=tuple(limits),
            sync_seconds=took,
        )
        return make_plan(
            kind,
            judgement.way,
            judgement.checks,
            facts,
            overrides=overrides,
            data_age_seconds=judgement.data_age_seconds,
            detection_seconds=self._sight.worst_case_detection_seconds(),
        )
