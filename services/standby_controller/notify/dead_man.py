"""Calls a URL while all is well: this node is standby and the pair protected. Whoever waits hears of silence."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Final

from services.standby_controller.notify.courier import Courier
from services.standby_controller.pair_channels import NotificationsGroup
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0


class DeadManSwitch:
    """The calls."""

    def __init__(
        self,
        courier: Courier,
        group: Callable[[], NotificationsGroup | None],
        is_well: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._courier = courier
        self._group = group
        self._is_well = is_well
        self._clock = clock
        self._called_at: float | None = None
        self._problem: str | None = None

    def sibling(self) -> Sibling:
        """Return the loop."""
        return Sibling("dead man", functools.partial(run_every, LOOK_SECONDS, self.look, name="dead man"))

    async def look(self) -> None:
        """Call if it is time."""
        group, now = self._group(), self._clock.monotonic()
        if group is None or group.dead_man_url is None or not self._is_well():
            return
        if self._called_at is not None and now - self._called_at < group.dead_man_seconds:
            return
        self._called_at = now
        problem = await self._courier.call(group.dead_man_url)
        if problem is not None and problem != self._problem:
            log.warning("dead man's switch not called", extra={"detail": problem})
        elif problem is None and self._problem is not None:
            log.info("dead man's switch called again")
        self._problem = problem
