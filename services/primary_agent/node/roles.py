"""What others ask of a node's role: its own controller, its peers, an administrator. Each is one change of the record.

No word of a caller alone makes a node stop or start to serve: a peer is asked back at its configured address first.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import Final

from services.primary_agent.node.demotion import Demoting
from services.primary_agent.node.node import Node
from services.primary_agent.node.peer_watch import PeerWatch
from shared.errors import AttemptGone, PeerError, RequestError, TransitionRefused
from shared.node.commands import (
    abandon,
    begin_fence,
    begin_handover,
    check_remembers,
    commit,
    follow,
    is_fencing,
    reserve,
    set_eligible,
    unfence,
)
from shared.node.journal import Journal
from shared.node.model import (
    AttemptKind,
    Eligible,
    Grant,
    GrantAsked,
    NodeView,
    OrderFence,
    Prepare,
    Promote,
    Settle,
    Settled,
    State,
    Term,
)
from shared.node.reasons import Reason
from shared.node.record import Record

_LOOK_SECONDS: Final = 0.5


class Roles:
    """The door to changes of the role; all methods raise RecordUnwritable and what the command refuses."""

    def __init__(self, node: Node, peers: PeerWatch, demoting: Demoting, journal: Journal, number: int) -> None:
        self._node = node
        self._peers = peers
        self._demoting = demoting
        self._journal = journal
        self._number = number

    async def promote(self, asked: Promote) -> NodeView:
        """Open an attempt; asked again for the same one changes nothing. The promotion goes on by itself."""
        attempt = self._node.record.attempt
        if attempt is not None and attempt.id == asked.attempt_id:
            return self._node.view()
        if asked.kind is AttemptKind.FORCE and not asked.is_by_hand:
            raise RequestError("only an administrator can force a node")
        if (asked.peer is not None) != (asked.kind in (AttemptKind.SWITCHOVER, AttemptKind.TAKEOVER)):
            raise RequestError("a switchover and a takeover name the node that serves now, no other promotion does")
        heard = [seen.term for seen in self._peers.seen.values() if seen.term is not None]

        def reserve_unless_granted(record: Record) -> Record:
            """Look at the promise under the lock that a promise is given under."""
            if asked.kind is not AttemptKind.SWITCHOVER:
                self._node.require_no_grant(asked.silent_seconds)
            return reserve(record, asked, self._number, heard)

        await self._node.change(reserve_unless_granted)
        await self._journal.write(
            asked.attempt_id, asked.kind, "asked", "done", detail=asked.why, data=asked.model_dump(mode="json")
        )
        return self._node.view()

    async def commit(self, attempt_id: str) -> NodeView:
        """Go on with a switchover whose last changes are here."""
        await self._node.change(partial(commit, attempt_id=attempt_id))
        return self._node.view()

    async def abandon(self, attempt_id: str) -> NodeView:
        """Give an attempt up; one that is not open (any more) and did not become the term is given up already."""
        record = self._node.record
        if record.attempt is not None and record.attempt.id == attempt_id:
            kind = record.attempt.kind
            await self._node.change(partial(abandon, attempt_id=attempt_id))
            await self._journal.write(attempt_id, kind, "abandoned", "done", detail="asked for")
        return self._node.view()

    async def prepare_handover(self, asked: Prepare, caller: str) -> NodeView:
        """Begin to close for a peer's attempt, once the peer itself says that it holds it."""
        view = await self._peers.client(caller).node()
        if view.attempt is None or view.attempt.id != asked.attempt_id or view.attempt.epoch != asked.epoch:
            raise AttemptGone(f"node {caller} holds no attempt {asked.attempt_id}")
        await self._node.change(partial(begin_handover, asked=asked, peer=caller))
        self._demoting.expect_outcome_within(asked.attempt_id, asked.deadline_seconds)
        return self._node.view()

    async def settle(self, asked: Settle, caller: str) -> Settled:
        """Say once and for all what became of an attempt; one that has not happened is abandoned now.

        The caller may go on serving then: this node promises not to be promoted for a while.
        """
        check_remembers(self._node.record)
        attempt = self._node.record.attempt
        if attempt is not None and attempt.id == asked.attempt_id:
            try:
                await self._node.change(partial(abandon, attempt_id=asked.attempt_id))
                await self._journal.write(attempt.id, attempt.kind, "abandoned", "done", detail=f"asked by {caller}")
            except AttemptGone:
                return Settled(**self._node.envelope(), attempt_id=asked.attempt_id, is_accepted=True)
        term = self._node.term
        if term == Term(epoch=asked.epoch, owner=self._node.record.node_id):
            return Settled(**self._node.envelope(), attempt_id=asked.attempt_id, is_accepted=True)
        assert term is not None
        seconds = await self._node.grant(caller, term.epoch)
        return Settled(**self._node.envelope(), attempt_id=asked.attempt_id, is_accepted=False, grant_seconds=seconds)

    async def grant(self, asked: GrantAsked, caller: str) -> Grant:
        """Let a peer that owns this node's term serve on."""
        return Grant(**self._node.envelope(), grant_seconds=await self._node.grant(caller, asked.epoch))

    async def order_fence(self, asked: OrderFence, caller: str) -> NodeView:
        """Stop serving for a peer that owns a higher term, or holds the attempt that it names, as it says itself."""
        view = await self._peers.client(caller).node()
        owns_higher = view.term is not None and view.term.owner == caller and view.term.is_higher_than(self._node.term)
        has_attempt = view.attempt is not None and view.attempt.id == asked.attempt_id
        if not owns_higher and not has_attempt:
            raise TransitionRefused(f"node {caller} neither owns a higher term nor holds the attempt it names")
        if self._node.state in (State.ACTIVE, State.WAITING):
            reason = Reason.BOTH_ACTIVE if owns_higher else Reason.HANDED_OVER
            peer = caller if has_attempt else None
            await self._begin_fence(asked.attempt_id or uuid.uuid4().hex[:16], reason, f"ordered by {caller}", peer)
        elif asked.attempt_id is not None and has_attempt and is_fencing(self._node.record):
            await self._begin_fence(asked.attempt_id, Reason.HANDED_OVER, f"ordered by {caller}", caller)
            closed_for = self._node.record.closed_for
            if closed_for is not None and closed_for.peer != caller:
                raise TransitionRefused(
                    f"node {self._node.record.node_id} is closed for a promotion of node {closed_for.peer}",
                    hint=f"Start node {closed_for.peer}. If its server is off for good: `warmstandby force-active "
                    f"--confirm-node {caller} --peers-are-off --reason WHY` on node {caller}.",
                )
        return self._node.view()

    async def fence(self) -> NodeView:
        """Stop serving because an administrator says so; exit: unfence."""
        await self._begin_fence(uuid.uuid4().hex[:16], Reason.BY_ADMIN, "an administrator asked")
        return self._node.view()

    async def unfence(self) -> NodeView:
        """Serve again after a fence that ended no term, with the grant of every peer that may be promoted."""
        record = self._node.record
        unfence(record)  # refuses before anybody is asked
        assert record.term is not None
        eligible = {name for name, is_so in record.eligible.items() if is_so}
        for name in self._peers.seen:
            try:
                await self._peers.client(name).grant(GrantAsked(epoch=record.term.epoch))
            except PeerError:
                if name in eligible or len(self._peers.seen) == 1:
                    raise
        await self._node.change(unfence)
        await self._journal.write(uuid.uuid4().hex[:16], "unfence", "serve", "done")
        return self._node.view()

    async def follow(self, epoch: int) -> NodeView:
        """Be a standby: the databases hold what the owner of the term has."""
        before = self._node.state
        await self._node.change(partial(follow, epoch=epoch))
        if before is not State.STANDBY:
            await self._journal.write(uuid.uuid4().hex[:16], "return", "follow", "done", data={"epoch": epoch})
        return self._node.view()

    async def set_eligible(self, asked: Eligible, node_id: str) -> NodeView:
        """Record whether a standby may promote itself; the active node records it first, and clears it last."""
        await self._node.change(
            partial(set_eligible, node_id=node_id, epoch=asked.epoch, is_eligible=asked.is_eligible)
        )
        return self._node.view()

    async def _begin_fence(self, demotion_id: str, reason: Reason, why: str, peer: str | None = None) -> None:
        await self._node.change(partial(begin_fence, demotion_id=demotion_id, reason=reason, peer=peer))
        await self._journal.write(demotion_id, "fence", "asked", "done", detail=why)
