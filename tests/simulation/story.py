"""One seeded story of a pair: it serves, things fail and are asked for, everything is mended, one node serves again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import cache

from shared.errors import WarmstandbyError
from shared.node.model import AttemptKind, State, Term
from shared.node.reasons import Reason
from shared.node.record import BootNote, Record
from shared.settings import Settings
from tests.node_file import node_settings
from tests.simulation.controller import Controller
from tests.simulation.judge import Judge, Wrong
from tests.simulation.machine import HEARTBEAT_SECONDS, Machine, started_at
from tests.simulation.network import Network
from tests.simulation.virtual import VirtualClock, VirtualLoop, run_virtually

NAMES = ("one", "two")
QUIET_SECONDS = 3.0
CHAOS_SECONDS = 30.0
LONGEST_UNSERVED_SECONDS = 75.0
LONGEST_END_SECONDS = 400.0
HUMAN_ACTS = 3


def tell_story(seed: int) -> Judge:
    """Run the story of a seed, the same each time; raise Wrong with what happened in it."""
    chance = random.Random(seed)
    story = Story(chance)
    run_virtually(chance, story.run)
    if story.judge.wrong is not None:
        raise Wrong(f"{story.judge.wrong}\nagain by: tests.simulation.story.tell_story({seed})")
    return story.judge


class Story:
    """A pair, its clients, its administrators, and what befalls it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._network = Network(chance)
        self.judge = Judge(self._network)
        self._row = 0
        self._tasks: dict[str, list[asyncio.Task[None]]] = {name: [] for name in NAMES}
        self._controllers: dict[str, Controller] = {}
        self._numbers = [0]
        self.machines: dict[str, Machine] = self.judge.machines

    async def run(self, loop: VirtualLoop) -> None:
        """Tell it to the end."""
        self._clock = VirtualClock(loop)
        for number, name in enumerate(NAMES, 1):
            self.machines[name] = Machine(
                name,
                number,
                _settings(name),
                self._network,
                self._clock,
                self._chance,
                self.judge.wrote,
                self.judge.broke,
                self.machines,
            )
        self._settle()
        for machine in self.machines.values():
            self._start(machine)
        watching = asyncio.ensure_future(self._watch())
        await asyncio.sleep(QUIET_SECONDS)
        begun = self._clock.monotonic()
        for _ in range(self._chance.randint(2, 7)):
            at = begun + self._chance.uniform(0, CHAOS_SECONDS)
            loop.call_at(at, self._befall, loop)
        await asyncio.sleep(CHAOS_SECONDS)
        self._mend()
        await self._end_well()
        watching.cancel()

    def _settle(self) -> None:
        """Begin with a pair that has served for long, or with a new one."""
        term = Term(epoch=1, owner="one")
        for machine in self.machines.values():
            machine.is_closed = True
        if self._chance.random() < 0.05:
            return
        eligible = {"two": True} if self._chance.random() < 0.7 else {}
        for machine, state in zip(self.machines.values(), (State.ACTIVE, State.STANDBY), strict=True):
            reason = Reason.FIRST_NODE if state is State.ACTIVE else Reason.FOLLOWS
            machine.record = Record(
                pair_id="lab",
                node_id=machine.name,
                state=state,
                reason=reason,
                term=term,
                highest_epoch=1,
                eligible=eligible,
                boot=BootNote(kernel_boot_id="boot-0", postmaster_started_at=started_at(machine)),
            )
            machine.is_closed = state is not State.ACTIVE

    def _start(self, machine: Machine) -> None:
        """Start what lives on a host."""
        machine.start_agent()
        controller = self._controllers[machine.name] = Controller(machine, self.judge.covered, self._numbers)
        self._tasks[machine.name] = [
            asyncio.ensure_future(controller.run()),
            asyncio.ensure_future(self._write(machine)),
        ]

    async def _write(self, machine: Machine) -> None:
        """Write for ever, through a session that stays open, as long as the database lets it."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.5, 1.5))
            if machine.is_accepting and machine.record is not None:
                machine.has_session = True
                self._row += 1
                machine.rows.add(self._row)
                self.judge.accept(machine, self._row)

    async def _watch(self) -> None:
        """Look every second; an agent that died is started again by its host."""
        while True:
            await asyncio.sleep(1.0)
            self.judge.look(self._clock.monotonic())
            for machine in self.machines.values():
                if machine.agent is None and self._chance.random() < 0.25:
                    machine.start_agent()

    def _befall(self, loop: VirtualLoop) -> None:
        """Let one thing fail, or be asked for."""
        serving = [machine for machine in self.machines.values() if machine.is_accepting]
        machine = self._chance.choice([*self.machines.values(), *serving])
        what: Callable[[Machine, VirtualLoop], str | None] = self._chance.choice(
            (
                self._die_at_act, self._die_at_act, self._kill_agent, self._crash, self._crash,
                self._cut, self._cut, self._lose, self._stick, self._ask, self._ask, self._ask,
            )
        )  # fmt: skip
        told = what(machine, loop)
        self.judge.tell(loop.time(), f"-- {machine.name}: {told or what.__name__.strip('_')}")

    def _die_at_act(self, machine: Machine, loop: VirtualLoop) -> None:
        machine.acts, machine.dies_at_act = 0, self._chance.randint(2, 40)
        if self._chance.random() < 0.7:
            self._ask(machine, loop)

    def _kill_agent(self, machine: Machine, loop: VirtualLoop) -> None:
        machine.kill_agent()

    def _crash(self, machine: Machine, loop: VirtualLoop) -> None:
        if not machine.is_up:
            return
        machine.crash()
        for task in self._tasks[machine.name]:
            task.cancel()
        loop.call_later(self._chance.choice((1.0, 10.0, 30.0, 60.0)), self._boot, machine)

    def _boot(self, machine: Machine) -> None:
        if not machine.is_up:
            machine.boot()
            self.judge.tell(self._clock.monotonic(), f"-- {machine.name}: boots")
            self._start(machine)

    def _cut(self, machine: Machine, loop: VirtualLoop) -> str:
        both = {("one", "two"), ("two", "one")}
        cut = self._chance.choice((both, both, {("one", "two")}, {("two", "one")}))
        self._network.change(loop.time(), cut=cut)
        loop.call_later(self._chance.choice((1.0, 15.0, 40.0)), self._heal)
        return f"cut {sorted(cut)}"

    def _lose(self, machine: Machine, loop: VirtualLoop) -> None:
        loss, delay = self._chance.choice(((0.2, 0.01), (0.0, 1.0), (0.3, 2.0)))
        self._network.change(loop.time(), loss=loss, longest_delay=delay)
        loop.call_later(20.0, self._heal)

    def _heal(self) -> None:
        self._network.change(self._clock.monotonic(), cut=set(), loss=0.0, longest_delay=0.01)

    def _stick(self, machine: Machine, loop: VirtualLoop) -> None:
        machine.fails_to_end = True
        loop.call_later(15.0, setattr, machine, "fails_to_end", False)

    def _ask(self, machine: Machine, loop: VirtualLoop) -> str:
        """Let an administrator or the settings ask for something."""
        asked = self._chance.choice(("switch", "switch", "take over", "fence", "unfence", "policy", "by hand", "force"))
        if asked == "policy":
            controller = self._controllers[machine.name]
            controller.promotes_by_itself = not controller.promotes_by_itself
        else:
            task = asyncio.ensure_future(self._act(machine, asked))
            self._tasks[machine.name].append(task)
        return asked

    async def _act(self, machine: Machine, asked: str) -> None:
        controller, agent = self._controllers[machine.name], machine.agent
        if agent is None:
            return
        try:
            match asked:
                case "switch":
                    await controller.promote(AttemptKind.SWITCHOVER, is_by_hand=True)
                case "take over":
                    await controller.promote(AttemptKind.TAKEOVER, is_by_hand=True)
                case "fence":
                    await agent.asked(agent.roles.fence())
                case "unfence":
                    await agent.asked(agent.roles.unfence())
                case "by hand":
                    await controller.promote(AttemptKind.FAILOVER, is_by_hand=True)
                case _:
                    await controller.promote(AttemptKind.FORCE, is_by_hand=True, may_leave_fence=True)
        except (WarmstandbyError, asyncio.CancelledError):
            return

    def _mend(self) -> None:
        self.judge.tell(self._clock.monotonic(), "-- everything is mended")
        self._heal()
        for machine in self.machines.values():
            machine.dies_at_act, machine.fails_to_end = None, False
            if not machine.is_up:
                self._boot(machine)
            machine.start_agent()

    async def _end_well(self) -> None:
        """Wait until one node serves and the other stands by; where that does not come, an administrator acts."""
        began = unserved = self._clock.monotonic()
        acts = 0
        while self.judge.wrong is None:
            await asyncio.sleep(1.0)
            now = self._clock.monotonic()
            states = sorted(machine.record.state for machine in self.machines.values() if machine.record)
            if states == [State.ACTIVE, State.STANDBY]:
                await asyncio.sleep(3 * HEARTBEAT_SECONDS)
                break
            if State.ACTIVE in states:
                unserved = now
            elif now - unserved > LONGEST_UNSERVED_SECONDS:
                acts, unserved = acts + 1, now
                await self._help()
            if now - began > LONGEST_END_SECONDS or acts > HUMAN_ACTS:
                self.judge.fail(f"{now:8.3f} it does not end: {states} after {acts} human acts")
        self.judge.check_end()

    async def _help(self) -> None:
        """Do what the state's hint says on the node with the highest term."""
        owners = [machine for machine in self.machines.values() if machine.record is not None]
        machine = max(owners, key=_claim)
        record = machine.record
        assert record is not None
        can_unfence = record.reason in (Reason.BY_ADMIN, Reason.HANDED_OVER) and record.term is not None
        is_own = record.term is not None and record.term.owner == machine.name
        asked = "by hand" if record.state is State.STANDBY else "force"
        if record.state is State.FENCED and can_unfence and is_own:
            asked = "unfence"
        self.judge.tell(self._clock.monotonic(), f"-- {machine.name}: a human helps: {asked}")
        await self._act(machine, asked)


def _claim(machine: Machine) -> tuple[int, bool]:
    record = machine.record
    if record is None or record.term is None:
        return 0, False
    return record.term.epoch, record.term.owner == machine.name


@cache
def _settings(name: str) -> Settings:
    return node_settings(
        name, agent={"listen": "127.0.0.1:0", "heartbeat_seconds": HEARTBEAT_SECONDS, "boot_grace_seconds": 10}
    )
