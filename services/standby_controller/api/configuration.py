"""The pair's configuration: read, replace, change in parts; each change names the version it was made from."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Body, Header, Response
from pydantic import Field

from services.standby_controller.api.access import ACCESS_ERRORS, Admin, Viewer
from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.api.wire import Answer, Demand, Instant
from services.standby_controller.pace import check_pace, pace_of
from services.standby_controller.pair_document import (
    WHOLE,
    ApplicationPolicy,
    FailoverPolicy,
    PairDocument,
    ReturnPolicy,
    merge_patch,
    parse_document,
)
from services.standby_controller.policy.detector import worst_case_detection_seconds
from services.standby_controller.store.pair_config import StoredConfig
from services.standby_controller.store.tokens import Token
from shared.errors import ConfigRefused, PreconditionFailed, PreconditionRequired, RequestError
from shared.http.problem import problem_responses
from shared.settings import Settings

router: Final = APIRouter(prefix="/v1/config", tags=["people"])

MERGE_PATCH: Final = "application/merge-patch+json"
_ETAG: Final = {"ETag": {"description": "Version of the document.", "schema": {"type": "string"}}}
_CHANGE_ERRORS: Final = (*ACCESS_ERRORS, PreconditionRequired, PreconditionFailed, ConfigRefused, RequestError)

IfMatch = Annotated[str | None, Header(description="The ETag that the change was made from; needed.", max_length=200)]


class SyncPatch(Demand):
    """Changes of `sync`."""

    enabled: bool | None = None
    interval_seconds: Annotated[int, WHOLE] | None = None
    accept_short_interval: bool | None = None


class HistoryPatch(Demand):
    """Changes of `history`."""

    sync_days: Annotated[int, WHOLE] | None = None
    heartbeat_days: Annotated[int, WHOLE] | None = None
    heartbeat_count: Annotated[int, WHOLE] | None = None


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


class MonitorPatch(Demand):
    """Changes of `monitor`."""

    misses_until_lost: Annotated[int, WHOLE] | None = Field(
        None, deprecated=True, description="The name of `failover.failures` in earlier releases."
    )
    offset_warning_seconds: float | None = None


class DocumentPatch(Demand):
    """Changes of the configuration: what is left out stays, null gives the default."""

    sync: SyncPatch | None = None
    history: HistoryPatch | None = None
    failover: FailoverPatch | None = None
    monitor: MonitorPatch | None = None


class ConfigAnswer(Answer):
    """The configuration with its version."""

    document: PairDocument
    epoch: int = Field(description="Epoch of the term in which it was changed.")
    version: int
    changed_at: Instant
    changed_by: str
    worst_case_detection_seconds: float = Field(
        description="How long this node takes at most to be certain that a peer is silent: "
        "[controller] heartbeat_seconds + failures x heartbeat_timeout_seconds + (failures - 1) x recheck_seconds."
    )

    @classmethod
    def of(cls, stored: StoredConfig, settings: Settings) -> ConfigAnswer:
        """Return the answer for a stored document."""
        return cls(
            document=stored.document,
            worst_case_detection_seconds=worst_case_detection_seconds(pace_of(settings, stored.document)),
            epoch=stored.version.epoch,
            version=stored.version.version,
            changed_at=stored.changed_at,
            changed_by=stored.changed_by,
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
    return _shown(response, parts, await parts.config.read(parts.clock.now()))


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
    document = parse_document(document.model_dump(mode="json"))
    return _shown(response, parts, await _replace(parts, caller, base, document))


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
    changes = patch.model_dump(mode="json", exclude_unset=True)
    document = parse_document(merge_patch(base.document.model_dump(mode="json"), changes))
    return _shown(response, parts, await _replace(parts, caller, base, document))


async def _base(parts: Parts, if_match: str | None) -> StoredConfig:
    if if_match is None:
        raise PreconditionRequired("the request has no If-Match header")
    stored = await parts.config.read(parts.clock.now())
    if stored.version.etag not in {tag.strip() for tag in if_match.split(",")}:
        raise PreconditionFailed(f"the configuration is at version {stored.version.etag}")
    return stored


async def _replace(parts: Parts, caller: Token, base: StoredConfig, document: PairDocument) -> StoredConfig:
    check_pace(parts.settings, base.document, document)
    term = parts.monitor.own.term
    return await parts.config.replace(
        base, document, epoch=0 if term is None else term.epoch, changed_by=caller.name, now=parts.clock.now()
    )


def _shown(response: Response, parts: Parts, stored: StoredConfig) -> ConfigAnswer:
    response.headers["ETag"] = stored.version.etag
    return ConfigAnswer.of(stored, parts.settings)
