"""The pair's configuration as a value: what an administrator changes while it runs, and what is allowed. No I/O."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.errors import ConfigRefused

SHORTEST_INTERVAL_SECONDS: Final = 3600


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_as_whole)
"""An integer as JSON Schema has it: 60.0 is one, "60" and true are not. Stands after the limits of the number."""


class Group(BaseModel):
    """A group of settings: frozen, strict, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class SyncGroup(Group):
    """When syncs run."""

    enabled: bool = Field(True, description="Run syncs on the schedule; a sync on demand is always possible.")
    interval_seconds: Annotated[int, Field(ge=1, le=31 * 86400), WHOLE] = Field(
        SHORTEST_INTERVAL_SECONDS, description="From the start of one sync to the start of the next."
    )
    accept_short_interval: bool = Field(
        False, description=f"Allow an interval under {SHORTEST_INTERVAL_SECONDS} seconds."
    )


class HistoryGroup(Group):
    """How much history is kept."""

    sync_days: Annotated[int, Field(ge=1, le=3650), WHOLE] = Field(
        90, description="Syncs and events older than this are forgotten."
    )
    heartbeat_days: Annotated[int, Field(ge=1, le=365), WHOLE] = Field(
        7, description="Heartbeats older than this are forgotten."
    )
    heartbeat_count: Annotated[int, Field(ge=1000, le=10_000_000), WHOLE] = Field(
        500_000, description="Heartbeats kept at most."
    )


class MonitorGroup(Group):
    """When a peer is called silent."""

    misses_until_lost: Annotated[int, Field(ge=1, le=100), WHOLE] = Field(
        3, description="Heartbeats missed in a row until a peer counts as lost."
    )
    offset_warning_seconds: float = Field(
        1.0, gt=0, le=3600, description="Clock offset above which a warning is shown."
    )


class PairDocument(Group):
    """All of the pair's configuration."""

    sync: SyncGroup = SyncGroup()
    history: HistoryGroup = HistoryGroup()
    monitor: MonitorGroup = MonitorGroup()


def parse_document(value: Any) -> PairDocument:
    """Return the document of a JSON value; raises ConfigRefused, which names key, value and what is allowed."""
    try:
        document = PairDocument.model_validate_json(json.dumps(value))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise ConfigRefused(problems) from error
    if document.sync.interval_seconds < SHORTEST_INTERVAL_SECONDS and not document.sync.accept_short_interval:
        raise ConfigRefused(
            f"sync.interval_seconds: under {SHORTEST_INTERVAL_SECONDS} it needs sync.accept_short_interval = true"
        )
    return document


def merge_patch(target: Any, patch: Any) -> Any:
    """Return target changed by a JSON merge patch (RFC 7396); null takes a key away, so that its default returns."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
