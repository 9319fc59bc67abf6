"""One look after the other at every node's heartbeat: keeps the last facts, counts misses, tells of changes.

What a silence means for roles is not judged here.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from services.standby_controller.facts import NodeFacts, Reach
from services.standby_controller.pair_document import PairDocument
from services.standby_controller.pause_watch import PauseWatch
from services.standby_controller.policy.clock_offset import ClockOffset, best_offset, offset_of_exchange
from services.standby_controller.recorder import Recorder
from services.standby_controller.severity import Severity
from services.standby_controller.store.events import EventKind, NewEvent
from services.standby_controller.store.heartbeats import HeartbeatRecord
from services.standby_controller.store.records import Failure
from shared.clock import Clock
from shared.errors import PeerUnreachable, WarmstandbyError
from shared.lifecycle import Sibling, run_every
from shared.node.client import Heard
from shared.node.model import State

OFFSET_SAMPLES: Final = 8
OWN_LOOK_SECONDS: Final = 1.0


class HeartbeatSource(Protocol):
    """Where one node's heartbeat is read."""

    async def heartbeat(self) -> Heard:
        """Ask the node's agent, with a deadline; raises PeerError and RoleError."""


class Monitor:
    """The facts of the own node and of every peer."""

    def __init__(
        self,
        nodes: Sequence[tuple[NodeFacts, HeartbeatSource]],
        *,
        heartbeat_seconds: float,
        config: Callable[[], PairDocument],
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._facts = {facts.node_id: facts for facts, _ in nodes}
        self._sources: Mapping[str, HeartbeatSource] = {facts.node_id: source for facts, source in nodes}
        self._offsets: dict[str, deque[ClockOffset]] = {name: deque(maxlen=OFFSET_SAMPLES) for name in self._facts}
        self._heartbeat_seconds = heartbeat_seconds
        self._config = config
        self._recorder = recorder
        self._clock = clock
        self._pauses = PauseWatch(clock)

    @property
    def own(self) -> NodeFacts:
        """Return the facts of this node."""
        return next(facts for facts in self._facts.values() if facts.is_own)

    @property
    def peers(self) -> tuple[NodeFacts, ...]:
        """Return the facts of the other nodes."""
        return tuple(facts for facts in self._facts.values() if not facts.is_own)

    @property
    def nodes(self) -> tuple[NodeFacts, ...]:
        """Return the facts of all nodes, this one first."""
        return (self.own, *self.peers)

    def siblings(self) -> list[Sibling]:
        """Return the loops: one for each node, so that a slow one does not make another look silent."""
        loops = [
            Sibling(
                f"look at {facts.node_id}",
                functools.partial(
                    run_every,
                    min(OWN_LOOK_SECONDS, self._heartbeat_seconds) if facts.is_own else self._heartbeat_seconds,
                    functools.partial(self.look, facts.node_id),
                    name=f"look at {facts.node_id}",
                    clock=self._clock,
                ),
            )
            for facts in self._facts.values()
        ]
        return [Sibling("pause watch", self._pauses.run), *loops]

    async def look(self, node_id: str) -> None:
        """Ask one node once and note what it said."""
        sent_at, sent = self._clock.now(), self._clock.monotonic()
        try:
            heard = await self._sources[node_id].heartbeat()
        except WarmstandbyError as error:
            is_silence = isinstance(error, PeerUnreachable)
            if is_silence and await self._pauses.was_paused_since(sent):
                return
            failure = Failure(error.code, error.detail, error.hint)
            self._note_failure(node_id, sent_at, sent, failure, is_silence=is_silence)
        else:
            self._note_answer(node_id, heard)

    def _note_answer(self, node_id: str, heard: Heard) -> None:
        before, heartbeat = self._facts[node_id], heard.heartbeat
        round_trip = heard.received_monotonic - heard.sent_monotonic
        sample = offset_of_exchange(heard.sent_at, heartbeat.clock.received_at, heartbeat.clock.answered_at, round_trip)
        offsets = self._offsets[node_id]
        if sample is not None:
            offsets.appendleft(sample)
        after = replace(
            before,
            reach=Reach.ANSWERING,
            heartbeat=heartbeat,
            mode=heartbeat.mode,
            site=heartbeat.site,
            answered_at=heard.received_at,
            answered_at_monotonic=heard.received_monotonic,
            asked_since_monotonic=before.asked_since_monotonic or heard.sent_monotonic,
            misses=0,
            problem=None,
            offset=None if before.is_own else best_offset(offsets),
            round_trip_seconds=round_trip,
        )
        self._facts[node_id] = after
        if not before.is_own:
            self._recorder.add_heartbeat(
                HeartbeatRecord(
                    peer=node_id,
                    at=heard.sent_at,
                    result="ok",
                    state=heartbeat.state,
                    term_epoch=None if heartbeat.term is None else heartbeat.term.epoch,
                    round_trip_seconds=round_trip,
                    offset_low_seconds=None if sample is None else sample.low_seconds,
                    offset_high_seconds=None if sample is None else sample.high_seconds,
                )
            )
        self._tell_changes(before, after)

    def _note_failure(
        self, node_id: str, sent_at: datetime, sent: float, failure: Failure, *, is_silence: bool
    ) -> None:
        before = self._facts[node_id]
        misses = before.misses + 1 if is_silence else 0
        is_lost = misses >= self._config().monitor.misses_until_lost
        silence = Reach.LOST if is_lost else Reach.MISSING
        after = replace(
            before,
            reach=silence if is_silence else Reach.REFUSED,
            misses=misses,
            problem=failure,
            asked_since_monotonic=before.asked_since_monotonic or sent,
        )
        self._facts[node_id] = after
        if not before.is_own:
            self._recorder.add_heartbeat(HeartbeatRecord(peer=node_id, at=sent_at, result=failure.code))
        self._tell_changes(before, after)

    def _tell_changes(self, before: NodeFacts, after: NodeFacts) -> None:
        who = "This node's agent" if after.is_own else f"Node {after.node_id}"
        problem = after.problem.detail if after.problem else ""
        if before.reach is not after.reach:
            if after.reach is Reach.LOST:
                kind = EventKind.AGENT_LOST if after.is_own else EventKind.PEER_LOST
                self._tell(kind, Severity.CRITICAL, after.node_id, f"{who} does not answer: {problem}")
            elif after.reach is Reach.REFUSED:
                self._tell(EventKind.PEER_REFUSED, Severity.WARNING, after.node_id, f"{who} refuses: {problem}")
            elif after.reach is Reach.ANSWERING and before.reach in (Reach.LOST, Reach.REFUSED):
                kind = EventKind.AGENT_BACK if after.is_own else EventKind.PEER_BACK
                self._tell(kind, Severity.INFO, after.node_id, f"{who} answers again")
        if after.present is None or after.state is not State.ACTIVE:
            return
        broken_before, broken_after = before.broken_captures(), after.broken_captures()
        for component in broken_after.keys() - broken_before.keys():
            text = f"{who} does not capture the changes of {component}: {broken_after[component]}"
            self._tell(EventKind.CAPTURE_BROKEN, Severity.WARNING, component, text)
        for component in broken_before.keys() - broken_after.keys():
            text = f"{who} captures the changes of {component} again"
            self._tell(EventKind.CAPTURE_MENDED, Severity.INFO, component, text)

    def _tell(self, kind: EventKind, severity: Severity, subject: str, text: str) -> None:
        self._recorder.add_event(NewEvent(self._clock.now(), kind, severity, subject, text))
