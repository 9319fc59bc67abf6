"""Performs the acts of a promotion, one after the other, as the record names them; decides none of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from services.primary_agent.node.node import Node
from services.primary_agent.node.ports import DatabaseFence, HookRunner, Peers, TermCapture, run_hook
from shared.clock import Clock
from shared.errors import AttemptGone, PeerError, WarmstandbyError
from shared.log import fields_of
from shared.node.commands import abandon, advance, see_peer_closed
from shared.node.journal import Journal
from shared.node.model import Attempt, NodeView, State
from shared.node.steps import Act, is_past_return
from shared.surroundings import HookName

log = logging.getLogger(__name__)

STOP_APPLY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.5
LOOK_HOLDS_SECONDS: Final = 2.0
"""After a longer pause the look is repeated: a node that waited could have gone on serving meanwhile."""
_AGAIN_SECONDS: Final = 1.0


class Promotion:
    """Does what the open attempt says; what fails before the point of no return abandons it."""

    def __init__(
        self,
        node: Node,
        fence: DatabaseFence,
        capture: TermCapture,
        hooks: HookRunner,
        peers: Peers,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._node = node
        self._fence = fence
        self._capture = capture
        self._hooks = hooks
        self._peers = peers
        self._journal = journal
        self._clock = clock
        self._looked: tuple[str, float] | None = None

    async def go_on(self) -> None:
        """Do acts until the node serves, the attempt is gone, or it waits for a handover. Raises RecordUnwritable."""
        while (attempt := self._node.record.attempt) is not None and self._node.state is State.PROMOTING:
            act = Act(attempt.step)
            if act is Act.AWAIT_HANDOVER:
                await self._watch_handover(attempt)
                return
            if not await self._do(attempt, act):
                return

    async def _watch_handover(self, attempt: Attempt) -> None:
        """See the other node closed as soon as it is, so that its death afterwards does not matter."""
        if attempt.is_peer_closed or attempt.peer is None:
            return
        try:
            view = await self._peers.client(attempt.peer).node()
        except PeerError:
            return
        with contextlib.suppress(AttemptGone):
            await self._node.change(partial(see_peer_closed, attempt_id=attempt.id, peer=view))

    async def _do(self, attempt: Attempt, act: Act) -> bool:
        """Do one act and note it; False where nothing more can be done now."""
        begun = self._clock.monotonic()
        await self._journal.write(attempt.id, attempt.kind, act, "begun", data=_tell(attempt))
        try:
            detail, peers = await self._perform(attempt, act)
            await self._node.change(partial(advance, attempt_id=attempt.id, act=act, peers=peers))
        except AttemptGone as error:
            await self._journal.write(attempt.id, attempt.kind, act, "failed", detail=error.detail)
            return True
        except WarmstandbyError as error:
            await self._fail(attempt, act, error)
            return not is_past_return(attempt.kind, act)
        took = self._clock.monotonic() - begun
        await self._journal.write(attempt.id, attempt.kind, act, "done", seconds=took, detail=detail)
        return True

    async def _perform(self, attempt: Attempt, act: Act) -> tuple[str, Sequence[NodeView]]:
        """Do one act; return a word on it, and what the peers answered where that was asked."""
        match act:
            case Act.STOP_APPLY:
                await self._fence.stop_apply(STOP_APPLY_SECONDS)
            case Act.PRE_PROMOTE:
                return await run_hook(self._hooks, HookName.PRE_PROMOTE, _tell(attempt)), ()
            case Act.FENCE_PEER:
                return await run_hook(self._hooks, HookName.FENCE_PEER, _tell(attempt)), ()
            case Act.LOOK_AROUND | Act.TAKE_TERM:
                return "", await self._look(attempt, act)
            case Act.PREPARE_CAPTURE:
                results = await self._capture.begin_term(attempt.epoch, sequence_headroom=attempt.sequence_headroom)
                return "; ".join(f"{base.component}: {base.kind} {base.reason}".strip() for base in results), ()
            case Act.OPEN:
                await self._fence.open()
            case _:
                pass
        return "", ()

    async def _look(self, attempt: Attempt, act: Act) -> Sequence[NodeView]:
        """Ask once more before the term is taken; a look a moment ago is not repeated.

        Of a node that was seen closed for this attempt nothing more has to be known.
        """
        now = self._clock.monotonic()
        looked_for, looked_at = self._looked or (None, 0.0)
        if act is Act.TAKE_TERM and looked_for == attempt.id and now - looked_at < LOOK_HOLDS_SECONDS:
            return ()
        self._looked = (attempt.id, now)
        return await self._peers.look_now(LOOK_SECONDS, but=attempt.peer)

    async def _fail(self, attempt: Attempt, act: Act, error: WarmstandbyError) -> None:
        log.error("act of a promotion failed", extra={"act": act.value, **fields_of(error)})
        await self._journal.write(
            attempt.id, attempt.kind, act, "failed", detail=error.detail, data={"code": error.code}
        )
        if is_past_return(attempt.kind, act):
            await asyncio.sleep(_AGAIN_SECONDS)
            return
        try:
            await self._node.change(partial(abandon, attempt_id=attempt.id))
        except AttemptGone:
            return
        await self._journal.write(attempt.id, attempt.kind, "abandoned", "done", detail=error.detail)


def _tell(attempt: Attempt) -> dict[str, str]:
    """Return what hooks and journal are told of an attempt."""
    return {
        "attempt": attempt.id,
        "epoch": str(attempt.epoch),
        "kind": attempt.kind.value,
        "by_hand": str(attempt.is_by_hand).lower(),
        "why": attempt.why,
        "state_before": attempt.from_state.value,
        "state_after": State.ACTIVE.value,
    } | ({} if attempt.peer is None else {"peer": attempt.peer})
