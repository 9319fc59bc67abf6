"""The real rules over numbered records, each answer remembered: a search asks the same question a thousand times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final
from unittest.mock import patch

from shared.errors import RoleError
from shared.node import commands, transitions
from shared.node.model import AttemptKind, FenceView, NodeView, Prepare, Promote, State
from shared.node.observation import Contact, Databases, Observation, PeerSeen, Start
from shared.node.reasons import Reason
from shared.node.record import Record
from shared.node.steps import Act
from shared.node.transitions import Event, Transition
from shared.settings import Mode

NAMES: Final = ("one", "two", "three")
Row = tuple[State, Event]


class CountingTable(Mapping[Row, Transition]):
    """The table itself; notes which rows were taken."""

    def __init__(self, table: Mapping[Row, Transition], taken: set[Row]) -> None:
        self._table = table
        self._taken = taken

    def __getitem__(self, row: Row) -> Transition:
        found = self._table[row]
        self._taken.add(row)
        return found

    def __iter__(self) -> Iterator[Row]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@contextmanager
def noting_rows(taken: set[Row]) -> Iterator[None]:
    """Add to `taken` each row of the table that is read meanwhile."""
    table = CountingTable(transitions.TRANSITIONS, taken)
    with patch.object(transitions, "TRANSITIONS", table), patch.object(commands, "TRANSITIONS", table):
        yield


class Rules:
    """Records by number, and what the pure functions of the agent make of them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._numbers: dict[str, int] = {}
        self.call: Callable[..., int | None] = cache(self._call)
        self.judge: Callable[..., int] = cache(self._judge)
        self.view: Callable[[int, State, bool], NodeView] = cache(self._view)

    def number(self, record: Record) -> int:
        """Return the record's number; what no rule reads is left out."""
        record = record.model_copy(update={"pending_hooks": (), "serial": 0})
        text = record.model_dump_json()
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.records)
            self.records.append(record)
        return found

    def fresh(self, node: int) -> int:
        """Return the record of a node that has none."""
        return self.number(Record(pair_id="pair", node_id=NAMES[node]))

    def reserve(
        self, record: int, node: int, kind: AttemptKind, *, by_hand: bool, peer: int | None, heard: tuple[int, ...]
    ) -> int | None:
        """Open an attempt whose name tells its epoch, so that equal histories have equal records."""
        return self.call(record, "reserve", (node, kind, by_hand, peer, heard))

    def _call(self, number: int, name: str, arguments: tuple[Any, ...] = ()) -> int | None:
        """Apply a command; None where it refuses."""
        record = self.records[number]
        try:
            return self.number(getattr(self, f"_do_{name}", partial(_plain, name))(record, *arguments))
        except RoleError:
            return None

    def _do_reserve(
        self,
        record: Record,
        node: int,
        kind: AttemptKind,
        by_hand: bool,
        peer: int | None,
        heard: tuple[int, ...],
    ) -> Record:
        asked = Promote(
            attempt_id="attempt-to-be",
            kind=kind,
            expected_epoch=record.term.epoch if record.term else None,
            is_by_hand=by_hand,
            peer=None if peer is None else NAMES[peer],
            may_leave_fence=by_hand,
        )
        terms = [self.records[one].term for one in heard]
        after = commands.reserve(record, asked, node + 1, [term for term in terms if term is not None])
        assert after.attempt is not None
        named = after.attempt.model_copy(update={"id": f"attempt-{after.attempt.epoch}"})
        return after.model_copy(update={"attempt": named})

    def _do_advance(self, record: Record, heard: tuple[tuple[int, State, bool], ...]) -> Record:
        attempt = record.attempt
        assert attempt is not None
        peers = [self.view(*one) for one in heard]
        return commands.advance(record, attempt.id, Act(attempt.step), peers=peers)

    def _do_see_peer_closed(self, record: Record, *peer: Any) -> Record:
        assert record.attempt is not None
        return commands.see_peer_closed(record, record.attempt.id, self.view(*peer))

    def _do_begin_handover(self, record: Record, holder: int, peer: int, expected: int) -> Record:
        attempt = self.records[holder].attempt
        assert attempt is not None
        asked = Prepare(attempt_id=attempt.id, epoch=attempt.epoch, expected_epoch=expected, deadline_seconds=60)
        return commands.begin_handover(record, asked, NAMES[peer])

    def _do_check_grant(self, record: Record, caller: int, epoch: int) -> Record:
        commands.check_grant(record, NAMES[caller], epoch)
        return record.model_copy(update={"granted_epoch": epoch})

    def _judge(
        self,
        number: int,
        node: int,
        mode: Mode,
        start: Start,
        peers: tuple[PeerSeen, ...],
        databases: Databases,
        waited: float,
    ) -> int:
        record = self.records[number]
        seen = Observation(
            node_id=NAMES[node],
            mode=mode,
            state=record.state,
            reason=record.reason,
            term=record.term,
            first_epoch=node + 1,
            peers=peers,
            databases=databases,
            start=start,
            waited_seconds=waited,
            eligible=frozenset(name for name, is_so in record.eligible.items() if is_so and name != record.node_id),
            is_bound=commands.is_bound(record),
            awaited=commands.awaited_term(record),
        )
        return self.number(commands.obey(record, transitions.decide(seen), f"fence-of-{NAMES[node]}"))

    def _view(self, number: int, state: State, is_open: bool) -> NodeView:
        record = self.records[number]
        is_unknown = state is State.WAITING and record.state is not State.WAITING
        return NodeView(
            pair_id="pair",
            node_id=record.node_id,
            boot_id="boot",
            term=record.term,
            mode=Mode.PRIMARY,
            state=state,
            reason_code=Reason.START_UNKNOWN if is_unknown else record.reason,
            fence=FenceView(strength="hba", is_closed=not is_open),
            attempt=record.attempt,
            demotion=record.demotion,
            closed_for=record.closed_for,
            eligible=record.eligible,
        )


def silent(node: int) -> PeerSeen:
    """Return a look at a peer that did not answer."""
    return PeerSeen(NAMES[node], Contact.SILENT)


def _plain(name: str, record: Record, *arguments: Any) -> Record:
    """Apply a command that takes the record, and the name of its attempt or demotion where it asks for one."""
    match name:
        case "commit" | "abandon":
            assert record.attempt is not None
            return getattr(commands, name)(record, record.attempt.id, *arguments)  # type: ignore[no-any-return]
        case "advance_demotion" | "take_back" | "doubt":
            assert record.demotion is not None
            return getattr(commands, name)(record, record.demotion.id, *arguments)  # type: ignore[no-any-return]
        case "set_eligible":
            node_id, epoch, is_eligible = arguments
            return commands.set_eligible(record, node_id, epoch, is_eligible=is_eligible)
        case "check_remembers":
            commands.check_remembers(record)
            return record
        case _:
            return getattr(commands, name)(record, *arguments)  # type: ignore[no-any-return]
