"""The node as everything in the agent sees it: its state and term, and the one place that changes them.

What a change is comes from `shared/node/transitions.py` and `shared/node/commands.py`; here it is made durable first
and takes effect then, one change at a time.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypedDict

from shared.clock import Clock
from shared.errors import GrantGiven, NotActive, RecordUnwritable, StaleTerm
from shared.log import fields_of
from shared.node.commands import awaited_term, check_grant, is_bound, obey, recover
from shared.node.model import DemotionKind, FenceView, NodeView, State, Term
from shared.node.observation import Contact, Databases, Observation, PeerSeen, Start
from shared.node.protocol import Speaker
from shared.node.reasons import SENTENCES, Reason
from shared.node.record import BootNote, Record, RecordStore, RecordUnreadable
from shared.node.steps import Act
from shared.node.transitions import decide
from shared.settings import Settings

log = logging.getLogger(__name__)

LONGEST_STEP_SECONDS: Final = 2.0  # judgements come at least every second
GRANT_SECONDS: Final = 30.0


class EnvelopeFields(TypedDict):
    """The fields that every answer between nodes begins with."""

    pair_id: str
    node_id: str
    boot_id: str
    term: Term | None


class Node:
    """The node itself: `open` reads its record, `judge` changes its state, all else only looks."""

    def __init__(self, settings: Settings, clock: Clock, store: RecordStore, *, kernel_boot_id: str | None) -> None:
        self.boot_id = uuid.uuid4().hex
        self.mode = settings.node.mode
        self._settings = settings
        self._clock = clock
        self._store = store
        self._kernel_boot_id = kernel_boot_id
        self._record = Record(pair_id=settings.node.pair_id, node_id=settings.node.id)
        self._start = Start.JUDGED
        self._postmaster_started_at: datetime | None = None
        self._judged_at = clock.monotonic()
        self._silent_seconds = 0.0
        self._writing = asyncio.Lock()
        self._granted_at: float | None = None
        self._watchers: list[asyncio.Event] = []
        self._promoted_at: float | None = None
        self.write_problem: RecordUnwritable | None = None
        self.fence_view: Callable[[], FenceView | None] = lambda: None

    async def open(self) -> None:
        """Read the record; lost means new, unreadable means fenced. Raises ConfigurationError for another node's."""
        try:
            record = await asyncio.to_thread(self._store.load)
        except RecordUnreadable as error:
            log.error("record unreadable", extra={"detail": str(error)})  # noqa: TRY400  the detail says it all
            await self._close_for_good()
            return
        if record is not None:
            self._record = record
            self._start = Start.UNKNOWN if record.state is State.ACTIVE or is_bound(record) else Start.JUDGED
            if record.granted_epoch is not None:
                self._granted_at = self._clock.monotonic()
            await self._write(recover(record))
        log.info("record read", extra={"state": self.state.value, "reason": self.reason})

    def watch(self) -> asyncio.Event:
        """Return an event that every change of the record sets; whoever waits for it clears it."""
        self._watchers.append(asyncio.Event())
        return self._watchers[-1]

    @property
    def start(self) -> Start:
        """Return what the start of the agent was."""
        return self._start

    @property
    def record(self) -> Record:
        """Return what is recorded."""
        return self._record

    @property
    def state(self) -> State:
        """Return what the node does now; an active record whose start is not judged yet only waits."""
        return State.WAITING if self._start is Start.UNKNOWN else self._record.state

    @property
    def reason(self) -> Reason | None:
        """Return why the node is in this state."""
        return Reason.START_UNKNOWN if self._start is Start.UNKNOWN else self._record.reason

    @property
    def sentence(self) -> str | None:
        """Return the reason as a sentence for people."""
        return SENTENCES[self.reason] if self.reason is not None else None

    @property
    def term(self) -> Term | None:
        """Return the last promotion that this node accepts."""
        return self._record.term

    @property
    def is_active(self) -> bool:
        """Say whether this node serves the application."""
        return self.state is State.ACTIVE

    @property
    def promoted_seconds(self) -> float | None:
        """Return how long ago this node was promoted; None unless that was since the agent's start, and it serves."""
        if self._promoted_at is None or not self.is_active:
            return None
        return self._clock.monotonic() - self._promoted_at

    def require_active(self) -> None:
        """Raise NotActive unless this node serves."""
        if not self.is_active:
            raise NotActive(
                f"the node {self._record.node_id} is {self.state.value}: {self.sentence or ''}".rstrip(": ")
            )

    def require_exporting(self, caller: str) -> None:
        """Raise NotActive unless this node serves, or has closed to hand over to the caller."""
        demotion = self._record.demotion
        hands_over = demotion is not None and demotion.kind is DemotionKind.HANDOVER and demotion.step == Act.CLOSED
        if not (hands_over and demotion is not None and demotion.peer == caller):
            self.require_active()

    def require_term(self, epoch: int) -> None:
        """Raise StaleTerm for a caller that accepts a lower term than this node."""
        term = self.term
        if term is not None and epoch < term.epoch:
            raise StaleTerm(f"the request is of term {epoch}, this node accepts {term.epoch} of {term.owner}")

    def envelope(self) -> EnvelopeFields:
        """Return the fields that every answer begins with."""
        record = self._record
        return EnvelopeFields(pair_id=record.pair_id, node_id=record.node_id, boot_id=self.boot_id, term=record.term)

    def speaker(self) -> Speaker:
        """Return who speaks, for the headers of a message."""
        record = self._record
        return Speaker(record.pair_id, record.node_id, self.boot_id, record.term.epoch if record.term else None)

    def view(self) -> NodeView:
        """Return the record as peers and the own controller see it."""
        return NodeView(
            **self.envelope(),
            mode=self.mode,
            state=self.state,
            reason=self.sentence,
            reason_code=self.reason,
            attempt=self._record.attempt,
            demotion=self._record.demotion,
            closed_for=self._record.closed_for,
            eligible=self._record.eligible,
            fence=self.fence_view(),
        )

    async def change(self, command: Callable[[Record], Record]) -> Record:
        """Change the record by one of `shared/node/commands.py` and return it; raises what that does, RecordUnwritable.

        An active record whose start is not judged yet takes no command.
        """
        async with self._writing:
            if self._start is Start.UNKNOWN:
                raise NotActive(SENTENCES[Reason.START_UNKNOWN], retry_after_seconds=1.0)
            await self._write(self._noting_boot(command(self._record)))
            return self._record

    async def close_rolled_back(self, command: Callable[[Record], Record]) -> None:
        """Stop for good because the record is an old one; also one whose start is not judged yet."""
        async with self._writing:
            self._start = Start.JUDGED
            await self._write(command(self._record))

    async def grant(self, caller: str, epoch: int) -> float:
        """Promise a peer that may serve on not to be promoted for so many seconds, nor on evidence from before.

        Given under the lock that serialises promotion. Raises StaleTerm, AttemptOpen, RecordUnwritable.
        """
        async with self._writing:
            check_grant(self._record, caller, epoch)
            self._granted_at = self._clock.monotonic()
            await self._write(self._record.model_copy(update={"granted_epoch": epoch}))
            return GRANT_SECONDS

    def require_no_grant(self, silent_seconds: float | None) -> None:
        """Raise GrantGiven while a promise holds, or for evidence that is older than it."""
        if self._granted_at is None:
            return
        now = self._clock.monotonic()
        left = self._granted_at + GRANT_SECONDS - now
        if left > 0:
            raise GrantGiven(f"this node promised to stay a standby for {left:.0f} s more", retry_after_seconds=left)
        if silent_seconds is not None and now - silent_seconds < self._granted_at:
            raise GrantGiven("the silence began before this node promised to stay a standby")

    @property
    def needs_databases_judged(self) -> bool:
        """Say whether the next judgement depends on what the components' databases hold."""
        return self.state is State.UNINITIALISED or (self.state is State.FENCED and self.reason is Reason.STATE_LOST)

    async def judge(
        self,
        peers: Mapping[str, PeerSeen],
        *,
        databases: Databases,
        postmaster_started_at: datetime | None,
        is_closed: bool = False,
    ) -> None:
        """Apply the table to what is seen now; raise RecordUnwritable, and then nothing has changed.

        `is_closed` is asked for while the start is not judged: whether the databases were found closed.
        """
        async with self._writing:
            before, start = self._record, self._judge_start(postmaster_started_at, is_closed=is_closed)
            decision = decide(self._observe(peers, databases, start))
            self._postmaster_started_at = postmaster_started_at or self._postmaster_started_at
            after = obey(before, decision, uuid.uuid4().hex[:16])
            await self._write(after if start is Start.UNKNOWN else self._noting_boot(after))
            if start is not Start.UNKNOWN or decision.state not in (State.ACTIVE, State.PROMOTING):
                self._start = Start.JUDGED
            if start is Start.RESTART and self.is_active:
                log.info("serving goes on after a restart of the agent", extra={"state": self.state.value})

    def _judge_start(self, postmaster_started_at: datetime | None, *, is_closed: bool) -> Start:
        """Tell a restart of the agent alone from a boot: by the kernel's boot and the postmaster's start.

        An active node whose databases were closed meanwhile asks as after a boot: its controller may have closed them
        so that a peer could take over.
        """
        if self._start is not Start.UNKNOWN:
            return Start.JUDGED
        noted = self._record.boot
        if noted.kernel_boot_id != self._kernel_boot_id:
            return Start.BOOT
        if postmaster_started_at is None:
            return Start.UNKNOWN
        if noted.postmaster_started_at != postmaster_started_at:
            return Start.BOOT
        return Start.BOOT if is_closed and self._record.state is State.ACTIVE else Start.RESTART

    def _observe(self, peers: Mapping[str, PeerSeen], databases: Databases, start: Start) -> Observation:
        record = self._record
        self._count_silence(peers)
        return Observation(
            node_id=record.node_id,
            mode=self.mode,
            state=record.state,
            reason=record.reason,
            term=record.term,
            first_epoch=self._settings.node.epoch_class,
            peers=tuple(peers.values()),
            databases=databases,
            start=start,
            waited_seconds=self._silent_seconds,
            boot_grace_seconds=self._settings.agent.boot_grace_seconds,
            eligible=frozenset(name for name, is_so in record.eligible.items() if is_so and name != record.node_id),
            is_bound=is_bound(record),
            awaited=awaited_term(record),
        )

    def _count_silence(self, peers: Mapping[str, PeerSeen]) -> None:
        """Count how long a waiting node has heard nobody; time in which this process was stopped proves nothing."""
        now = self._clock.monotonic()
        step = min(now - self._judged_at, LONGEST_STEP_SECONDS)
        self._judged_at = now
        if self.state is not State.WAITING or any(peer.contact is Contact.ANSWERED for peer in peers.values()):
            self._silent_seconds = 0.0
        else:
            self._silent_seconds += step

    def _noting_boot(self, after: Record) -> Record:
        """Note what a node runs on that serves or is about to, so that a later start can be judged."""
        if after.state not in (State.ACTIVE, State.PROMOTING):
            return after
        started_at = self._postmaster_started_at or after.boot.postmaster_started_at
        boot = BootNote(kernel_boot_id=self._kernel_boot_id, postmaster_started_at=started_at)
        return after.model_copy(update={"boot": boot})

    async def _close_for_good(self) -> None:
        """Serve no more without knowing what was: in effect at once, durable if the disk lets us."""
        self._record = self._record.model_copy(update={"state": State.FENCED, "reason": Reason.STATE_LOST})
        try:
            await asyncio.to_thread(self._store.save, self._record)
        except RecordUnwritable as error:
            self.write_problem = error
            log.error("record not written", extra=fields_of(error))  # noqa: TRY400  the fields say it all

    async def _write(self, after: Record) -> None:
        """Make a changed record durable, then let it take effect."""
        before = self._record
        if after == before:
            return
        after = after.model_copy(update={"serial": max(before.serial, after.serial) + 1})
        try:
            await asyncio.to_thread(self._store.save, after)
        except RecordUnwritable as error:
            self.write_problem = error
            raise
        self.write_problem = None
        self._record = after
        for watcher in self._watchers:
            watcher.set()
        if before.state is State.PROMOTING and after.state is State.ACTIVE:
            self._promoted_at = self._clock.monotonic()
        if (after.state, after.reason, after.term) != (before.state, before.reason, before.term):
            log.info(
                "state changed",
                extra={
                    "before": before.state.value,
                    "state": after.state.value,
                    "reason": after.reason,
                    "sentence": SENTENCES[after.reason] if after.reason else None,
                    "term": f"{after.term.epoch} of {after.term.owner}" if after.term else None,
                },
            )
