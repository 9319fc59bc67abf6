"""A controller closes its own node only where the agent is dead for certain, and for a standby of the node's term."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.standby_controller.roles.closing import Closing
from shared.clock import SystemClock
from shared.errors import (
    AgentRuns,
    FenceIncomplete,
    PeerError,
    PeerUnreachable,
    StaleTerm,
    TransitionRefused,
    WarmstandbyError,
)
from shared.fencing.model import FenceProof, FenceStrength
from shared.node.controller_model import CloseNode
from shared.node.model import ClosedFor, NodeView, State, Term
from shared.node.reasons import Reason
from shared.node.record import Holder, Record, RecordFile
from shared.settings import Mode, Settings
from shared.surroundings import HookName
from tests.node_file import node_settings

TERM = Term(epoch=1, owner="one")
ACTIVE = Record(pair_id="pair", node_id="one", state=State.ACTIVE, reason=Reason.FIRST_NODE, term=TERM, serial=3)
STANDBY = NodeView(pair_id="pair", node_id="two", boot_id="boot", term=TERM, mode=Mode.SECONDARY, state=State.STANDBY)
ASKED = CloseNode(attempt_id="attempt-1", expected_epoch=1)


class Answers:
    """An agent that answers, or does not."""

    def __init__(self, view: NodeView | None = None, error: PeerError | None = None) -> None:
        self.view, self.error = view, error

    async def node(self) -> NodeView:
        if self.error is not None:
            raise self.error
        assert self.view is not None
        return self.view


class Databases:
    """What is closed, act by act; `seen` is what the record said at that moment."""

    strength = "hba"

    def __init__(self, record: Path) -> None:
        self.record = record
        self.seen: list[tuple[str, State]] = []
        self.problem: WarmstandbyError | None = None

    def _note(self, act: str) -> None:
        if self.problem is not None and act == "end":
            raise self.problem
        self.seen.append((act, Record.model_validate_json(self.record.read_bytes()).state))

    async def close(self) -> None:
        self._note("close")

    async def end(self, deadline_seconds: float) -> None:
        self._note("end")

    async def prove(self) -> FenceProof:
        self._note("prove")
        return FenceProof(FenceStrength.HBA, is_probed=True, text="nobody was inside", able_to_pass=(), seconds=0.1)

    async def is_shut_down(self) -> bool:
        return False


class Scene:
    """A node whose agent is dead, and the peer that wants it closed."""

    def __init__(self, folder: Path) -> None:
        settings = node_settings("one")
        node = settings.node.model_copy(update={"state_dir": folder})
        self.settings: Settings = settings.model_copy(update={"node": node})
        self.folder = folder
        self.own = Answers(error=PeerUnreachable("no such socket"))
        self.peer = Answers(STANDBY.model_copy(update={"pair_id": node.pair_id}))
        self.databases = Databases(folder / "record.json")
        self.closing = Closing(self.settings, self.own, lambda _: self.peer, lambda: self.databases, SystemClock())

    def file(self, holder: Holder = Holder.AGENT) -> RecordFile:
        node = self.settings.node
        return RecordFile(self.folder, pair_id=node.pair_id, node_id=node.id, holder=holder)

    def save(self, **changes: Any) -> None:
        file = self.file()
        file.load()
        file.save(ACTIVE.model_copy(update={"pair_id": self.settings.node.pair_id, **changes}))
        file.close()

    @property
    def record(self) -> Record:
        return Record.model_validate_json((self.folder / "record.json").read_bytes())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path / "state")
    made.save()
    return made


async def refused(scene: Scene, kind: type[WarmstandbyError], said: str) -> None:
    before = scene.record
    with pytest.raises(kind, match=said):
        await scene.closing.close(ASKED, "two")
    assert scene.record == before
    assert scene.databases.seen == []


async def test_the_record_says_so_before_anything_is_closed(scene: Scene) -> None:
    proved = await scene.closing.close(ASKED, "two")
    assert (proved.term, proved.strength, proved.text) == (TERM, "hba", "nobody was inside")
    assert scene.databases.seen == [(act, State.DEMOTING) for act in ("close", "end", "prove")]
    after = scene.record
    assert (after.state, after.reason, after.term) == (State.FENCED, Reason.HANDED_OVER, TERM)
    assert after.serial > ACTIVE.serial
    assert after.pending_hooks == (HookName.STOP_APPLICATION, HookName.ON_FENCED)
    lines = (scene.folder / "journal.jsonl").read_text().splitlines()
    assert all('"transition_id":"attempt-1"' in line and '"kind":"fence"' in line for line in lines)
    assert scene.file().load() == after  # the folder is free again


async def test_asked_again_it_is_proved_again(scene: Scene) -> None:
    await scene.closing.close(ASKED, "two")
    before = scene.record
    await scene.closing.close(CloseNode(attempt_id="attempt-2", expected_epoch=1), "two")
    assert scene.record.closed_for == ClosedFor(attempt_id="attempt-2", peer="two")
    assert scene.record.model_copy(update={"serial": before.serial, "closed_for": before.closed_for}) == before
    assert scene.databases.seen[3:] == [(act, State.FENCED) for act in ("close", "end", "prove")]


async def test_what_cannot_be_proved_stays_begun_and_goes_on(scene: Scene) -> None:
    scene.databases.problem = FenceIncomplete("pid 7 is inside", sessions=("pid 7",))
    for _ in range(2):
        with pytest.raises(FenceIncomplete):
            await scene.closing.close(ASKED, "two")
    stopped = scene.record
    assert stopped.state is State.DEMOTING
    assert (scene.folder / "journal.jsonl").read_text().count('"failed"') == 1
    scene.databases.problem = None
    await scene.closing.close(ASKED, "two")
    assert scene.record.state is State.FENCED


async def test_an_agent_that_answers_is_asked_itself(scene: Scene) -> None:
    scene.own.error, scene.own.view = None, STANDBY
    await refused(scene, AgentRuns, "answers")


async def test_an_agent_that_answers_wrongly_is_no_dead_one(scene: Scene) -> None:
    scene.own.error = PeerError("not readable")
    await refused(scene, AgentRuns, "may be alive")


async def test_an_agent_that_holds_its_folder_is_no_dead_one(scene: Scene) -> None:
    agent = scene.file()
    agent.load()
    await refused(scene, AgentRuns, "may be alive")
    agent.close()
    await scene.closing.close(ASKED, "two")


@pytest.mark.parametrize("state", [State.STANDBY, State.WAITING, State.PROMOTING, State.UNINITIALISED])
async def test_only_an_active_node_is_closed(scene: Scene, state: State) -> None:
    scene.save(state=state)
    await refused(scene, TransitionRefused, str(state))


async def test_a_node_that_does_not_own_the_term_is_not_asked(scene: Scene) -> None:
    scene.save(term=Term(epoch=1, owner="two"))
    await refused(scene, TransitionRefused, "does not own")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"state": State.FENCED}, TransitionRefused),
        ({"state": State.ACTIVE}, TransitionRefused),
        ({"term": Term(epoch=2, owner="two")}, TransitionRefused),
        ({"term": None}, TransitionRefused),
    ],
)
async def test_the_caller_must_say_itself_that_it_is_a_standby_of_the_term(
    scene: Scene, changes: dict[str, Any], kind: type[WarmstandbyError]
) -> None:
    assert scene.peer.view is not None
    scene.peer.view = scene.peer.view.model_copy(update=changes)
    await refused(scene, kind, "no standby of term 1")


async def test_a_caller_that_cannot_be_asked_back_gets_nothing(scene: Scene) -> None:
    scene.peer.error = PeerUnreachable("no route")
    await refused(scene, PeerUnreachable, "no route")


async def test_another_term_is_expected(scene: Scene) -> None:
    scene.save(term=Term(epoch=17, owner="one"))
    await refused(scene, StaleTerm, "follows term 1")


async def test_a_lost_record_closes_nothing(scene: Scene) -> None:
    (scene.folder / "record.json").unlink()
    with pytest.raises(TransitionRefused, match="no record"):
        await scene.closing.close(ASKED, "two")
    assert scene.databases.seen == []


async def test_an_agent_that_starts_meanwhile_waits(scene: Scene) -> None:
    controller, agent = scene.file(Holder.CONTROLLER), scene.file()
    controller.load()
    starting = asyncio.ensure_future(asyncio.to_thread(agent.load))
    await asyncio.sleep(0.5)
    assert not starting.done()
    controller.close()
    assert await starting == scene.record
