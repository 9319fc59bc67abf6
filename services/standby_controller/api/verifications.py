"""Verifications: start one, list and show them, repair what one found."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Header, Path, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Operator, Viewer
from services.standby_controller.api.audit import note
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.wire import (
    DEFAULT_LIMIT,
    NAME,
    Answer,
    Cursor,
    Demand,
    FailureAnswer,
    Instant,
    Limit,
    ListAnswer,
)
from services.standby_controller.store.audit import Action
from services.standby_controller.store.records import SyncRecord, SyncResult, Trigger
from services.standby_controller.store.verifications import FoundDifference, VerificationRecord, VerifiedComponent
from services.standby_controller.verify.model import DifferenceKind
from shared.errors import (
    ClockSkew,
    CursorInvalid,
    NotActive,
    NotFound,
    NothingToRepair,
    NotStandby,
    PeerRefusedUs,
    PeerUnreachable,
    SyncRunning,
)
from shared.http.problem import problem_responses
from shared.replication.verification import Level

router: Final = APIRouter(prefix="/v1/verifications", tags=["people"])

VerificationId = Annotated[str, Path(description="Id of a verification: that of its sync.", max_length=100)]
Key = Annotated[
    str | None,
    Header(
        description="The same key gives the same verification again instead of a second one.",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
    ),
]
_LOCATION: Final = {"Location": {"description": "Address of the verification.", "schema": {"type": "string"}}}
_STARTING: Final = (
    *ACCESS_ERRORS, NotFound, SyncRunning, NotStandby, NotActive, PeerUnreachable, PeerRefusedUs, ClockSkew,
)  # fmt: skip


class Verdict(StrEnum):
    """What a verification came to."""

    RUNNING = "running"
    EQUAL = "equal"
    REPAIRED = "repaired"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"


class StartVerification(Demand):
    """What is to be compared."""

    component: str | None = Field(None, pattern=NAME, description="Only this one; null for all.")
    level: Literal["counts", "changed", "full"] = Field(
        "full", description="How much; `counts` and `changed` look at what the sync brings something of."
    )


class StartedAnswer(Answer):
    """A verification that was started."""

    id: str
    level: Level
    started_at: Instant


class DifferenceAnswer(Answer):
    """One table, sequence or path that differed."""

    kind: DifferenceKind
    name: str = Field(description="`schema.name`; of a file set, a path (percent-encoded).")
    text: str
    rows_here: int | None = Field(description="Rows of the copy.")
    rows_there: int | None = Field(description="Rows on the active node.")
    missing: int | None = Field(description="Rows that the copy lacked; null where rows have no key.")
    extra: int | None = Field(description="Rows that only the copy had.")
    changed: int | None
    first_key: str | None = Field(description="The lowest key that differs.")
    last_key: str | None = Field(description="The highest one.")
    is_expected: bool = Field(description="The table is not kept current by deltas.")
    is_repaired: bool
    is_open: bool = Field(description="It stands: nothing has looked there since.")
    repaired_at: Instant | None

    @classmethod
    def of(cls, found: FoundDifference) -> DifferenceAnswer:
        """Return the answer for a difference."""
        one = found.difference
        shown = {name: getattr(one, name) for name in cls.model_fields if name not in ("is_open", "repaired_at")}
        return cls(**shown, is_open=found.is_open, repaired_at=found.repaired_at)


class VerifiedAnswer(Answer):
    """One component that was compared."""

    component: str
    tables: int
    rows: int = Field(description="Rows of the active node in them.")
    duration_seconds: float
    snapshot_at: Instant | None = Field(description="The moment both sides were compared at.")
    next_after: str | None = Field(description="The last table, where the time ran out before all were compared.")
    failure: FailureAnswer | None = Field(description="Why not all could be compared.")
    differences: tuple[DifferenceAnswer, ...]

    @classmethod
    def of(cls, found: VerifiedComponent) -> VerifiedAnswer:
        """Return the answer for a component."""
        return cls(
            component=found.component,
            tables=found.tables,
            rows=found.rows,
            duration_seconds=found.duration_seconds,
            snapshot_at=found.snapshot_at,
            next_after=found.next_after,
            failure=FailureAnswer.of(found.problem),
            differences=tuple(map(DifferenceAnswer.of, found.differences)),
        )


class VerificationAnswer(Answer):
    """One verification."""

    id: str
    verdict: Verdict
    level: Level
    is_repairing: bool
    trigger: Trigger
    requested_by: str | None
    started_at: Instant
    ended_at: Instant | None
    failure: FailureAnswer | None = Field(description="Of its sync.")
    components: tuple[VerifiedAnswer, ...]

    @classmethod
    def of(cls, record: VerificationRecord) -> VerificationAnswer:
        """Return the answer for a verification."""
        return cls(
            id=record.id,
            verdict=_verdict_of(record),
            level=record.level,
            is_repairing=record.is_repairing,
            trigger=record.trigger,
            requested_by=record.requested_by,
            started_at=record.started_at,
            ended_at=record.ended_at,
            failure=FailureAnswer.of(record.failure),
            components=tuple(map(VerifiedAnswer.of, record.components)),
        )


@router.post(
    "",
    operation_id="startVerification",
    summary="Compare this standby's copies with the active node",
    status_code=202,
    responses={
        202: {"description": "It runs, as part of a sync; watch it at `Location`.", "headers": _LOCATION},
        **problem_responses(*_STARTING),
    },
)
async def start_verification(
    response: Response,
    parts: PartsOf,
    caller: Operator,
    demand: StartVerification | None = None,
    idempotency_key: Key = None,
) -> StartedAnswer:
    """Sync, then compare both sides at its snapshot; what differs is named, and repaired as the settings say."""
    demand = demand or StartVerification()
    level, component = Level(demand.level), demand.component
    record, is_new = await parts.verifications.start(level, component, caller.name, idempotency_key)
    if is_new:
        note(parts, caller, Action.VERIFICATION_STARTED, record.id, {"level": level, "component": component})
    return _started(response, record, level)


@router.get(
    "",
    operation_id="listVerifications",
    summary="List verifications of this node, newest first",
    responses=problem_responses(*ACCESS_ERRORS, CursorInvalid),
)
async def list_verifications(
    parts: PartsOf, _: Viewer, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> ListAnswer[VerificationAnswer]:
    """Show those on request, those in the background, and those after syncs."""
    page = await parts.verifications.history.list_verifications(limit, cursor)
    items = tuple(map(VerificationAnswer.of, page.items))
    return ListAnswer[VerificationAnswer](items=items, next_cursor=page.next_cursor)


@router.get(
    "/{verification_id}",
    operation_id="getVerification",
    summary="Show one verification",
    responses=problem_responses(*ACCESS_ERRORS, NotFound),
)
async def get_verification(parts: PartsOf, _: Viewer, verification_id: VerificationId) -> VerificationAnswer:
    """Show each difference with rows, keys, and whether it was repaired; `/v1/syncs/{id}` shows the progress."""
    return VerificationAnswer.of(await _read(parts, verification_id))


@router.post(
    "/{verification_id}/repair",
    operation_id="repairVerification",
    summary="Bring again what a verification found to differ",
    status_code=202,
    responses={
        202: {"description": "It runs, as a verification of its own; watch it at `Location`.", "headers": _LOCATION},
        **problem_responses(*_STARTING, NothingToRepair),
    },
)
async def repair_verification(
    response: Response, parts: PartsOf, caller: Operator, verification_id: VerificationId, idempotency_key: Key = None
) -> StartedAnswer:
    """Compare its tables once more, and bring the rows that still differ from the active node."""
    record, is_new = await parts.verifications.repair(verification_id, caller.name, idempotency_key)
    if is_new:
        note(parts, caller, Action.VERIFICATION_STARTED, record.id, {"repairs": verification_id})
    return _started(response, record, Level.FULL)


def _started(response: Response, record: SyncRecord, level: Level) -> StartedAnswer:
    response.headers["Location"] = f"/v1/verifications/{record.id}"
    return StartedAnswer(id=record.id, level=level, started_at=record.started_at)


async def _read(parts: Parts, verification_id: str) -> VerificationRecord:
    """Return a verification, also one whose sync has begun this moment."""
    running = parts.runner.running
    try:
        return await parts.verifications.history.read(verification_id)
    except NotFound:
        if running is None or running.record.id != verification_id or running.order is None:
            raise
        record, order = running.record, running.order
        started_at: datetime = record.started_at
        return VerificationRecord(
            node=record.node,
            seq=record.seq,
            level=order.level,
            is_repairing=order.is_repairing,
            is_whole=order.tables is None,
            trigger=record.trigger,
            requested_by=record.requested_by,
            started_at=started_at,
            ended_at=None,
            sync_result=record.result,
            failure=None,
        )


def _verdict_of(record: VerificationRecord) -> Verdict:
    wrong = [one.difference for part in record.components for one in part.differences if not one.difference.is_expected]
    if any(not one.is_repaired for one in wrong):
        return Verdict.DIFFERS
    if record.sync_result is SyncResult.RUNNING:
        return Verdict.RUNNING
    is_done = record.sync_result is SyncResult.SUCCEEDED
    if not is_done or any(part.problem is not None or part.next_after is not None for part in record.components):
        return Verdict.INCOMPLETE
    return Verdict.REPAIRED if wrong else Verdict.EQUAL
