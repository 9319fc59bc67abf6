"""What an administrator should know of the channels of notifications. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.standby_controller.policy.sights import Advisory, ChannelSight
from services.standby_controller.severity import Severity


def about_channels(channels: tuple[ChannelSight, ...] | None) -> Iterator[Advisory]:
    """Yield what is wrong with the channels; None says that they are not known."""
    if channels is None:
        return
    if not channels:
        yield Advisory(
            "no_channel",
            Severity.INFO,
            None,
            "Nobody is told when something happens: there is no channel for notifications.",
            "Add one to notifications.channels with PATCH /v1/config, then try it with POST /v1/notifications/test.",
        )
    for channel in channels:
        if channel.is_failing:
            yield Advisory(
                "channel_failing",
                Severity.WARNING,
                channel.name,
                f"Notifications by {channel.name} do not arrive: {channel.problem_text or 'no reason given'}.",
                "Correct notifications.channels with PATCH /v1/config, then POST /v1/notifications/test.",
            )
