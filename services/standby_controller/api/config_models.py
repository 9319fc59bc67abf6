"""What a change of the settings means, as the API shows it: next runs, worst cases, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from pydantic import Field

from services.standby_controller.api.wire import Answer, Instant
from services.standby_controller.pair_document import PairDocument
from services.standby_controller.policy.saving import (
    Warned,
    check_gap,
    settle,
    warnings_of,
    worst_case_loss_seconds,
)
from services.standby_controller.policy.schedule import Why, next_run, runs_after
from services.standby_controller.policy.sync_pace import SyncPace
from shared.errors import ScheduleGap

RUNS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is known of the past and counts for what comes."""

    handled_at: datetime | None
    data_age_seconds: float | None
    detection_seconds: float
    pace: SyncPace | None


class NextRunAnswer(Answer):
    """The next scheduled sync."""

    at: Instant | None = Field(description="When it starts; null means at once.")
    why: Why = Field(
        description="The first run, the interval, one run for those missed, a retry, or roles that changed."
    )


class WarningAnswer(Answer):
    """Something that settings mean and an administrator may not want."""

    code: str
    text: str

    @classmethod
    def of(cls, warned: Warned) -> WarningAnswer:
        """Return the answer for a warning."""
        return cls(code=warned.code, text=warned.text)


class PreviewAnswer(Answer):
    """What a change would mean; nothing is saved."""

    document: PairDocument = Field(description="The settings as they would be saved.")
    is_schedule_begun_anew: bool
    next_runs: tuple[Instant, ...] = Field(description=f"The next {RUNS_SHOWN} runs; none while the schedule is off.")
    worst_case_detection_seconds: float
    worst_case_data_loss_seconds: float = Field(
        description="What a failover loses at most while every sync succeeds: the interval and the longest sync of the "
        "last four weeks."
    )
    refusal: WarningAnswer | None = Field(description="Why saving it would be refused.")
    warnings: tuple[WarningAnswer, ...]


def next_run_of(document: PairDocument, handled_at: datetime | None, now: datetime) -> NextRunAnswer | None:
    """Return the next scheduled sync of the pair with these settings; None while the schedule is off."""
    if not document.sync.enabled:
        return None
    following = next_run(document.sync.schedule, handled_at, None, now)
    return NextRunAnswer(at=following.at if following.at > now else None, why=following.why)


def preview(before: PairDocument, wanted: PairDocument, prospect: Prospect, now: datetime) -> PreviewAnswer:
    """Return what a change would mean."""
    settled = settle(before, wanted, now)
    refusal = None
    try:
        check_gap(before, wanted, settled, prospect.data_age_seconds, now)
    except ScheduleGap as gap:
        refusal = WarningAnswer(code=gap.code, text=gap.detail)
    first, runs = next_run_of(settled, prospect.handled_at, now), tuple[datetime, ...]()
    if first is not None:
        begin = first.at or now
        runs = (begin, *islice(runs_after(settled.sync.schedule, begin), RUNS_SHOWN - 1))
    return PreviewAnswer(
        document=settled,
        is_schedule_begun_anew=settled.sync.schedule != before.sync.schedule,
        next_runs=runs,
        worst_case_detection_seconds=prospect.detection_seconds,
        worst_case_data_loss_seconds=worst_case_loss_seconds(settled, prospect.pace),
        refusal=refusal,
        warnings=tuple(map(WarningAnswer.of, warnings_of(settled, prospect.pace))),
    )
