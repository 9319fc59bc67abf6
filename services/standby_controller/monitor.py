"""One look after the other at every node: keeps the last facts, the evidence of failures, tells of changes.

What a series of looks amounts to is `policy/detector.py`; what follows from it for roles is not judged here.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol

from services.standby_controller.doors import Opinion, door_of_error, fault_of_error
from services.standby_controller.facts import NodeFacts, Reach, highest_term
from services.standby_controller.monitor_events import (
    capture_events,
    clock_event,
    is_news,
    kind_to_tell,
    subscriber_events,
    trouble_event,
)
from services.standby_controller.pause_watch import PauseWatch
from services.standby_controller.peer_clock import PeerClock
from services.standby_controller.policy.clock_offset import ClockLimits, Skew, skew_to_tell
from services.standby_controller.policy.detector import (
    Diagnosis,
    Door,
    FailureKind,
    Look,
    Pace,
    Series,
    add_life_sign,
    add_look,
    begin_anew,
    count_misses,
    diagnose,
)
from services.standby_controller.recorder import Recorder
from services.standby_controller.store.heartbeats import HeartbeatRecord
from services.standby_controller.store.records import Failure
from shared.clock import Clock
from shared.errors import (
    DatabaseMissing,
    LoginRefused,
    RightsMissing,
    SchemaTooNew,
    VersionUnsupported,
    WalLevelInsufficient,
    WarmstandbyError,
)
from shared.lifecycle import Sibling, run_every
from shared.node.client import Heard
from shared.node.model import Heartbeat

OWN_LOOK_SECONDS: Final = 1.0
SPACING: Final = 0.5
"""Of the re-check pause: a look on demand that follows another sooner is no evidence of its own."""

_SERVES: Final = frozenset(
    error.code
    for error in (DatabaseMissing, LoginRefused, RightsMissing, SchemaTooNew, VersionUnsupported, WalLevelInsufficient)
)
"""Problems that are ours alone: the server answers, and the application does not care."""

SecondOpinion = Callable[[str], Coroutine[Any, Any, Opinion]]


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
        pace: Callable[[], Pace],
        clock_limits: Callable[[], ClockLimits],
        fact_limit_seconds: float,
        second_opinion: SecondOpinion,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._facts = {facts.node_id: facts for facts, _ in nodes}
        self._sources: Mapping[str, HeartbeatSource] = {facts.node_id: source for facts, source in nodes}
        self._clocks = {name: PeerClock() for name in self._facts}
        self._skews = dict.fromkeys(self._facts, Skew.NONE)
        self._told = dict.fromkeys(self._facts, FailureKind.WELL)
        self._took_seconds = dict.fromkeys(self._facts, 0.0)
        self._pace = pace
        self._clock_limits = clock_limits
        self._fact_limit_seconds = fact_limit_seconds
        self._second_opinion = second_opinion
        self._recorder = recorder
        self._clock = clock
        self._pauses = PauseWatch(clock)
        self._heard_from: Callable[[str], float | None] = lambda _: None
        self.looked: Final = asyncio.Event()

    def listen_to(self, heard_from: Callable[[str], float | None]) -> None:
        """Take life signs of another kind from there: when a node last sent anything else (monotonic)."""
        self._heard_from = heard_from

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

    @property
    def owner(self) -> str | None:
        """Return the node that was promoted last, as far as this one has heard."""
        term = highest_term(self.nodes)
        return None if term is None else term.owner

    def earliest_clock(self) -> datetime:
        """Return the time that all clocks known here have passed, for what must not be done too early."""
        now = self._clock.monotonic()
        clocks = (facts.clock_at(now) for facts in self.peers if facts.present is not None)
        return min([self._clock.now(), *(clock for clock in clocks if clock is not None)])

    def diagnosis(self, node_id: str) -> Diagnosis:
        """Return what is wrong with a node now; what was seen before a pause of this process counts for nothing."""
        self._set_series(node_id, self._fresh(node_id))
        return diagnose(self._facts[node_id].series, self._pace().failures)

    def begin_anew(self, at_monotonic: float) -> None:
        """Let no evidence from before that moment count, of any node."""
        for node_id, facts in self._facts.items():
            self._set_series(node_id, begin_anew(facts.series, at_monotonic))

    def siblings(self) -> list[Sibling]:
        """Return the loops: one for each node, so that a slow one does not make another look silent."""
        loops = []
        for node_id in self._facts:
            name, pause = f"look at {node_id}", functools.partial(self._pause_seconds, node_id)
            look = functools.partial(self.look, node_id)
            loops.append(Sibling(name, functools.partial(run_every, pause, look, name=name, clock=self._clock)))
        return [Sibling("pause watch", self._pauses.run), *loops]

    async def look(self, node_id: str) -> None:
        """Ask one node once and note what it said; its other doors are asked too where its agent was silent before."""
        sent_at, began = self._clock.now(), self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            asking = None
            if self._is_suspect(node_id):  # all doors at once: a look takes no longer than the timeout
                asking = group.create_task(self._second_opinion(node_id), name=f"second opinion on {node_id}")
            answer = await _ask(self._sources[node_id])
            if asking is not None and isinstance(answer, Heard):
                asking.cancel()
        if isinstance(answer, Heard):
            self._note_answer(node_id, began, answer)
        else:
            opinion = asking.result() if asking is not None else Opinion()
            self._note_failure(node_id, sent_at, began, answer, opinion)
        self._took_seconds[node_id] = self._clock.monotonic() - began
        self.looked.set()

    def _pause_seconds(self, node_id: str) -> float:
        """Return the time from the start of a look to that of the next: sooner while a silence is not certain."""
        pace, facts = self._pace(), self._facts[node_id]
        if facts.is_own:
            return min(OWN_LOOK_SECONDS, pace.interval_seconds)
        if 0 < facts.misses < pace.failures:
            return self._took_seconds[node_id] + pace.recheck_seconds
        return pace.interval_seconds

    def _is_suspect(self, node_id: str) -> bool:
        facts = self._facts[node_id]
        return not facts.is_own and (facts.misses > 0 or self._pace().failures == 1)

    def _note_answer(self, node_id: str, began: float, heard: Heard) -> None:
        before, heartbeat = self._facts[node_id], heard.heartbeat
        round_trip = heard.received_monotonic - heard.sent_monotonic
        peer_clock = self._clocks[node_id]
        sample = peer_clock.add(heard)
        look = self._look_of(heartbeat, began)
        after = replace(
            before,
            reach=Reach.ANSWERING,
            heartbeat=heartbeat,
            mode=heartbeat.mode,
            site=heartbeat.site,
            answered_at=heard.received_at,
            answered_at_monotonic=heard.received_monotonic,
            asked_since_monotonic=before.asked_since_monotonic or heard.sent_monotonic,
            series=add_look(self._fresh(node_id), look),
            misses=0,
            problem=None,
            offset=None if before.is_own else peer_clock.offset,
            drift=None if before.is_own else peer_clock.drift,
            round_trip_seconds=round_trip,
            certificate_expires_at=heard.certificate_expires_at,
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
                    silent_seconds=self._silent_seconds(before, heard.received_monotonic),
                )
            )
        self._tell_changes(before, after)

    def _look_of(self, heartbeat: Heartbeat, began: float) -> Look:
        """Return the look of a heartbeat; a fact that is too old is unknown, and unknown is not healthy."""
        database, application, limit = heartbeat.database, heartbeat.application, self._fact_limit_seconds
        is_serving = database.is_healthy or (database.problem is not None and database.problem.code in _SERVES)
        is_database_healthy = is_serving and database.checked_age_seconds <= limit
        is_application_healthy = application is None or (
            application.is_healthy and application.checked_age_seconds <= limit
        )
        detail = ""
        if not is_database_healthy:
            detail = database.problem.text if database.problem else "its last look at its database is too old"
        elif not is_application_healthy and application is not None:
            detail = application.detail or "its last look at the application is too old"
        return Look(
            began,
            self._clock.monotonic(),
            Door.ANSWERED,
            is_database_healthy=is_database_healthy,
            is_application_healthy=is_application_healthy,
            detail=detail,
        )

    def _note_failure(
        self, node_id: str, sent_at: datetime, began: float, error: WarmstandbyError, opinion: Opinion
    ) -> None:
        before, door = self._facts[node_id], door_of_error(error)
        fresh = self._fresh(node_id)
        if door is Door.SILENT and began < fresh.fresh_from_seconds:
            self._set_series(node_id, fresh)  # this process slept: the silence may be its own
            return
        look = Look(
            began,
            self._clock.monotonic(),
            door,
            controller=opinion.controller,
            database=opinion.database,
            references=opinion.references,
            detail=error.detail,
        )
        spacing = 0.0 if before.is_own else SPACING * self._pace().recheck_seconds
        series = add_look(fresh, look, spacing_seconds=spacing)
        misses = count_misses(series)
        silence = Reach.LOST if misses >= self._pace().failures else Reach.MISSING
        after = replace(
            before,
            reach=silence if door is Door.SILENT else Reach.REFUSED,
            series=series,
            misses=misses,
            problem=Failure(fault_of_error(error), error.detail, error.hint),
            asked_since_monotonic=before.asked_since_monotonic or began,
        )
        self._facts[node_id] = after
        if not before.is_own:
            silent = self._silent_seconds(before, self._clock.monotonic())
            self._recorder.add_heartbeat(
                HeartbeatRecord(peer=node_id, at=sent_at, result=error.code, silent_seconds=silent)
            )
        self._tell_changes(before, after)

    def _silent_seconds(self, before: NodeFacts, now: float) -> float | None:
        """Return the time since a node's last answer, without what this process slept through."""
        if before.answered_at_monotonic is None:
            return None
        return max(0.0, now - max(before.answered_at_monotonic, self._pauses.last_pause_ended() or 0.0))

    def _fresh(self, node_id: str) -> Series:
        """Return the evidence without what this process slept through, and with life signs of other kinds."""
        series, paused_until, heard_at = (
            self._facts[node_id].series,
            self._pauses.last_pause_ended(),
            self._heard_from(node_id),
        )
        if paused_until is not None:
            series = begin_anew(series, paused_until)
        return series if heard_at is None else add_life_sign(series, heard_at)

    def _set_series(self, node_id: str, series: Series) -> None:
        facts = self._facts[node_id]
        if series is not facts.series:
            self._facts[node_id] = replace(facts, series=series, misses=count_misses(series))

    def _tell_changes(self, before: NodeFacts, after: NodeFacts) -> None:
        kind = kind_to_tell(after, diagnose(after.series, self._pace().failures))
        if kind is not None and is_news(kind, self._told[after.node_id]):
            self._recorder.add_event(trouble_event(after, kind, self._clock.now()))
            self._told[after.node_id] = kind
        now = self._clock.now()
        for event in (*capture_events(before, after, now), *subscriber_events(before, after, now)):
            self._recorder.add_event(event)
        self._tell_skew(after)

    def _tell_skew(self, after: NodeFacts) -> None:
        told, limits = self._skews[after.node_id], self._clock_limits()
        skew = skew_to_tell(told, after.offset, limits)
        if skew is not told and after.offset is not None:
            self._recorder.add_event(clock_event(self.own, after, after.offset, skew, limits, self._clock.now()))
            self._skews[after.node_id] = skew


async def _ask(source: HeartbeatSource) -> Heard | WarmstandbyError:
    try:
        return await source.heartbeat()
    except WarmstandbyError as error:
        return error
