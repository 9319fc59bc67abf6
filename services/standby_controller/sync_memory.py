"""How the last syncs ended, kept in memory, so that status and schedule ask no database. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.standby_controller.policy.schedule import LastRun
from services.standby_controller.store.history import History
from services.standby_controller.store.records import RUNS, ComponentRecord, SyncFilter, SyncRecord, SyncResult
from shared.clock import Clock


class SyncMemory:
    """The last sync, the last success of each component, and how far the schedule was seen to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: SyncRecord | None = None
        self._successes: dict[str, ComponentRecord] = {}
        self._ended_monotonic = 0.0
        self._failures_in_a_row = 0
        self.handled_at: datetime | None = None
        self.begun_epoch: int | None = None
        """Of the term in which the last sync was begun, as far as there was one."""

    @property
    def last(self) -> SyncRecord | None:
        """Return the last sync that ended."""
        return self._last

    @property
    def successes(self) -> Mapping[str, ComponentRecord]:
        """Return the last success of each component that has one."""
        return self._successes

    def last_run(self) -> LastRun | None:
        """Return how the last run went."""
        if self._last is None:
            return None
        ended_ago = self._clock.monotonic() - self._ended_monotonic
        return LastRun(self._last.started_at, ended_ago, self._failures_in_a_row)

    async def recall(self, history: History, components: Iterable[str]) -> None:
        """Read what the history knows; raises PostgresError."""
        self._successes = await history.last_successes(components)
        newest = (await history.list_syncs(SyncFilter(), limit=1, cursor=None)).items
        if newest:
            self.note_handled(newest[0].started_at)
        newest_first = (await history.list_syncs(SyncFilter(results=RUNS), limit=20, cursor=None)).items
        if newest_first:
            self._last = newest_first[0]
            self.begun_epoch = self._last.term_epoch
            age = (self._clock.now() - (self._last.ended_at or self._last.started_at)).total_seconds()
            self._ended_monotonic = self._clock.monotonic() - max(0.0, age)
            self._failures_in_a_row = _failures_in_a_row(newest_first)

    def note_success(self, record: ComponentRecord) -> None:
        """Take a component whose copy is committed."""
        self._successes[record.component] = record

    def note_handled(self, at: datetime) -> None:
        """Take it that the schedule was seen to up to then: a sync was begun, or left out with a record."""
        self.handled_at = at

    def note_begun(self, record: SyncRecord) -> None:
        """Take a sync that begins."""
        self.note_handled(record.started_at)
        self.begun_epoch = record.term_epoch

    def note_end(self, record: SyncRecord) -> None:
        """Take a sync that has ended; one that was cancelled or superseded is no failure."""
        self._last, self._ended_monotonic = record, self._clock.monotonic()
        if record.result is SyncResult.SUCCEEDED:
            self._failures_in_a_row = 0
        elif record.result.is_failure:
            self._failures_in_a_row += 1


def _failures_in_a_row(newest_first: Sequence[SyncRecord]) -> int:
    count = 0
    for record in newest_first:
        if record.result is SyncResult.SUCCEEDED:
            break
        count += record.result.is_failure
    return count
