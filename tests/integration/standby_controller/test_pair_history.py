"""History on both nodes: what one records, both show, by ids that stay, also when a database is put back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database as LabDatabase
from services.standby_controller.pair_groups import HistoryGroup
from services.standby_controller.policy.clock_offset import ClockOffset
from services.standby_controller.policy.transition_story import Topic, TransitionResult
from services.standby_controller.severity import Severity
from services.standby_controller.store.database import Database, open_database
from services.standby_controller.store.events import EventFilter, EventKind, Events, NewEvent
from services.standby_controller.store.history import History
from services.standby_controller.store.history_log import HistoryLog, LogPage, Place
from services.standby_controller.store.records import (
    ComponentRecord,
    Failure,
    SyncFilter,
    SyncRequest,
    SyncResult,
    Trigger,
)
from services.standby_controller.store.transitions import TransitionFilter, Transitions
from shared.node.model import JournalEntry
from shared.node.pair import HistoryItem
from tests.integration.standby_controller.controllers import OneController, two_controllers, wait_until
from tests.tier import MAJORS

NOW = datetime.now(UTC) + timedelta(days=1)  # after the databases were made
REQUEST = SyncRequest(Trigger.REQUEST, "admin", "key-1", "a", 1, ClockOffset(-0.5, 0.25))
KEPT = HistoryGroup()


class Side:
    """One node's control database and what lies in it."""

    def __init__(self, database: Database, node: str) -> None:
        self.database = database
        self.node = node
        self.events = Events(database, node)
        self.syncs = History(database, node)
        self.transitions = Transitions(database, self.events, node, "a")
        self.log = HistoryLog(database, self.transitions)

    async def sync(self, *, seconds: int, result: SyncResult = SyncResult.SUCCEEDED) -> str:
        """Record a sync of this node."""
        at = NOW + timedelta(seconds=seconds)
        sync, _ = await self.syncs.begin(replace(REQUEST, idempotency_key=f"key-{seconds}"), at)
        component = ComponentRecord("shop", result, at, at, rows=3, rows_per_table={"t": 3}, duration_seconds=0.75)
        await self.syncs.add_component(sync, component)
        failure = None if result is SyncResult.SUCCEEDED else Failure("sync_failed", "no", "Wait.")
        await self.syncs.end(sync, result, failure, at + timedelta(seconds=1), 1.25)
        return sync.id

    async def tell(self, text: str) -> None:
        """Record an event of this node."""
        await self.events.add(NewEvent(NOW, EventKind.PEER_LOST, Severity.CRITICAL, "x", text))

    async def texts(self) -> list[str]:
        """Return the texts of all events, oldest first."""
        page = await self.events.list_events(EventFilter(), 200, None)
        return sorted(record.event.text for record in page.items)


async def pull(reader: Side, source: Side, limit: int = 2) -> int:
    """Read all that the source has and the reader lacks, in small pages, and return how many rows were new."""
    taken, has_more = 0, True
    while has_more:
        place = await reader.log.place_at(source.node)
        page = await source.log.read_after(place, limit)
        over_the_wire = tuple(HistoryItem.model_validate_json(item.model_dump_json()) for item in page.items)
        taken += await reader.log.take(source.node, LogPage(over_the_wire, page.reached, page.has_more), KEPT, NOW)
        has_more = page.has_more
    return taken


@asynccontextmanager
async def two_sides(*dsns: str) -> AsyncIterator[tuple[Side, Side]]:
    async with open_database(dsns[0]) as one, open_database(dsns[1]) as other:
        await one.prepare()
        await other.prepare()
        yield Side(one, "a"), Side(other, "b")


@pytest.fixture
async def sides(
    major: int, shared_cluster: Callable[[int, str], Cluster], database: Callable[..., LabDatabase]
) -> AsyncIterator[tuple[Side, Side]]:
    """Two prepared control databases."""
    server = shared_cluster(major, "source")
    async with two_sides(database(server).dsn, database(server).dsn) as sides:
        yield sides


async def test_both_show_what_either_recorded(sides: tuple[Side, Side]) -> None:
    """With the same ids and all fields; a sync comes when it has ended, and heartbeats stay where they are."""
    a, b = sides
    await a.tell("from a")
    await b.tell("from b")
    ended = await b.sync(seconds=0, result=SyncResult.FAILED)
    running, _ = await a.syncs.begin(SyncRequest(Trigger.SCHEDULE, None, None, "b", 1), NOW)
    for _ in range(2):  # the second time brings what came back, and nothing new
        await pull(a, b)
        await pull(b, a)
    assert await a.texts() == await b.texts() == ["from a", "from b"]
    known = await a.syncs.read(ended)
    assert known == await b.syncs.read(ended)
    assert (known.offset, known.duration_seconds) == (ClockOffset(-0.5, 0.25), 1.25)
    assert [component.duration_seconds for component in known.components] == [0.75]
    listed = await b.syncs.list_syncs(SyncFilter(), 10, None)
    assert [sync.id for sync in listed.items] == [ended]
    await a.syncs.end(running, SyncResult.SUCCEEDED, None, NOW)
    assert await pull(b, a) == 1
    assert await pull(b, a) == 0
    assert await b.syncs.read(running.id) == await a.syncs.read(running.id)


async def test_a_database_put_back_to_an_earlier_state_goes_on_with_other_ids(
    sides: tuple[Side, Side], major: int, shared_cluster: Callable[[int, str], Cluster]
) -> None:
    """A backup was restored: what it lost comes back from the other node, and its next rows are not taken for those."""
    a, b = sides
    for number in range(3):
        await a.tell(f"kept {number}")
    await a.database.execute("CREATE TABLE control.backup AS TABLE control.events")
    seq, value = await _numbers(a)
    for number in range(50):  # faster than the clock of numbers runs
        await a.tell(f"lost {number}")
    await pull(b, a)
    await a.database.execute("DELETE FROM control.events")
    await a.database.execute("ALTER TABLE control.events DISABLE TRIGGER USER")
    await a.database.execute("INSERT INTO control.events OVERRIDING SYSTEM VALUE SELECT * FROM control.backup")
    await a.database.execute("ALTER TABLE control.events ENABLE TRIGGER USER")
    await a.database.execute("SELECT setval(pg_get_serial_sequence('control.events', 'seq'), $1)", seq)
    await a.database.execute("UPDATE control.history_clock SET value = $1", value)
    await pull(b, a)
    await pull(a, b)
    await a.tell("new")
    await pull(b, a)
    assert await a.texts() == await b.texts()
    assert len(await a.texts()) == 54


async def test_what_cannot_be_taken_stops_nothing(sides: tuple[Side, Side]) -> None:
    """Rows of a newer release, or broken ones: they are left out, and the rest comes."""
    a, b = sides
    await a.tell("good")
    page = await a.log.read_after(Place())
    good = page.items[0]
    bad = [
        good.model_copy(update={"kind": "novel"}),
        good.model_copy(update={"row": {**good.row, "kind": "peer_married", "seq": 2}}),
        good.model_copy(update={"row": {**good.row, "at": "at noon", "seq": 3}}),
        good.model_copy(update={"row": {**good.row, "text": None, "seq": 4}}),
        good.model_copy(update={"row": {**good.row, "text": "nul \0", "seq": 5, "key": "k5", "novel": 1}}),
    ]
    assert await b.log.take("a", LogPage((*bad, good), page.reached, has_more=False), KEPT, NOW) == 2
    assert await b.texts() == ["good", "nul "]


async def test_what_is_forgotten_does_not_come_back(sides: tuple[Side, Side]) -> None:
    """Retention counts for the history of all nodes, and for what is read anew."""
    a, b = sides
    await a.tell("old")
    await pull(b, a)
    later = NOW + timedelta(days=91)
    assert await b.events.trim(later, 90) == 1
    page = await a.log.read_after(Place())
    assert await b.log.take("a", page, KEPT, later) == 0
    assert await b.texts() == []


def _entry(seq: int, transition: str, kind: str, step: str, outcome: str = "done", **more: object) -> JournalEntry:
    at = NOW + timedelta(seconds=seq)
    return JournalEntry.model_validate(
        {"seq": seq, "at": at, "transition_id": transition, "kind": kind, "step": step, "outcome": outcome, **more}
    )


TAKEOVER = [
    _entry(1, "attempt-1", "failover", "asked", detail="a is silent", data={"is_by_hand": False, "why": "a is silent"}),
    _entry(2, "attempt-1", "failover", "stop_apply", "begun", data={"epoch": "18"}),
    _entry(3, "attempt-1", "failover", "stop_apply", seconds=0.01),
    _entry(4, "attempt-1", "failover", "open", "begun"),
    _entry(5, "attempt-1", "failover", "open", seconds=0.02),
    _entry(6, "18.9", "hook", "start_application", detail="started"),
]


async def test_a_transition_is_told_alike_on_both_nodes(sides: tuple[Side, Side]) -> None:
    """From the journals of both; one entry after the other, in any pages, and again."""
    a, b = sides
    for count in range(1, len(TAKEOVER) + 1):
        await b.transitions.copy(TAKEOVER[:count])
    assert await b.transitions.copy(TAKEOVER) == 0
    await b.transitions.add_evidence("attempt-1", Topic.DECISION, NOW, {"estimated_loss_seconds": 40})
    await pull(a, b)
    await a.transitions.add_evidence("attempt-1", Topic.LOSS, NOW, {"rows": 7})
    await a.transitions.copy([_entry(1, "fence-1", "fence", "asked"), _entry(2, "fence-1", "fence", "prove")])
    await pull(b, a)
    on_a, on_b = await a.transitions.read("attempt-1"), await b.transitions.read("attempt-1")
    assert on_a == on_b
    assert (on_a.kind, on_a.node, on_a.result) == ("failover", "b", TransitionResult.SUCCEEDED)
    assert (on_a.why, on_a.term_epoch, on_a.is_by_hand) == ("a is silent", 18, False)
    assert [phase.step for phase in on_a.phases] == ["asked", "stop_apply", "open", "start_application"]
    assert (on_a.known(Topic.DECISION, "estimated_loss_seconds"), on_a.known(Topic.LOSS, "rows")) == (40, 7)
    for side in (a, b):
        listed = await side.transitions.list_transitions(TransitionFilter(), 10, None)
        assert {one.id for one in listed.items} == {"attempt-1", "fence-1"}
        assert await side.transitions.find_promotion(18) == "attempt-1"
    told = (await b.events.list_events(EventFilter(kind=EventKind.TRANSITION_DONE), 10, None)).items
    assert sorted(record.event.subject or "" for record in told) == ["attempt-1", "fence-1"]


async def test_what_was_lost_is_counted_when_the_node_is_back(sides: tuple[Side, Side]) -> None:
    """By the events of its rescues; a node that had nothing of its own lost nothing, and no other counts for it."""
    for number, rows in enumerate(([], [3, 4], None)):
        a, b = sides
        epoch, name = 34 + 16 * number, f"failover-{number}"
        await b.transitions.copy(
            [
                _entry(100 * number + 1, name, "failover", "asked", data={"epoch": str(epoch)}),
                _entry(100 * number + 2, name, "failover", "open"),
            ]
        )
        await pull(a, b)
        for count in [0] if rows is None else rows:
            data = {"rows": count, "term_epoch": epoch, "kept_database": "old" if rows is None else None}
            await a.events.add(NewEvent(NOW, EventKind.RESCUE_SAVED, Severity.WARNING, "r", "saved", data))
        await a.transitions.copy(
            [_entry(100 * number + 1, f"return-{number}", "return", "follow", data={"epoch": epoch})]
        )
        later = NOW + timedelta(hours=1)
        assert await b.transitions.count_losses(later) == 0
        assert await a.transitions.count_losses(later) == 1
        assert await a.transitions.count_losses(later) == 0
        await pull(b, a)
        told = await b.transitions.read(name)
        assert told.known(Topic.LOSS, "rows") == (None if rows is None else sum(rows))


async def test_transitions_are_listed_in_pages_and_by_filters(sides: tuple[Side, Side]) -> None:
    """Newest first; one that nobody ended is over when the node goes on with another."""
    _, b = sides
    entries = [_entry(2 * n + 1, f"t{n}", "failover" if n % 2 else "fence", "asked") for n in range(5)]
    await b.transitions.copy(entries)
    first = await b.transitions.list_transitions(TransitionFilter(), 2, None)
    rest = await b.transitions.list_transitions(TransitionFilter(), 10, first.next_cursor)
    assert [one.id for one in (*first.items, *rest.items)] == ["t4", "t3", "t2", "t1", "t0"]

    async def found(wanted: TransitionFilter) -> list[str]:
        return [one.id for one in (await b.transitions.list_transitions(wanted, 10, None)).items]

    assert await found(TransitionFilter(kinds=("failover",))) == ["t3", "t1"]
    assert await found(TransitionFilter(results=(TransitionResult.RUNNING,))) == ["t4"]
    assert await found(TransitionFilter(node="a")) == []
    assert await found(TransitionFilter(started_from=NOW + timedelta(seconds=6))) == ["t4", "t3"]
    assert await found(TransitionFilter(started_before=NOW + timedelta(seconds=2))) == ["t0"]
    assert await b.transitions.trim(NOW + timedelta(days=2), 1) == 5
    assert await found(TransitionFilter()) == []


async def _numbers(side: Side) -> tuple[int, int]:
    row = await side.database.fetch_row("SELECT max(seq) AS seq, max(change) AS value FROM control.events")
    assert row is not None
    return row["seq"], row["value"]


@pytest.fixture
def both(
    shared_cluster: Callable[[int, str], Cluster], database: Callable[..., LabDatabase], tmp_path: Path
) -> Iterator[tuple[OneController, OneController]]:
    """Two controllers as processes."""
    server = shared_cluster(MAJORS[-1], "source")
    with two_controllers(tmp_path, (database(server).dsn, database(server).dsn)) as both:
        yield both


async def test_either_console_shows_all_after_syncs_on_either(both: tuple[OneController, OneController]) -> None:
    """Two processes; a transition is explained by both, in about ten lines."""
    async with two_sides(both[0].dsn, both[1].dsn) as (a, b):
        for number in range(3):
            await a.sync(seconds=10 * number) if number % 2 else await b.sync(seconds=10 * number)
        await b.transitions.copy(TAKEOVER)
        for path, count in (("/v1/syncs", 3), ("/v1/transitions", 1)):
            wait_until(lambda path=path, count=count: [len(one.get(path)["items"]) for one in both] == [count] * 2)  # type: ignore[misc]
            assert both[0].get(path) == both[1].get(path)
    texts = [one.run("explain") for one in both]
    assert texts[0] == texts[1]
    assert texts[0].splitlines()[0] == "failover of b succeeded in term 18 (attempt-1)"
    assert "why         a is silent" in texts[0]
    assert len(texts[0].splitlines()) <= 12
    assert both[0].run("explain", "attempt-1") == texts[0]
    csv = both[0].ask("GET", "/v1/transitions", headers={"Accept": "text/csv"}).text.splitlines()
    assert csv[1].startswith("attempt-1,failover,b,succeeded,")
