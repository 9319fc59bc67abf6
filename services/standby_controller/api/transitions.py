"""The history of changes of roles: failover, switchover and their kin."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from services.standby_controller.api.access import ACCESS_ERRORS, Viewer
from services.standby_controller.api.parts import PartsOf
from services.standby_controller.api.tables import CSV, as_csv, link_to_next, wants_csv
from services.standby_controller.api.transition_models import TransitionAnswer
from services.standby_controller.api.wire import DEFAULT_LIMIT, NAME, Before, Cursor, From, Limit, ListAnswer
from services.standby_controller.policy.transition_story import TransitionResult
from services.standby_controller.store.transitions import TransitionFilter
from shared.errors import CursorInvalid, NotFound
from shared.http.problem import problem_responses

router: Final = APIRouter(prefix="/v1/transitions", tags=["people"])

Kind = Literal["failover", "switchover", "failback", "force", "fence", "handover", "unfence", "return", "in_doubt"]
_COLUMNS: Final = (
    "id", "kind", "node", "result", "started_at", "ended_at", "duration_seconds", "is_by_hand", "asked_by", "why",
    "term_epoch", "attempts", "estimated_loss_seconds", "lost_rows",
)  # fmt: skip


@router.get(
    "",
    operation_id="listTransitions",
    summary="List changes of roles, newest first",
    response_model=ListAnswer[TransitionAnswer],
    responses={
        200: {"description": "A page of transitions.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problem_responses(*ACCESS_ERRORS, CursorInvalid),
    },
)
async def list_transitions(
    request: Request,
    parts: PartsOf,
    _: Viewer,
    *,
    kind: Annotated[list[Kind] | None, Query(description="Only these kinds; may be repeated.")] = None,
    result: Annotated[list[TransitionResult] | None, Query(description="Only these results; may be repeated.")] = None,
    node: Annotated[str | None, Query(pattern=NAME, description="Only of this node.")] = None,
    started_from: From = None,
    started_before: Before = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Any:
    """Read what happened on either node; `Accept: text/csv` gives the page as CSV, with `Link` to the next one."""
    wanted = TransitionFilter(tuple(kind or ()), tuple(result or ()), node, started_from, started_before)
    page = await parts.transitions.list_transitions(wanted, limit, cursor)
    items = tuple(map(TransitionAnswer.of, page.items))
    if wants_csv(request):
        rows = (item.model_dump(mode="json") for item in items)
        text = as_csv(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))
        return Response(text, media_type=CSV, headers=link_to_next(request, page.next_cursor))
    return ListAnswer[TransitionAnswer](items=items, next_cursor=page.next_cursor)


@router.get(
    "/{transition_id}",
    operation_id="getTransition",
    summary="Show one change of roles",
    response_model=TransitionAnswer,
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def get_transition(
    parts: PartsOf, _: Viewer, transition_id: Annotated[str, Path(description="Id of a transition.", max_length=100)]
) -> TransitionAnswer:
    """Show what happened, who decided and why, the evidence of that minute, each phase, and what was lost."""
    return TransitionAnswer.of(await parts.transitions.read(transition_id))
