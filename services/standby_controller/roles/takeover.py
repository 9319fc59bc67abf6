"""Failover: by itself when the gate lets it, or by an administrator's word; both through one door, the own agent.

Nothing here decides whether: that is the gate's verdict, and the agent checks its record besides.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from services.standby_controller.policy.detector import Diagnosis, FailureKind, Way
from services.standby_controller.policy.gate import (
    Check,
    Override,
    refusals_automatic,
    refusals_by_hand,
    used_overrides,
)
from services.standby_controller.roles.agents import OwnAgent, PeerAgent, is_promoting, wait_until
from services.standby_controller.roles.changes import Change, ChangeKind, RoleChanges
from services.standby_controller.roles.decision import describe_decision
from shared.clock import Clock
from shared.errors import GateRefused, PeerError, PeerServes, StaleTerm, TransitionFailed, WarmstandbyError
from shared.log import fields_of
from shared.node.controller_model import CloseNode, NodeClosed
from shared.node.model import AttemptKind, AttemptName, NodeView, OrderFence, Promote, State
from shared.node.steps import Act

log = logging.getLogger(__name__)

_PROMOTE_SECONDS: Final = 300.0
_FENCE_SECONDS: Final = 60.0
_BACK_OFF_SECONDS: Final = (1.0, 5.0, 30.0)
_ANSWERING: Final = (FailureKind.WELL, FailureKind.DATABASE_DOWN, FailureKind.APPLICATION_DOWN)


class Judgement(Protocol):
    """What the gatekeeper found at one moment."""

    @property
    def peer_id(self) -> str | None:
        """The node that would be taken over from."""

    @property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it."""

    @property
    def way(self) -> Way:
        """How it would be taken over from now."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """The gate."""

    @property
    def expected_epoch(self) -> int | None:
        """Epoch of the term that this node accepts."""

    @property
    def data_age_seconds(self) -> float | None:
        """Age of the oldest copy that counts."""


class Judge(Protocol):
    """Judges all the time."""

    def judge(self) -> Judgement:
        """Return what is found now; asks nobody."""

    def disarm(self, why: str) -> None:
        """Stop automatic failover until an administrator arms it again."""

    def note_automatic_failover(self) -> None:
        """Begin the pause before the next one."""


class Peers(Protocol):
    """The peers' agents."""

    def peer(self, node_id: str) -> PeerAgent:
        """Return the way to one."""


class Controllers(Protocol):
    """The peers' controllers."""

    async def close(self, node_id: str, asked: CloseNode) -> NodeClosed:
        """Have one close its own node, whose agent is dead; raises PeerError."""


class Takeover:
    """Begins failovers; the agent finishes them."""

    def __init__(
        self,
        judge: Judge,
        own: OwnAgent,
        peers: Peers,
        controllers: Controllers,
        changes: RoleChanges,
        clock: Clock,
        sequence_headroom: Callable[[], int],
    ) -> None:
        self._judge = judge
        self._own = own
        self._peers = peers
        self._controllers = controllers
        self._changes = changes
        self._clock = clock
        self._sequence_headroom = sequence_headroom
        self._abandoned = 0
        self._unclosed = 0
        self._not_before = 0.0

    async def look(self) -> None:
        """Take over if that is due and nothing refuses it; raises what the agent refuses."""
        judgement = self._judge.judge()
        if judgement.way is Way.NONE:
            self._abandoned = self._unclosed = 0
            return
        if self._changes.running is not None or self._clock.monotonic() < self._not_before:
            return
        if refusals_automatic(judgement.checks):
            return
        kind = judgement.diagnosis.kind
        why = f"node {judgement.peer_id} is {kind}: {judgement.diagnosis.count} looks in a row agree"
        self._changes.begin(
            ChangeKind.FAILOVER,
            "the controller",
            why,
            lambda change: self._by_itself(change, judgement),
            decision=None if judgement.way is Way.CLOSED_FIRST else self._describe(judgement),
        )

    def by_hand(self, requested_by: str, reason: str, overrides: Collection[Override], *, is_peer_off: bool) -> Change:
        """Take over because an administrator says so; raises GateRefused, PeerServes, TransitionRunning.

        A node that still answers is closed first, with proof, by its controller where its agent is dead; one that
        does not must be vouched for.
        """
        judgement = self._judge.judge()
        refusals = refusals_by_hand(judgement.checks, overrides)
        if refusals:
            raise GateRefused(refusals)
        answers = judgement.diagnosis.kind in _ANSWERING
        is_agent_down = judgement.diagnosis.kind is FailureKind.AGENT_DOWN
        if not answers and not is_agent_down and not is_peer_off:
            raise PeerServes(
                f"node {judgement.peer_id} does not answer, and may serve all the same",
                hint="Switch it off, then say so with peer_is_off = true.",
            )
        passed = ", ".join(used_overrides(judgement.checks, overrides))
        why = reason + (f" (overrides: {passed})" if passed else "")
        may_leave_fence = Override.FENCED in overrides

        async def work(change: Change) -> None:
            if is_agent_down:
                await self._close_without_agent(change, judgement, is_peer_off=is_peer_off)
            await self._run(change, judgement, is_ordered=answers, is_by_hand=True, may_leave_fence=may_leave_fence)

        return self._changes.begin(
            ChangeKind.FAILOVER,
            requested_by,
            why,
            work,
            decision=self._describe(judgement),
        )

    def _describe(self, judgement: Judgement) -> dict[str, Any]:
        now = self._clock.monotonic()
        return describe_decision(judgement.diagnosis, judgement.checks, judgement.data_age_seconds, now)

    async def _by_itself(self, change: Change, judgement: Judgement) -> None:
        """Take over, and wait longer after each attempt that was abandoned; the third disarms.

        A node that its controller cannot close for certain is asked for again and again: nothing else happens.
        """
        if judgement.way is Way.CLOSED_FIRST:
            try:
                await self._close_without_agent(change, judgement)
            except WarmstandbyError:
                change.is_told = self._unclosed > 0
                pause = _BACK_OFF_SECONDS[min(self._unclosed, len(_BACK_OFF_SECONDS) - 1)]
                self._unclosed += 1
                self._not_before = self._clock.monotonic() + pause
                raise
            self._unclosed = 0
            change.decision = self._describe(judgement)
        try:
            await self._run(change, judgement, is_ordered=judgement.way is Way.ORDERED, is_by_hand=False)
        except WarmstandbyError as error:
            pause = _BACK_OFF_SECONDS[min(self._abandoned, len(_BACK_OFF_SECONDS) - 1)]
            self._abandoned += isinstance(error, TransitionFailed)
            self._not_before = self._clock.monotonic() + pause
            if self._abandoned >= len(_BACK_OFF_SECONDS):
                self._abandoned = 0
                self._judge.disarm(f"three attempts were given up, the last because: {error.detail}")
            raise
        self._abandoned = 0
        self._judge.note_automatic_failover()

    async def _close_without_agent(self, change: Change, judgement: Judgement, *, is_peer_off: bool = False) -> None:
        """Have the other node's controller close it, because its agent is dead; raises PeerError.

        Where an administrator vouches that the server is off, it is tried all the same, and does not count.
        """
        assert judgement.peer_id is not None
        if judgement.expected_epoch is None:
            raise StaleTerm("this node accepts no term yet")
        change.enter("closing", self._clock.monotonic())
        asked = CloseNode(attempt_id=change.id, expected_epoch=judgement.expected_epoch)
        try:
            proof = await self._controllers.close(judgement.peer_id, asked)
        except WarmstandbyError as error:
            if not is_peer_off:
                raise
            log.warning("not closed, and vouched for: the takeover goes on", extra=fields_of(error))
        else:
            told = {"node": judgement.peer_id, "strength": proof.strength, "proof": proof.text}
            log.info("node without an agent closed by its controller", extra=told)

    async def _run(
        self,
        change: Change,
        judgement: Judgement,
        *,
        is_ordered: bool,
        is_by_hand: bool,
        may_leave_fence: bool = False,
    ) -> None:
        change.enter("promoting", self._clock.monotonic())
        since = judgement.diagnosis.since_seconds
        asked = Promote(
            attempt_id=change.id,
            kind=AttemptKind.TAKEOVER if is_ordered else AttemptKind.FAILOVER,
            expected_epoch=judgement.expected_epoch,
            is_by_hand=is_by_hand,
            silent_seconds=None if is_ordered or since is None else max(0.0, self._clock.monotonic() - since),
            peer=judgement.peer_id if is_ordered else None,
            may_leave_fence=may_leave_fence,
            sequence_headroom=self._sequence_headroom(),
            why=change.why,
        )
        await self._own.promote(asked)
        change.is_asked = True
        if is_ordered and judgement.peer_id is not None:
            await self._close_first(change, judgement.peer_id)
        ended = await wait_until(
            self._own,
            lambda view: not is_promoting(view, change.id),
            what="this node becomes active",
            limit_seconds=_PROMOTE_SECONDS,
            clock=self._clock,
        )
        if ended.state is not State.ACTIVE:
            raise TransitionFailed(f"the promotion was given up; the node is {ended.state}: {ended.reason}")

    async def _close_first(self, change: Change, peer_id: str) -> None:
        """Order the other node to stop, see it closed, then go on; otherwise give the attempt up."""
        try:
            await self._peers.peer(peer_id).order_fence(OrderFence(attempt_id=change.id))
            await wait_until(
                self._own,
                lambda view: view.attempt is None or (_awaits(view) and view.attempt.is_peer_closed),
                what=f"node {peer_id} closes its databases",
                limit_seconds=_FENCE_SECONDS,
                clock=self._clock,
            )
            await self._own.commit(AttemptName(attempt_id=change.id))
        except WarmstandbyError as error:
            log.warning("ordered takeover given up", extra=fields_of(error))
            with contextlib.suppress(PeerError):
                await self._own.abandon(AttemptName(attempt_id=change.id))
            raise


def _awaits(view: NodeView) -> bool:
    return view.attempt is not None and view.attempt.step == Act.AWAIT_HANDOVER
