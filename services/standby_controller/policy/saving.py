"""What saving settings means: where the schedule begins, what is refused, what the administrator is told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.standby_controller.pair_document import PairDocument
from services.standby_controller.pair_groups import SHORTEST_INTERVAL_SECONDS, FailoverPolicy
from services.standby_controller.policy.advice import data_age_limit_seconds
from services.standby_controller.policy.durations import duration
from services.standby_controller.policy.schedule import begin_schedule, gap_seconds
from services.standby_controller.policy.sync_pace import SyncPace
from shared.errors import ScheduleGap


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that settings mean and an administrator may not want; `code` is stable."""

    code: str
    text: str


def settle(before: PairDocument, after: PairDocument, now: datetime) -> PairDocument:
    """Return the document as it is saved: the schedule begins anew where it is another one, and goes on otherwise.

    What holds for one change alone, and what the service sets, is not taken from the caller.
    """
    wanted = after.sync.schedule
    if wanted.has_rhythm_of(before.sync.schedule) and not after.sync.rebase:
        settled = before.sync.schedule
    else:
        settled = begin_schedule(wanted, after.sync.first_run, now)
    return after.model_copy(update={"sync": after.sync.begun_as(settled)})


def check_gap(
    before: PairDocument, after: PairDocument, settled: PairDocument, data_age_seconds: float | None, now: datetime
) -> None:
    """Raise ScheduleGap where the data grows too old before a schedule that begins anew has its first run."""
    is_new = settled.sync.first_at != before.sync.first_at
    if not settled.sync.enabled or not is_new or after.sync.accept_gap:
        return
    gap, limit = gap_seconds(settled.sync.schedule, data_age_seconds, now), age_limit_of(settled)
    if gap > limit:
        wait = (settled.sync.first_at - now).total_seconds()
        raise ScheduleGap(
            f"sync.start_time: the first run would be in {wait / 3600:.1f} hours, the copy would be "
            f"{gap / 3600:.1f} hours old by then, and the limit is {limit / 3600:.1f} hours"
        )


def age_limit_of(document: PairDocument) -> float:
    """Return the age above which a copy counts as old, with these settings."""
    return float(document.failover.data_age_limit_seconds or data_age_limit_seconds(document.sync.interval_seconds))


def worst_case_loss_seconds(document: PairDocument, pace: SyncPace | None) -> float:
    """Return how much of the active node's changes a failover loses at most while every sync succeeds.

    The copy shows the moment a sync began. It is oldest when the next one, an interval later, is about to end.
    """
    return document.sync.interval_seconds + (0.0 if pace is None else pace.longest_seconds)


def warnings_of(document: PairDocument, pace: SyncPace | None) -> Iterator[Warned]:
    """Yield what the settings mean besides what was asked for."""
    sync, interval = document.sync, document.sync.interval_seconds
    if not sync.enabled:
        yield Warned(
            "schedule_off", "Scheduled syncs are switched off: the copy grows older until somebody starts one."
        )
    if interval < SHORTEST_INTERVAL_SECONDS:
        yield Warned("short_interval", f"A sync every {duration(interval)} loads both servers nearly all the time.")
    if pace is not None and pace.is_busy(interval):
        yield Warned(
            "interval_short_for_syncs",
            f"19 of 20 syncs took up to {duration(pace.p95_seconds)}, more than half of {sync.run_every}: they may "
            f"overlap, and a run due meanwhile is left out. {duration(pace.proposed_interval_seconds())} would fit.",
        )
    worst, limit = worst_case_loss_seconds(document, pace), age_limit_of(document)
    if worst > limit:
        yield Warned(
            "limit_below_worst_case",
            f"The copy gets up to {duration(worst)} old while every sync succeeds, and counts as old after "
            f"{duration(limit)} (failover.data_age_limit_seconds): a takeover would be refused at times.",
        )
    if document.failover.policy is FailoverPolicy.KEEP_IN_STANDBY:
        yield Warned("keep_in_standby", "Nobody takes over by itself: an administrator must do it.")
    if document.failover.maintenance:
        yield Warned("maintenance", "The pair is in maintenance: scheduled syncs are left out, and nobody takes over.")
