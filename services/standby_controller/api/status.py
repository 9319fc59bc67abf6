"""The pair's status and its components."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fastapi import APIRouter

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.gate_models import CheckAnswer, DiagnosisAnswer, SwitchesAnswer
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.role_models import ChangeAnswer
from services.standby_controller.api.status_models import (
    AdvisoryAnswer,
    ComponentAnswer,
    ConfigSight,
    NodeAnswer,
    ReasonAnswer,
    StatusAnswer,
)
from services.standby_controller.api.sync_models import SyncAnswer, progress_of
from services.standby_controller.api.wire import ListAnswer
from services.standby_controller.policy.advice import advise, summarise
from services.standby_controller.policy.safety import safety_text
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1", tags=["people"])


@router.get(
    "/status",
    operation_id="getStatus",
    summary="Show the pair: protected or not, both nodes, age of the data, syncs, advisories",
    response_model=StatusAnswer,
    responses=problem_responses(*ACCESS_ERRORS),
)
async def get_status(parts: PartsOf, _: Viewer) -> StatusAnswer:
    """Show what is known now; asks no other node, so it answers at once also while a node is silent."""
    judgement, situation, now = parts.gatekeeper.judge(), parts.lookout.look(), parts.clock.monotonic()
    running, last = parts.runner.running, parts.runner.memory.last
    following, in_progress = parts.schedule.next(), None
    if running is not None:
        record = replace(running.record, components=tuple(running.done))
        in_progress = SyncAnswer.of(record, progress=progress_of(running, now))
    return StatusAnswer(
        protected=judgement.is_protected,
        reasons=tuple(map(ReasonAnswer.of, judgement.reasons)),
        summary=summarise(situation),
        at=parts.clock.now(),
        node=NodeAnswer.of(parts.monitor.own, now),
        peers=tuple(NodeAnswer.of(peer, now) for peer in parts.monitor.peers),
        components=_components(parts),
        sync_in_progress=in_progress,
        last_sync=None if last is None else SyncAnswer.of(last),
        next_sync_at=None if following is None else max(parts.clock.now(), following.at),
        next_sync_why=None if following is None else following.why,
        role_change=None if parts.roles.changes.last is None else ChangeAnswer.of(parts.roles.changes.last),
        configuration=ConfigSight(
            version=parts.known.book.settings.version.etag.strip('"'),
            not_yet_on=parts.known.not_yet_on,
            not_in_effect=parts.known.not_in_effect(parts.monitor.owner),
        ),
        data_loss_seconds=situation.data_loss_seconds,
        takeover_seconds=situation.worst_case_detection_seconds + situation.takeover_seconds,
        advisories=tuple(map(AdvisoryAnswer.of, advise(situation))),
        rescue_count=await parts.rescues.count(),
        failover=SwitchesAnswer.of(parts.config.known.failover),
        diagnosis=DiagnosisAnswer.of(judgement),
        gate=tuple(map(CheckAnswer.of, judgement.checks)),
        worst_case_detection_seconds=parts.lookout.worst_case_detection_seconds(),
        safety=safety_text(parts.lookout.promise()),
    )


@router.get(
    "/advisories",
    operation_id="listAdvisories",
    summary="List what should be known or done, the most important first",
    response_model=ListAnswer[AdvisoryAnswer],
    responses=problem_responses(*ACCESS_ERRORS),
)
async def list_advisories(parts: PartsOf, _: Viewer) -> ListAnswer[AdvisoryAnswer]:
    """Show each finding with the figures behind it; the list is whole, and empty on a pair that needs nothing."""
    found = tuple(map(AdvisoryAnswer.of, advise(parts.lookout.look())))
    return ListAnswer[AdvisoryAnswer](items=found, next_cursor=None)


@router.get(
    "/components",
    operation_id="listComponents",
    summary="List the replicated components of this node",
    response_model=ListAnswer[ComponentAnswer],
    responses=problem_responses(*ACCESS_ERRORS),
)
async def list_components(parts: PartsOf, _: Viewer) -> ListAnswer[ComponentAnswer]:
    """Show each component's copy, its age, and what a delta cannot keep current."""
    return ListAnswer[ComponentAnswer](items=_components(parts), next_cursor=None)


def _components(parts: Parts) -> tuple[ComponentAnswer, ...]:
    present = parts.monitor.own.present
    seen = {} if present is None else {component.name: component for component in present.components}
    answers = []
    for component in parts.settings.all_components:
        success = parts.runner.memory.successes.get(component.name)
        age = parts.lookout.data_age_seconds(success)
        answers.append(ComponentAnswer.of(component, success, age, seen.get(component.name)))
    return tuple(answers)
