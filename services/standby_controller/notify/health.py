"""How the channels do: what was last delivered, what failed since, and what is to be told of it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from services.standby_controller.policy.delivery import Outcome, is_failing
from services.standby_controller.policy.sights import ChannelSight
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.outbox import Tally


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """What one channel came to since this process began, and what its outbox counts."""

    success_at: datetime | None = None
    problem_at: datetime | None = None
    problem: str | None = None
    failures_in_a_row: int = 0
    waiting: int = 0
    dead: int = 0

    @property
    def is_failing(self) -> bool:
        """Say whether it failed several times in a row."""
        return is_failing(self.failures_in_a_row)


class Health:
    """How each channel does."""

    def __init__(self) -> None:
        self._channels: dict[str, ChannelHealth] = {}

    def of(self, channel: str) -> ChannelHealth:
        """Return how a channel does."""
        return self._channels.get(channel, ChannelHealth())

    def sight(self, channel: str) -> ChannelSight:
        """Return what is judged of a channel."""
        found = self.of(channel)
        return ChannelSight(channel, found.is_failing, found.problem)

    def keep_only(self, channels: tuple[str, ...]) -> None:
        """Forget channels that there are no more."""
        self._channels = {name: health for name, health in self._channels.items() if name in channels}

    def take_tallies(self, tallies: dict[str, Tally]) -> None:
        """Take what the outbox counts."""
        for name in {*tallies, *self._channels}:
            health, tally = self.of(name), tallies.get(name, Tally(0, 0, None))
            reached = [at for at in (health.success_at, tally.sent_at) if at is not None]
            self._channels[name] = replace(
                health, waiting=tally.waiting, dead=tally.dead, success_at=max(reached, default=None)
            )

    def note(self, channel: str, outcome: Outcome, now: datetime) -> NewEvent | None:
        """Take what an attempt came to, and return what is to be told of the channel.

        A server that refuses one recipient answers, so the channel works.
        """
        before = self.of(channel)
        if outcome.problem is None or outcome.delivered or outcome.refused:
            self._channels[channel] = replace(before, success_at=now, problem=None, failures_in_a_row=0)
            if before.is_failing:
                text = f"Notifications by {channel} arrive again"
                return NewEvent(now, EventKind.CHANNEL_WORKING, Severity.INFO, channel, text)
            return None
        after = replace(before, problem_at=now, problem=outcome.problem, failures_in_a_row=before.failures_in_a_row + 1)
        self._channels[channel] = after
        if after.is_failing and not before.is_failing:
            text = f"Notifications by {channel} do not arrive: {outcome.problem}"
            return NewEvent(now, EventKind.CHANNEL_FAILING, Severity.WARNING, channel, text)
        return None
