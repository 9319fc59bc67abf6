"""What the history says of the pair's habits, kept in memory, so that status and advice ask no database."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.standby_controller.policy.sync_pace import MOST_RUNS, WINDOW, SyncPace, judge_pace
from services.standby_controller.policy.transition_story import TransitionResult
from services.standby_controller.store.database import Database
from services.standby_controller.store.history import History
from services.standby_controller.store.transitions import TransitionFilter, Transitions
from shared.clock import Clock

LOOK_SECONDS: Final = 30.0
TAKEOVER_SECONDS: Final = 1.0
"""From the decision to serving, without hooks, as long as no failover of this pair says otherwise."""


class LookBack:
    """The pace of the last weeks' syncs, and when a standby of the pair last became active."""

    def __init__(self, database: Database, history: History, transitions: Transitions, clock: Clock) -> None:
        self._database = database
        self._history = history
        self._transitions = transitions
        self._clock = clock
        self.pace: SyncPace | None = None
        self.practised_at: datetime | None = None
        """When roles changed last, or else when the history began; None before it was read."""
        self.begun_at: datetime | None = None
        """When the history began; None before it was read."""
        self.takeover_seconds: float = TAKEOVER_SECONDS

    async def look(self) -> None:
        """Read the history; raises PostgresError."""
        if not self._database.is_prepared:
            return
        now = self._clock.now()
        self.pace = judge_pace(await self._history.read_durations(now - WINDOW, MOST_RUNS))
        wanted = TransitionFilter(kinds=("failover", "switchover"), results=(TransitionResult.SUCCEEDED,))
        changes = (await self._transitions.list_transitions(wanted, 20, None)).items
        ended = [change.ended_at for change in changes if change.ended_at is not None]
        self.begun_at = await self._transitions.begun_at()
        self.practised_at = max(ended, default=self.begun_at)
        took = [
            (change.ended_at - change.started_at).total_seconds()
            for change in changes
            if change.kind == "failover" and change.ended_at is not None
        ]
        self.takeover_seconds = took[0] if took else TAKEOVER_SECONDS
