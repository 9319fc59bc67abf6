"""A simulated host: its disk, its databases with their writers, and the agent of the real code that lives on it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from services.primary_agent.capture.base import BaseResult
from services.primary_agent.node.demotion import Demoting
from services.primary_agent.node.health import DatabaseWatch
from services.primary_agent.node.hooks import HookResult
from services.primary_agent.node.judgement import Judgement
from services.primary_agent.node.node import Node
from services.primary_agent.node.peer_watch import PeerWatch
from services.primary_agent.node.performer import Performer
from services.primary_agent.node.promotion import Promotion
from services.primary_agent.node.record_copy import RecordCopy
from services.primary_agent.node.roles import Roles
from shared.errors import FenceIncomplete, PeerUnreachable, WarmstandbyError
from shared.fencing.model import FenceStrength
from shared.lifecycle import run_every
from shared.node.client import NodeClient
from shared.node.journal import Journal
from shared.node.observation import Contact, Databases, PeerSeen
from shared.node.record import Record
from shared.settings import Settings
from shared.surroundings import HookName
from tests.simulation.network import Link, Network
from tests.simulation.virtual import VirtualClock

Result = TypeVar("Result")
HEARTBEAT_SECONDS = 2.0


@dataclass
class Machine:
    """A host: what is durable on it, and what runs on it now."""

    name: str
    number: int
    settings: Settings
    network: Network
    clock: VirtualClock
    chance: random.Random
    wrote: Callable[[Machine, Record | None, Record], None]
    """Told of each record that became durable."""
    broke: Callable[[Machine, BaseException], None]
    """Told of an error that nobody expects."""
    machines: dict[str, Machine] = field(default_factory=dict)
    is_up: bool = True
    agent: Agent | None = None
    agent_since: float = float("-inf")
    record: Record | None = None
    rows: set[int] = field(default_factory=set)
    rescued: set[int] = field(default_factory=set)
    is_closed: bool = False
    has_session: bool = False
    can_apply: bool = True
    fails_to_end: bool = False
    boots: int = 0
    acts: int = 0
    dies_at_act: int | None = None
    """The agent dies before (even) or after (odd) that act which others can see."""

    @property
    def is_accepting(self) -> bool:
        """Say whether a write would be accepted now."""
        return self.is_up and (self.has_session or not self.is_closed)

    def do(self, effect: Callable[[], Result]) -> Result:
        """Do what is durable or visible to others; the agent may die just before or just after."""
        self.acts += 1
        if self.dies_at_act is not None and self.acts >= self.dies_at_act // 2:
            is_after, self.dies_at_act = self.dies_at_act % 2, None
            if is_after:
                effect()
            self.kill_agent()
            raise asyncio.CancelledError
        return effect()

    def start_agent(self) -> None:
        """Start the agent where there is none."""
        if self.is_up and self.agent is None:
            self.agent = Agent(self)
            self.agent_since = self.clock.monotonic()
            self.agent.spawn(self.agent.live())

    def kill_agent(self) -> None:
        """End the agent at once; the databases stay as they are."""
        agent, self.agent = self.agent, None
        if agent is not None:
            agent.end()

    def crash(self) -> None:
        """End everything; the databases are closed when the host boots."""
        self.kill_agent()
        self.is_up, self.has_session, self.is_closed = False, False, True

    def boot(self) -> None:
        """Start the host and its server."""
        self.is_up, self.boots = True, self.boots + 1

    def close_for_dead_agent(self) -> bool:
        """Close the databases as the node's controller does; False where the agent lives or has not served."""
        if self.agent is not None or not self.is_up or self.record is None or self.record.state != "active":
            return False
        self.is_closed, self.has_session = True, False
        return True


class Agent:
    """The agent's real parts over simulated surroundings."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in their order, so that a story can be told again
        settings, clock, looked = machine.settings, machine.clock, asyncio.Event()
        self.node = Node(settings, clock, _Disk(self), kernel_boot_id=f"boot-{machine.boots}")
        self.peers = Watch(machine, self.node, looked)
        journal, fence, hooks = _Memory(Path("unused"), clock), SimulatedFence(self), NoHooks()
        databases, copy = cast("DatabaseWatch", _Databases(machine)), cast("RecordCopy", _NoCopy())
        self.judgement = Judgement(settings, clock, self.node, self.peers, databases, fence, copy, looked)
        promotion = Promotion(self.node, fence, NoCapture(), hooks, self.peers, journal, clock)
        demoting = Demoting(self.node, fence, hooks, self.peers, journal, clock, deadline_seconds=5.0)
        self.performer = Performer(
            self.node, promotion, demoting, fence, hooks, journal, clock,
            look_seconds=HEARTBEAT_SECONDS, deadline_seconds=5.0,
        )  # fmt: skip
        self.roles = Roles(self.node, self.peers, demoting, journal, machine.number)
        self._looked = looked

    def spawn(self, work: Coroutine[Any, Any, Result] | Any) -> asyncio.Task[Result]:
        """Run something that dies with the agent."""
        task: asyncio.Task[Result] = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    async def asked(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do what is asked of the agent; raise PeerUnreachable when it dies meanwhile."""
        doing: asyncio.Task[Result] = self.spawn(work)
        await asyncio.wait([doing])
        if doing.cancelled():
            raise PeerUnreachable(f"the agent of node {self.machine.name} died")
        return doing.result()

    def end(self) -> None:
        """Cancel everything at once."""
        for task in list(self._tasks):
            task.cancel()

    @property
    def is_alive(self) -> bool:
        """Say whether this is the process that runs now."""
        return self.machine.agent is self

    async def live(self) -> None:
        """Run the loops of the agent."""
        await self.node.open()
        clock, performer = self.machine.clock, self.performer
        for name, pause, action, wake in (
            ("peer watch", HEARTBEAT_SECONDS, self.peers.look, None),
            ("judgement", 1.0, self.judgement.judge, self._looked),
            ("performer", performer._pause, performer.act, performer._changed),
            ("hooks", 5.0, performer._run_pending_hooks, performer._hooks_due),
        ):
            self.spawn(run_every(pause, action, name=name, clock=clock, wake=wake))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()  # what is refused belongs to who asked
        if error is not None and not isinstance(error, WarmstandbyError):
            self.machine.broke(self.machine, error)


class Watch(PeerWatch):
    """The real look at the peers, over the simulated network."""

    def __init__(self, machine: Machine, node: Node, looked: asyncio.Event) -> None:
        peers = [peer for name, peer in machine.machines.items() if name != machine.name]
        self._seen = {peer.name: PeerSeen(peer.name, Contact.NOT_ASKED) for peer in peers}
        self._not_asked = dict(self._seen)
        self._looked_at = machine.clock.monotonic()
        links = {peer.name: Link(machine.network, machine.name, peer) for peer in peers}
        self._clients = cast("dict[str, NodeClient]", links)
        self._node = node
        self._troubles = {}
        self._pause_seconds = HEARTBEAT_SECONDS
        self._clock = machine.clock
        self._looked = looked


class SimulatedFence:
    """The databases of a machine, closed and opened; each act takes a moment."""

    strength = FenceStrength.HBA
    problem: str | None = None
    opening: str | None = None

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def _do(self, **what: bool) -> None:
        machine = self._agent.machine
        await asyncio.sleep(machine.chance.uniform(0.0, 0.05))

        def effect() -> None:
            for name, value in what.items():
                setattr(machine, name, value)

        machine.do(effect)

    async def close(self) -> None:
        """Let no new session in."""
        await self._do(is_closed=True)

    async def end(self, deadline_seconds: float) -> None:
        """End the sessions; one that does not go is a failure."""
        if self._agent.machine.fails_to_end and self._agent.machine.has_session:
            await asyncio.sleep(deadline_seconds)
            raise FenceIncomplete("a session does not end")
        await self._do(has_session=False)

    async def prove(self) -> object:
        """See that nobody can write."""
        if self._agent.machine.is_accepting:
            raise FenceIncomplete("somebody can write")
        return None

    async def open(self) -> None:
        """Let sessions in."""
        await self._do(is_closed=False)

    async def is_closed(self) -> bool:
        """Look once."""
        return not self._agent.machine.is_accepting

    async def is_open(self) -> bool:
        """Look once."""
        return not self._agent.machine.is_closed

    async def is_shut_down(self) -> bool:
        """The server runs as long as the host."""
        return False

    async def stop_apply(self, deadline_seconds: float) -> None:
        """Let no sync write."""
        await self._do(can_apply=False)

    async def resume_apply(self) -> None:
        """Let syncs write."""
        await self._do(can_apply=True)


class NoCapture:
    """Notes nothing."""

    async def begin_term(self, epoch: int, *, sequence_headroom: int) -> tuple[BaseResult, ...]:
        """Take a moment."""
        await asyncio.sleep(0.01)
        return ()


class NoHooks:
    """Runs nothing."""

    async def run_until(self, name: HookName, environment: Mapping[str, str]) -> HookResult | None:
        """No hook is configured."""
        return None

    def end(self, *names: HookName) -> None:
        """Nothing runs."""


class _Disk:
    """The record on the machine's disk."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def load(self) -> Record | None:
        return self._agent.machine.record

    def save(self, record: Record) -> None:
        machine = self._agent.machine
        if not self._agent.is_alive:
            return

        def effect() -> None:
            before, machine.record = machine.record, record
            machine.wrote(machine, before, record)

        machine.do(effect)


class _Memory(Journal):
    """A journal that is kept nowhere."""

    def _append(self, line: bytes) -> None:
        """Keep nothing."""


class _Databases:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def postmaster_started_at(self) -> datetime:
        return started_at(self._machine)

    async def survey(self) -> Databases:
        return Databases.IN_USE if self._machine.rows else Databases.EMPTY


def started_at(machine: Machine) -> datetime:
    """Return since when the machine's server runs."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=machine.boots)


class _NoCopy:
    async def check(self) -> None:
        """Nothing was rolled back."""
