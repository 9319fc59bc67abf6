"""The node makes a change durable before it takes effect, and tells a restart from a boot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.primary_agent.node.node import Node
from shared.errors import NotActive, RecordUnwritable, StaleTerm
from shared.node.model import State, Term
from shared.node.observation import Contact, Databases, PeerSeen
from shared.node.reasons import Reason
from shared.node.record import BootNote, Record, RecordUnreadable
from shared.settings import Mode
from tests.node_file import node_settings

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
TERM = Term(epoch=1, owner="one")
ACTIVE = Record(
    pair_id="lab",
    node_id="one",
    state=State.ACTIVE,
    reason=Reason.FIRST_NODE,
    term=TERM,
    boot=BootNote(kernel_boot_id="kernel", postmaster_started_at=STARTED),
)
NEW_PEER = PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.UNINITIALISED)
FOLLOWER = PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.STANDBY, TERM)
GRANTING = replace(FOLLOWER, has_granted=True)
SILENT_PEER = PeerSeen("two", Contact.SILENT)


class Memory:
    """A store whose disk fails when told."""

    def __init__(self, record: Record | None = None) -> None:
        self.record = record
        self.is_broken = False
        self.is_unreadable = False

    def load(self) -> Record | None:
        if self.is_unreadable:
            raise RecordUnreadable
        return self.record

    def save(self, record: Record) -> None:
        if self.is_broken:
            raise RecordUnwritable("no space left on device")
        self.record = record


class ManualClock:
    """Time that goes on when told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return STARTED + timedelta(seconds=self.seconds)


class Scene:
    """A node, its store and its clock."""

    def __init__(self, record: Record | None = None, kernel_boot_id: str | None = "kernel") -> None:
        self.store = Memory(record)
        self.clock = ManualClock()
        self.node = Node(node_settings("one"), self.clock, self.store, kernel_boot_id=kernel_boot_id)

    async def judge(self, peer: PeerSeen, postmaster: datetime | None = STARTED) -> State:
        await self.node.judge({peer.node_id: peer}, databases=Databases.UNKNOWN, postmaster_started_at=postmaster)
        return self.node.state

    async def pass_time(self, seconds: int, peer: PeerSeen) -> State:
        for _ in range(seconds):
            self.clock.seconds += 1
            await self.judge(peer)
        return self.node.state

    async def restart(self, kernel_boot_id: str = "kernel") -> None:
        self.node = Node(node_settings("one"), self.clock, self.store, kernel_boot_id=kernel_boot_id)
        await self.node.open()


async def test_the_first_node_becomes_active_and_notes_what_it_runs_on() -> None:
    scene = Scene()
    await scene.node.open()
    assert await scene.judge(NEW_PEER) is State.ACTIVE
    assert scene.store.record is not None
    assert scene.store.record.boot == BootNote(kernel_boot_id="kernel", postmaster_started_at=STARTED)
    assert scene.store.record.term == TERM


async def test_a_restart_of_the_agent_goes_on_serving_without_the_peers() -> None:
    scene = Scene(ACTIVE)
    await scene.node.open()
    assert await scene.judge(SILENT_PEER) is State.ACTIVE


async def test_until_the_restart_is_proved_nothing_is_served() -> None:
    scene = Scene(ACTIVE)
    await scene.node.open()
    assert await scene.judge(SILENT_PEER, postmaster=None) is State.WAITING
    assert scene.node.reason is Reason.START_UNKNOWN
    assert scene.store.record == ACTIVE
    assert await scene.judge(SILENT_PEER) is State.ACTIVE


@pytest.mark.parametrize(
    ("kernel", "postmaster"), [("another", STARTED), ("another", None), ("kernel", STARTED + timedelta(seconds=1))]
)
async def test_a_boot_asks_the_peers_first(kernel: str, postmaster: datetime | None) -> None:
    scene = Scene(ACTIVE, kernel_boot_id=kernel)
    await scene.node.open()
    assert await scene.judge(SILENT_PEER, postmaster) is State.WAITING
    assert await scene.judge(FOLLOWER, postmaster) is State.WAITING
    assert await scene.judge(GRANTING, postmaster) is State.ACTIVE


async def test_waiting_is_remembered() -> None:
    """Otherwise a second restart of the agent would pass for a restart of a node that served."""
    scene = Scene(ACTIVE, kernel_boot_id="another")
    await scene.node.open()
    await scene.judge(SILENT_PEER)
    await scene.restart("another")
    assert await scene.judge(SILENT_PEER) is State.WAITING


async def test_silence_is_counted_from_the_last_answer() -> None:
    scene = Scene(ACTIVE, kernel_boot_id="another")
    await scene.node.open()
    assert await scene.pass_time(20, SILENT_PEER) is State.WAITING
    await scene.judge(PeerSeen("two", Contact.ANSWERED, Mode.SECONDARY, State.PROMOTING, TERM))
    assert await scene.pass_time(29, SILENT_PEER) is State.WAITING
    assert await scene.pass_time(2, SILENT_PEER) is State.ACTIVE


async def test_time_in_which_the_process_was_stopped_is_no_silence() -> None:
    """Whoever sleeps for an hour has not heard that the others were silent."""
    scene = Scene(ACTIVE, kernel_boot_id="another")
    await scene.node.open()
    await scene.judge(SILENT_PEER)
    scene.clock.seconds += 3600
    assert await scene.judge(SILENT_PEER) is State.WAITING


async def test_a_restart_of_postgresql_alone_is_noted_and_changes_nothing() -> None:
    scene = Scene(ACTIVE)
    await scene.node.open()
    await scene.judge(FOLLOWER)
    later = STARTED + timedelta(hours=1)
    assert await scene.judge(FOLLOWER, None) is State.ACTIVE
    assert await scene.judge(FOLLOWER, later) is State.ACTIVE
    await scene.restart()
    assert await scene.judge(SILENT_PEER, later) is State.ACTIVE


async def test_a_change_that_cannot_be_written_does_not_happen() -> None:
    scene = Scene()
    await scene.node.open()
    scene.store.is_broken = True
    with pytest.raises(RecordUnwritable):
        await scene.judge(NEW_PEER)
    assert scene.node.state is State.UNINITIALISED
    assert scene.node.write_problem is not None
    scene.store.is_broken = False
    assert await scene.judge(NEW_PEER) is State.ACTIVE
    assert scene.node.write_problem is None


async def test_a_restart_goes_on_serving_even_with_a_broken_disk() -> None:
    scene = Scene(ACTIVE)
    scene.store.is_broken = True
    await scene.node.open()
    assert await scene.judge(FOLLOWER) is State.ACTIVE


@pytest.mark.parametrize("is_broken", [False, True])
async def test_an_unreadable_record_fences_the_node(is_broken: bool) -> None:
    scene = Scene(ACTIVE)
    scene.store.is_unreadable, scene.store.is_broken = True, is_broken
    await scene.node.open()
    assert scene.node.state is State.FENCED
    assert scene.node.reason is Reason.STATE_LOST
    assert await scene.judge(NEW_PEER) is State.FENCED


async def test_every_write_has_a_higher_serial() -> None:
    scene = Scene(ACTIVE, kernel_boot_id="another")
    await scene.node.open()
    serials = []
    for peer in (SILENT_PEER, FOLLOWER):
        await scene.judge(peer)
        assert scene.store.record is not None
        serials.append(scene.store.record.serial)
    assert serials == sorted(set(serials))


async def test_a_node_that_does_not_serve_says_so() -> None:
    scene = Scene()
    await scene.node.open()
    with pytest.raises(NotActive, match="the node one is uninitialised"):
        scene.node.require_active()


async def test_a_caller_of_a_lower_term_is_refused_with_the_present_one() -> None:
    scene = Scene(ACTIVE.model_copy(update={"term": Term(epoch=18, owner="two")}))
    await scene.node.open()
    for epoch in (18, 33):
        scene.node.require_term(epoch)
    with pytest.raises(StaleTerm, match="this node accepts 18 of two"):
        scene.node.require_term(17)


async def test_every_start_has_a_boot_id_of_its_own() -> None:
    scene = Scene(ACTIVE)
    before = scene.node.boot_id
    await scene.restart()
    assert scene.node.boot_id != before
    assert scene.node.speaker().epoch == 1
