"""Watches a simulated pair: what was accepted where, who was promoted when, and what must never be (I1 to I6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.node.model import State
from shared.node.record import Record
from tests.simulation.network import Network

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

BLIND_SECONDS = 20.0
"""How long before a promotion a message that was lost could have kept the standby from hearing the active node."""
ENDS_WITHIN_SECONDS = 25.0
LOOKED_SECONDS = 2.0
"""How long before its promotion a node looked around: an agent that was dead then was not heard."""


class Wrong(AssertionError):
    """The pair did what it must never do."""


@dataclass(frozen=True)
class Promoted:
    """A term that became durable."""

    at: float
    node: str
    epoch: int
    is_by_hand: bool
    could_not_hear: bool
    """Both hosts were up, and messages between them could have been lost."""
    was_off_or_dead: bool


@dataclass
class Judge:
    """Notes what happens; raises Wrong at once, or at the end."""

    network: Network
    log: list[str] = field(default_factory=list)
    machines: dict[str, Machine] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    covered: set[int] = field(default_factory=set)
    promoted: list[Promoted] = field(default_factory=list)
    wrong: Wrong | None = None
    agreed_at: float = 0.0
    well_since: float | None = None

    def tell(self, now: float, text: str) -> None:
        """Note a line of the history."""
        self.log.append(f"{now:8.3f} {text}")

    def fail(self, text: str) -> None:
        """Keep the first thing that was wrong: it is found inside tasks, and raised by the run."""
        self.wrong = self.wrong or Wrong("\n".join([*self.log, text]))

    def broke(self, machine: Machine, error: BaseException) -> None:
        """Note an error of the agent's own code that nobody expects."""
        self.fail(f"{machine.clock.monotonic():8.3f} {machine.name}: {error!r}")

    def wrote(self, machine: Machine, before: Record | None, record: Record) -> None:
        """Note a record that became durable."""
        now, name = machine.clock.monotonic(), machine.name
        state = f"{record.state} {record.reason} term {record.term.epoch if record.term else None}"
        step = record.attempt.step if record.attempt else record.demotion.step if record.demotion else ""
        self.tell(now, f"{name}: {state} {step} {record.eligible}")
        epoch_before = before.term.epoch if before is not None and before.term is not None else 0
        if record.term is not None and record.term.epoch < epoch_before:
            self.fail(f"{name}: the epoch fell")
        if record.term is None or record.term.owner != name or (before is not None and before.term == record.term):
            return
        if any(one.epoch == record.term.epoch for one in self.promoted):
            self.fail(f"{name}: epoch {record.term.epoch} was taken before")
        other = self._other(machine)
        was_troubled = self.network.was_troubled(now - BLIND_SECONDS, now)
        self.promoted.append(
            Promoted(
                at=now,
                node=name,
                epoch=record.term.epoch,
                is_by_hand=record.attempt is not None and record.attempt.is_by_hand,
                could_not_hear=was_troubled and other.is_up,
                was_off_or_dead=other.agent is None or now - other.agent_since < LOOKED_SECONDS,
            )
        )

    def accept(self, machine: Machine, row: int) -> None:
        """Note an accepted write; the other node must not accept at that moment, unless that is promised."""
        now, other = machine.clock.monotonic(), self._other(machine)
        self.accepted.add(row)
        self.look(now)
        if not other.is_accepting:
            return
        if not any(self._excuses(one, now) for one in self.promoted if one.at >= self.agreed_at):
            self.fail(f"{now:8.3f} both accept writes and nothing excuses it; promotions: {self.promoted}")
        if self.well_since is not None and now - self.well_since > ENDS_WITHIN_SECONDS:
            self.fail(f"{now:8.3f} both accept writes {now - self.well_since:.0f} s after everything was well")

    def look(self, now: float) -> None:
        """Note since when all is well, and whether both agree who was promoted last."""
        one, two = self.machines.values()
        is_well = self.network.is_well and one.agent is not None and two.agent is not None
        is_well = is_well and not any(machine.fails_to_end for machine in (one, two))
        self.well_since = (self.well_since if self.well_since is not None else now) if is_well else None
        settled = (State.ACTIVE, State.STANDBY, State.FENCED)
        terms = [machine.record.term for machine in (one, two) if machine.record and machine.record.state in settled]
        if len(terms) == 2 and terms[0] == terms[1] and not (one.is_accepting and two.is_accepting):
            self.agreed_at = now

    def _excuses(self, promotion: Promoted, now: float) -> bool:
        if promotion.could_not_hear:
            return True
        was_troubled = self.network.was_troubled(promotion.at - BLIND_SECONDS, now)
        return promotion.is_by_hand and (was_troubled or promotion.was_off_or_dead)

    def check_end(self) -> None:
        """One node serves, nothing covered is lost, and what was lost lies in the rescue."""
        serving = [machine for machine in self.machines.values() if machine.is_accepting]
        states = {machine.name: machine.record.state for machine in self.machines.values() if machine.record}
        if len(serving) != 1:
            self.fail(f"at the end {len(serving)} nodes serve: {states}")
            return
        active = serving[0]
        if states[active.name] is not State.ACTIVE:
            self.fail(f"{active.name} serves and is {states[active.name]}")
        if lost := self.covered - active.rows:
            self.fail(f"rows that a sync had covered are lost: {sorted(lost)[:5]} of {len(lost)}")
        kept = active.rows.union(*(machine.rescued | machine.rows for machine in self.machines.values()))
        if lost := self.accepted - kept:
            self.fail(f"accepted rows are nowhere: {sorted(lost)[:5]} of {len(lost)}")

    def _other(self, machine: Machine) -> Machine:
        return next(other for other in self.machines.values() if other is not machine)
