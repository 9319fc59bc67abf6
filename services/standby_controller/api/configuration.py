"""The pair's configuration: read, replace, change in parts; each change names the version it was made from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Body, Header, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Admin, Viewer
from services.standby_controller.api.config_models import (
    NextRunAnswer,
    PreviewAnswer,
    Prospect,
    next_run_of,
    preview,
)
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.wire import Answer, Demand, Instant
from services.standby_controller.pace import check_pace, pace_of
from services.standby_controller.pair_document import PairDocument, changed_document, merge_patch, revealed
from services.standby_controller.pair_groups import (
    ApplicationPolicy,
    ClockSkewPolicy,
    FailoverPolicy,
    RepairPolicy,
    ReturnPolicy,
)
from services.standby_controller.policy.detector import worst_case_detection_seconds
from services.standby_controller.policy.pair_merge import is_overruled
from services.standby_controller.policy.saving import check_gap, settle
from services.standby_controller.policy.schedule import FirstRun
from services.standby_controller.policy.sync_pace import MOST_RUNS, WINDOW, judge_pace
from services.standby_controller.setting_group import WHOLE
from services.standby_controller.store.pair_config import StoredConfig
from services.standby_controller.store.tokens import Token
from shared.errors import (
    ConfigRefused,
    PostgresError,
    PreconditionFailed,
    PreconditionRequired,
    RequestError,
    ScheduleGap,
)
from shared.http.problem import problem_responses
from shared.node.model import State
from shared.replication.verification import Level

router: Final = APIRouter(prefix="/v1/config", tags=["people"])

MERGE_PATCH: Final = "application/merge-patch+json"
_ETAG: Final = {"ETag": {"description": "Version of the document.", "schema": {"type": "string"}}}
_CHANGE_ERRORS: Final = (
    *ACCESS_ERRORS,
    PreconditionRequired,
    PreconditionFailed,
    ConfigRefused,
    ScheduleGap,
    RequestError,
)

IfMatch = Annotated[str | None, Header(description="The ETag that the change was made from; needed.", max_length=200)]


class SyncPatch(Demand):
    """Changes of `sync`."""

    enabled: bool | None = None
    start_time: str | None = None
    time_zone: str | None = None
    run_every: str | None = None
    first_run: Annotated[FirstRun, Field(strict=False)] | None = None
    accept_short_interval: bool | None = None
    accept_gap: bool | None = None
    rebase: bool | None = None


class HistoryPatch(Demand):
    """Changes of `history`."""

    sync_days: Annotated[int, WHOLE] | None = None
    heartbeat_days: Annotated[int, WHOLE] | None = None
    heartbeat_count: Annotated[int, WHOLE] | None = None
    heartbeat_hours_days: Annotated[int, WHOLE] | None = None
    transition_days: Annotated[int, WHOLE] | None = None
    audit_days: Annotated[int, WHOLE] | None = None


class FailoverPatch(Demand):
    """Changes of `failover`."""

    policy: Annotated[FailoverPolicy, Field(strict=False)] | None = None
    armed: bool | None = None
    maintenance: bool | None = None
    failures: Annotated[int, WHOLE] | None = None
    recheck_seconds: float | None = None
    agent_down_seconds: float | None = None
    application_down: Annotated[ApplicationPolicy, Field(strict=False)] | None = None
    cooldown_seconds: float | None = None
    data_age_limit_seconds: Annotated[int, WHOLE] | None = None
    max_write_gap_seconds: float | None = None
    sequence_headroom: Annotated[int, WHOLE] | None = None
    resync_returned_node: Annotated[ReturnPolicy, Field(strict=False)] | None = None
    fence_peer_required: bool | None = None
    no_referee_acknowledged: bool | None = None


class GuardsPatch(Demand):
    """Changes of `guards`."""

    max_rows_lost_share: float | None = None
    max_table_rows_lost_share: float | None = None
    max_tables_lost_share: float | None = None
    least_rows: Annotated[int, WHOLE] | None = None


class MonitorPatch(Demand):
    """Changes of `monitor`."""

    misses_until_lost: Annotated[int, WHOLE] | None = Field(
        None, deprecated=True, description="The name of `failover.failures` in earlier releases."
    )
    offset_warning_seconds: float | None = None
    offset_limit_seconds: float | None = None
    clock_skew_policy: Annotated[ClockSkewPolicy, Field(strict=False)] | None = None


class VerificationPatch(Demand):
    """Changes of `verification`."""

    after_sync: Annotated[Level, Field(strict=False)] | None = None
    repair: Annotated[RepairPolicy, Field(strict=False)] | None = None
    full_every_days: Annotated[int, WHOLE] | None = None
    background_share: float | None = None


class ChannelPatch(Demand):
    """Changes of a channel, whatever its kind; a new one needs `kind` and what that kind needs."""

    kind: str | None = None
    enabled: bool | None = None
    min_severity: str | None = None
    include: list[str] | None = None
    exclude: list[str] | None = None
    timeout_seconds: float | None = None
    host: str | None = None
    port: Annotated[int, WHOLE] | None = None
    security: str | None = None
    user: str | None = None
    password: str | None = Field(None, json_schema_extra={"format": "password"})
    sender: str | None = None
    recipients: list[str] | None = None
    url: str | None = None
    secrets: list[str] | None = None
    headers: dict[str, str | None] | None = None


class NotificationsPatch(Demand):
    """Changes of `notifications`; a channel that is null is taken away."""

    channels: dict[str, ChannelPatch | None] | None = None
    fold_seconds: Annotated[int, WHOLE] | None = None
    give_up_hours: Annotated[int, WHOLE] | None = None
    digest: bool | None = None
    digest_at: str | None = None
    zone: str | None = None
    dead_man_url: str | None = None
    dead_man_seconds: Annotated[int, WHOLE] | None = None


class DocumentPatch(Demand):
    """Changes of the configuration: what is left out stays, null gives the default."""

    sync: SyncPatch | None = None
    history: HistoryPatch | None = None
    failover: FailoverPatch | None = None
    monitor: MonitorPatch | None = None
    verification: VerificationPatch | None = None
    guards: GuardsPatch | None = None
    notifications: NotificationsPatch | None = None


class ConfigAnswer(Answer):
    """The configuration with its version."""

    document: PairDocument
    epoch: int = Field(description="Epoch of the term in which it was changed.")
    version: int
    changed_at: Instant
    changed_by: str
    changed_on: str = Field(description="The node that it was changed on; empty for the defaults.")
    not_yet_on: tuple[str, ...] = Field(
        description="Nodes that are not known to have it; they are told when they answer."
    )
    not_in_effect: tuple[str, ...] = Field(
        description="Settings that widen the right to promote, and do not count here before the active node has them."
    )
    is_last_good: bool = Field(description="The control database is away: it can be read, and not changed.")

    next_run: NextRunAnswer | None = Field(
        description="The next scheduled sync, by whichever node is standby then; null while the schedule is off."
    )
    worst_case_detection_seconds: float = Field(
        description="How long this node takes at most to be certain that a peer is silent: "
        "[controller] heartbeat_seconds + failures x heartbeat_timeout_seconds + (failures - 1) x recheck_seconds."
    )

    @classmethod
    def of(cls, stored: StoredConfig, parts: Parts, *, is_last_good: bool = False) -> ConfigAnswer:
        """Return the answer for a stored document."""
        return cls(
            document=stored.document,
            next_run=next_run_of(stored.document, _handled_at(parts), parts.clock.now()),
            worst_case_detection_seconds=worst_case_detection_seconds(pace_of(parts.settings, stored.document)),
            epoch=stored.version.epoch,
            version=stored.version.version,
            changed_at=stored.settings.changed_at,
            changed_by=stored.settings.changed_by,
            changed_on=stored.version.node_id,
            not_yet_on=parts.known.not_yet_on,
            not_in_effect=parts.known.not_in_effect(parts.monitor.owner),
            is_last_good=is_last_good,
        )


@router.get(
    "",
    operation_id="getConfig",
    summary="Show the pair's configuration",
    response_model=ConfigAnswer,
    responses={200: {"headers": _ETAG}, **problem_responses(*ACCESS_ERRORS)},
)
async def get_config(response: Response, parts: PartsOf, _: Viewer) -> ConfigAnswer:
    """Show all values, defaults included; the ETag is what a change names as If-Match."""
    try:
        stored, is_last_good = await parts.config.read(parts.clock.now()), False
    except PostgresError:
        stored, is_last_good = StoredConfig.of(parts.known.book.settings), True
    return _shown(response, parts, stored, is_last_good=is_last_good)


@router.put(
    "",
    operation_id="replaceConfig",
    summary="Replace the pair's configuration",
    response_model=ConfigAnswer,
    responses={200: {"headers": _ETAG}, **problem_responses(*_CHANGE_ERRORS)},
)
async def replace_config(
    response: Response, parts: PartsOf, caller: Admin, document: PairDocument, if_match: IfMatch = None
) -> ConfigAnswer:
    """Set all values; what is left out gets its default."""
    base = await _base(parts, if_match)
    document = changed_document(revealed(document), base.document)
    return await _saved(response, parts, caller, base, document)


@router.patch(
    "",
    operation_id="changeConfig",
    summary="Change parts of the pair's configuration",
    response_model=ConfigAnswer,
    responses={200: {"headers": _ETAG}, **problem_responses(*_CHANGE_ERRORS)},
)
async def change_config(
    response: Response,
    parts: PartsOf,
    caller: Admin,
    patch: Annotated[DocumentPatch, Body(media_type=MERGE_PATCH)],
    if_match: IfMatch = None,
) -> ConfigAnswer:
    """Change the values that are sent (RFC 7396); null gives a value its default."""
    base = await _base(parts, if_match)
    return await _saved(response, parts, caller, base, _patched(base, patch))


@router.post(
    "/preview",
    operation_id="previewConfig",
    summary="Show what a change would mean, and save nothing",
    response_model=PreviewAnswer,
    responses=problem_responses(*ACCESS_ERRORS, ConfigRefused, RequestError),
)
async def preview_config(
    parts: PartsOf, _: Viewer, patch: Annotated[DocumentPatch, Body(media_type=MERGE_PATCH)]
) -> PreviewAnswer:
    """Answer with the next runs, worst cases and warnings; takes the same changes as PATCH, `{}` for none."""
    now = parts.clock.now()
    base = await parts.config.read(now)
    wanted = _patched(base, patch)
    check_pace(parts.settings, base.document, wanted)
    return preview(base.document, wanted, await _prospect(parts, wanted), now)


def _patched(base: StoredConfig, patch: DocumentPatch) -> PairDocument:
    changes = patch.model_dump(mode="json", exclude_unset=True)
    return changed_document(merge_patch(revealed(base.document), changes), base.document)


async def _saved(
    response: Response, parts: Parts, caller: Token, base: StoredConfig, wanted: PairDocument
) -> ConfigAnswer:
    now = parts.clock.now()
    settled = settle(base.document, wanted, now)
    check_gap(base.document, wanted, settled, parts.gatekeeper.judge().data_age_seconds, now)
    return _shown(response, parts, await _replace(parts, caller, base, settled))


def _handled_at(parts: Parts) -> datetime | None:
    """Return how far the schedule was seen to; the node that runs none now leaves its past to the one that does."""
    is_standby = parts.monitor.own.state is State.STANDBY
    return parts.runner.memory.handled_at if is_standby else parts.clock.now()


async def _prospect(parts: Parts, document: PairDocument) -> Prospect:
    now = parts.clock.now()
    durations = await parts.history.read_durations(now - WINDOW, MOST_RUNS)
    return Prospect(
        handled_at=_handled_at(parts),
        data_age_seconds=parts.gatekeeper.judge().data_age_seconds,
        detection_seconds=worst_case_detection_seconds(pace_of(parts.settings, document)),
        pace=judge_pace(durations),
    )


async def _base(parts: Parts, if_match: str | None) -> StoredConfig:
    if if_match is None:
        raise PreconditionRequired("the request has no If-Match header")
    await parts.exchange.refresh()
    stored = await parts.config.read(parts.clock.now())
    if stored.version.etag not in {tag.strip() for tag in if_match.split(",")}:
        raise PreconditionFailed(f"the configuration is at version {stored.version.etag}")
    return stored


async def _replace(parts: Parts, caller: Token, base: StoredConfig, document: PairDocument) -> StoredConfig:
    check_pace(parts.settings, base.document, document)
    term = parts.monitor.own.term
    stored = await parts.config.replace(
        base, document, epoch=0 if term is None else term.epoch, changed_by=caller.name, now=parts.clock.now()
    )
    parts.feed.look_now()
    await parts.exchange.deliver()
    if is_overruled(stored.settings, parts.known.book.settings):
        winner = parts.known.book.settings
        raise PreconditionFailed(
            f"{winner.changed_by} changed the configuration on {winner.version.node_id} at the same moment"
        )
    return stored


def _shown(response: Response, parts: Parts, stored: StoredConfig, *, is_last_good: bool = False) -> ConfigAnswer:
    response.headers["ETag"] = stored.version.etag
    return ConfigAnswer.of(stored, parts, is_last_good=is_last_good)
