"""Has both agents record whether this standby may promote itself, in the order that keeps the pair safe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from services.standby_controller.gatekeeper import Gatekeeper
from services.standby_controller.monitor import Monitor
from services.standby_controller.policy.eligibility import EligibleStep, next_step, shall_be_eligible
from shared.clock import Clock
from shared.lifecycle import Sibling, run_every
from shared.node.model import Eligible, NodeView, State

LOOK_SECONDS: Final = 1.0


class EligibleRecord(Protocol):
    """An agent that records whether this node may promote itself."""

    async def set_eligible(self, asked: Eligible) -> NodeView:
        """Record it durably before answering; repeatable. Raises PeerError and RoleError."""


class Eligibility:
    """The loop that brings both records to what the policy says."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        monitor: Monitor,
        records: Mapping[str, EligibleRecord],
        clock: Clock,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._monitor = monitor
        self._records = records
        self._clock = clock

    def sibling(self) -> Sibling:
        """Return the loop."""

        async def run() -> None:
            await run_every(LOOK_SECONDS, self.look, name="eligible", clock=self._clock)

        return Sibling("eligible", run)

    async def look(self) -> None:
        """Do all steps that are due now; raises PeerError and RoleError, and the next look goes on."""
        judgement = self._gatekeeper.judge()
        epoch, peer_id = judgement.facts.term_epoch, judgement.peer_id
        peer = next((one for one in self._monitor.peers if one.node_id == peer_id), None)
        if epoch is None or peer is None or self._monitor.own.term != peer.term:
            return
        own_id = self._monitor.own.node_id
        here, wanted = judgement.facts.is_eligible, shall_be_eligible(judgement.facts)
        present = peer.present
        on_active = None
        if present is not None and present.state is State.ACTIVE:
            on_active = present.eligible.get(own_id, False)
        while (step := next_step(wanted, on_active=on_active, here=here)) is not EligibleStep.NONE:
            is_eligible = step in (EligibleStep.SET_ON_ACTIVE, EligibleStep.SET_HERE)
            is_here = step in (EligibleStep.SET_HERE, EligibleStep.CLEAR_HERE)
            record = self._records[own_id if is_here else peer.node_id]
            view = await record.set_eligible(Eligible(epoch=epoch, is_eligible=is_eligible))
            recorded = view.eligible.get(own_id, False)
            here, on_active = (recorded, on_active) if is_here else (here, recorded)
            if recorded is not is_eligible:
                return
