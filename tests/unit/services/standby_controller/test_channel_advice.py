"""What is advised on the channels of notifications."""

from __future__ import annotations

import pytest

from services.standby_controller.policy.advice import advise
from services.standby_controller.policy.sights import ChannelSight, PeerSight, Situation
from shared.node.model import State


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (None, []),
        ((), [("no_channel", None)]),
        ((ChannelSight("ops", is_failing=False),), []),
        ((ChannelSight("ops", is_failing=True, problem_text="550 no"),), [("channel_failing", "ops")]),
        ((ChannelSight("ops", is_failing=True), ChannelSight("hook", is_failing=False)), [("channel_failing", "ops")]),
    ],
)
def test_nobody_who_is_told_and_channels_that_fail_are_seen(
    channels: tuple[ChannelSight, ...] | None, expected: list[tuple[str, str | None]]
) -> None:
    """They go away when a channel is there, and works; while settings are not known nothing is said."""
    own = PeerSight("b", True, False, State.STANDBY, None)
    peer = PeerSight("a", False, False, State.ACTIVE, None)
    situation = Situation(own, (peer,), (), 3600, True, 1.0, channels=channels)
    assert [(one.code, one.subject) for one in advise(situation)] == expected
