"""A planned swap without loss: syncs until the last one is short, handover, the last sync, promotion.

A failure before the term is taken leaves the active node serving: its agent asks this one's and comes back.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Final

from services.standby_controller.roles.agents import OwnAgent, PeerAgent, is_promoting, wait_until
from services.standby_controller.roles.changes import Change
from services.standby_controller.source import Source
from services.standby_controller.store.records import SyncRecord, SyncResult
from services.standby_controller.sync import SyncRunner
from shared.clock import Clock
from shared.errors import FinalDeltaTooLong, PeerError, TransitionFailed, WarmstandbyError
from shared.node.model import AttemptKind, AttemptName, NodeView, Prepare, Promote, State
from shared.node.steps import Act

_ROUNDS: Final = 5
_HOOK_SECONDS: Final = 120.0
_CLOSE_SECONDS: Final = 60.0
_PROMOTE_SECONDS: Final = 60.0
_BACK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Switchover:
    """Swaps the roles; `run` is one swap."""

    own: OwnAgent
    peer: PeerAgent
    runner: SyncRunner
    clock: Clock
    max_write_gap_seconds: float
    is_failback: bool

    async def run(self, change: Change, source: Source) -> None:
        """Make this node active in place of the source; raises FinalDeltaTooLong, TransitionFailed, PeerError."""
        change.enter("syncing", self.clock.monotonic())
        await self._sync_until_short(source, change)
        view = await self.own.node()
        change.enter("reserving", self.clock.monotonic())
        try:
            await self._hand_over(change, source, None if view.term is None else view.term.epoch)
        except WarmstandbyError:
            await self._give_up(change)
            raise
        change.enter("promoting", self.clock.monotonic())
        ended = await wait_until(
            self.own,
            lambda seen: not is_promoting(seen, change.id),
            what="this node becomes active",
            limit_seconds=_PROMOTE_SECONDS,
            clock=self.clock,
        )
        if ended.state is not State.ACTIVE:
            raise TransitionFailed(f"the promotion was given up; the node is {ended.state}: {ended.reason}")

    async def _sync_until_short(self, source: Source, change: Change) -> None:
        """Sync while the source serves, until the last sync is expected to fit into the gap that is allowed."""
        seconds = 0.0
        for _ in range(_ROUNDS):
            begun = self.clock.monotonic()
            _check(await self.runner.run_from(source, f"switchover {change.id}"))
            seconds = self.clock.monotonic() - begun
            if seconds <= self.max_write_gap_seconds / 2:
                return
        raise FinalDeltaTooLong(
            f"the last sync took {seconds:.1f} s, writes may stop for {self.max_write_gap_seconds:g} s"
        )

    async def _hand_over(self, change: Change, source: Source, epoch: int | None) -> None:
        asked = Promote(
            attempt_id=change.id,
            kind=AttemptKind.SWITCHOVER,
            expected_epoch=epoch,
            is_by_hand=True,
            peer=source.node_id,
            is_failback=self.is_failback,
            why=change.why,
        )
        await self.own.promote(asked)
        change.is_asked = True
        ready = await wait_until(
            self.own,
            lambda seen: not _holds(seen, change.id) or _step(seen) is Act.AWAIT_HANDOVER,
            what="the hook pre_promote",
            limit_seconds=_HOOK_SECONDS,
            clock=self.clock,
        )
        if ready.attempt is None:
            raise TransitionFailed(f"this node gave the attempt up: {ready.reason}")
        change.enter("closing", self.clock.monotonic())
        gap_begun = self.clock.monotonic()
        deadline = self.max_write_gap_seconds + _CLOSE_SECONDS
        await self.peer.prepare_handover(
            Prepare(
                attempt_id=change.id,
                epoch=ready.attempt.epoch,
                expected_epoch=source.term.epoch,
                deadline_seconds=deadline,
            )
        )
        closed = await wait_until(
            self.peer,
            lambda seen: seen.state is State.ACTIVE or _is_closed_for(seen, change.id),
            what="the active node closes its databases",
            limit_seconds=_CLOSE_SECONDS,
            clock=self.clock,
        )
        if closed.state is State.ACTIVE:
            raise TransitionFailed(f"node {source.node_id} serves on: {closed.reason}")
        change.enter("last_sync", self.clock.monotonic())
        _check(await self.runner.run_from(source, f"switchover {change.id}, last"))
        await wait_until(
            self.own,
            lambda seen: seen.attempt is None or seen.attempt.is_peer_closed,
            what="this node's agent sees the other closed",
            limit_seconds=_BACK_SECONDS,
            clock=self.clock,
        )
        await self.own.commit(AttemptName(attempt_id=change.id))
        change.write_gap_seconds = self.clock.monotonic() - gap_begun

    async def _give_up(self, change: Change) -> None:
        """Abandon the attempt, so that the node that handed over comes back; one that was taken goes on by itself."""
        with contextlib.suppress(PeerError):
            await self.own.abandon(AttemptName(attempt_id=change.id))


def _check(record: SyncRecord) -> None:
    if record.result is not SyncResult.SUCCEEDED:
        detail = record.failure.detail if record.failure else str(record.result)
        raise TransitionFailed(f"sync {record.id}: {detail}")


def _holds(seen: NodeView, change_id: str) -> bool:
    return seen.attempt is not None and seen.attempt.id == change_id


def _step(seen: NodeView) -> Act | None:
    return None if seen.attempt is None else Act(seen.attempt.step)


def _is_closed_for(seen: NodeView, change_id: str) -> bool:
    return seen.demotion is not None and seen.demotion.id == change_id and seen.demotion.step == Act.CLOSED
