"""An attempt that waits for a controller that died: given up, so that the node that handed over serves on."""

from __future__ import annotations

import logging

from services.standby_controller.monitor import Monitor
from services.standby_controller.roles.agents import OwnAgent
from services.standby_controller.roles.changes import RoleChanges
from shared.node.model import AttemptName, State
from shared.node.steps import Act

log = logging.getLogger(__name__)


class Leftover:
    """Looks for an open attempt at the one act that only the controller which began it can go on from."""

    def __init__(self, own: OwnAgent, monitor: Monitor, changes: RoleChanges) -> None:
        self._own = own
        self._monitor = monitor
        self._changes = changes

    async def look(self) -> None:
        """Give it up where no change of this process drives it; raises PeerError.

        Giving up is safe at any moment: the agent refuses it once the term is taken.
        """
        if self._monitor.own.state is not State.PROMOTING:
            return
        attempt = (await self._own.node()).attempt
        running = self._changes.running
        if attempt is None or attempt.step != Act.AWAIT_HANDOVER or (running and running.id == attempt.id):
            return
        log.warning("an attempt is left of a controller that died, given up", extra={"attempt": attempt.id})
        await self._own.abandon(AttemptName(attempt_id=attempt.id))
