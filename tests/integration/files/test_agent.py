"""The agent's part, over HTTP: who may read, what is refused, whose a tree is at a promotion, the node that returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr

from services.primary_agent.files.listing import LIFE_SIGN_SECONDS, Listing
from services.primary_agent.files.service import FileSetService
from services.primary_agent.node.node import Node
from services.primary_agent.routes.files import files_router
from services.standby_controller.rescue.shelf import Shelf
from shared.clock import SystemClock
from shared.errors import FileSetMissing, PeerRefusal
from shared.files.places import staging_folder
from shared.files.wire import ListingReader
from shared.http.application import new_application
from shared.http.caller import Doorkeeper, peer_caller
from shared.http.credentials import NodeKeys
from shared.http.server import tcp_server
from shared.http.streams import BUFFER_BYTES
from shared.node.client import NodeClient
from shared.node.model import State, Term
from shared.node.protocol import Speaker
from shared.replication.model import SyncKind
from shared.settings import AgentSettings, Mode, PeerSettings, Settings
from tests.integration.files.stage import NAME, TERM, ServingNode, TwoTrees, snapshot, write
from tests.running import running


class Died(BaseException):
    """The end of a process, as far as a test in one can have it."""


def speaker_of(node_id: str) -> Speaker:
    return Speaker("pair", node_id, "boot", TERM.epoch)


def with_peer(settings: Settings, node_id: str, agent_url: str = "http://127.0.0.1:1") -> Settings:
    mode = Mode.PRIMARY if node_id == "source" else Mode.SECONDARY
    peer = PeerSettings(
        node_id=node_id,
        mode=mode,
        agent_url=agent_url,
        controller_url="http://127.0.0.1:2",
        key=SecretStr(f"key-of-node-{node_id}-0123456789"),
    )
    return settings.model_copy(update={"peers": (peer,)})


@asynccontextmanager
async def serving(trees: TwoTrees, node: ServingNode) -> AsyncIterator[str]:
    """Run the source's routes; syncs of the trees go through them then."""
    settings = with_peer(trees.source_settings, "target")
    app = new_application("Title", "Text.", tags={})
    doorkeeper = Doorkeeper(NodeKeys(settings.peers), lambda: speaker_of("source"))
    file_sets = FileSetService(settings, SystemClock(), cast("Node", node))
    app.include_router(files_router(file_sets, peer_caller(lambda _: doorkeeper)))
    async with running(tcp_server(app, AgentSettings(listen="127.0.0.1:0"), "agent")) as server:
        own = with_peer(trees.target_settings, "source", server.address)
        async with NodeClient.of_peer(own, own.peers[0], lambda: speaker_of("target")) as client:
            trees.client = cast("Any", client)
            yield server.address


@pytest.fixture
def trees(tmp_path: Path) -> TwoTrees:
    """Two trees with something on the source."""
    trees = TwoTrees.make(tmp_path)
    write(trees.source / "letter.txt", "dear all")
    write(trees.source / "in" / "large", b"0123456789" * 300_000)
    (trees.source / "link").symlink_to("in")
    return trees


async def test_a_file_set_is_read_over_http_by_who_has_a_key(trees: TwoTrees) -> None:
    node = ServingNode("source")
    async with serving(trees, node) as address:
        outcome = await trees.sync()
        trees.compare()
        assert (outcome.kind, outcome.bytes) == (SyncKind.SEED, 3_000_008)
        assert (await trees.sync()).rows == 0
        async with httpx.AsyncClient(base_url=address) as http:
            for path in ("listing", "contents"):
                asked = {"term": 17, "files": [{"path": "letter.txt"}]}
                answer = await http.post(f"/file-sets/{NAME}/{path}", json=asked)
                assert answer.status_code == 401
        write(trees.source / "letter.txt", "dear everybody")
        node.state = State.STANDBY
        with pytest.raises(PeerRefusal) as refused:
            await trees.sync()
        assert refused.value.peer_code == "not_active"
        node.state = State.ACTIVE
        trees.source.rename(trees.source.with_name("away"))
        with pytest.raises(PeerRefusal) as refused:
            await trees.sync()
        assert refused.value.peer_code == "file_set_missing"
    assert (trees.target / "letter.txt").read_text() == "dear all"


async def test_what_is_outside_is_not_given(trees: TwoTrees) -> None:
    """Neither by a name that leads out, nor through a link, nor what is excluded."""
    write(trees.folder / "source" / "secret", "secret")
    (trees.source / "out").symlink_to("..")
    key = {"Authorization": "Bearer key-of-node-target-0123456789", **speaker_of("target").headers()}
    async with serving(trees, ServingNode("source")) as address, httpx.AsyncClient(base_url=address) as http:
        for path in ("../secret", "out/secret", "/etc/passwd", "in", "link/large", ""):
            answer = await http.post(f"/file-sets/{NAME}/contents", json={"files": [{"path": path}]}, headers=key)
            assert answer.status_code == 200
            assert b"secret" not in answer.content.replace(b"out/secret", b"")
            assert b'"problem"' in answer.content
            assert len(answer.content) < 200


class HastyClock(SystemClock):
    """Each look at it is many seconds after the last."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        """Return a time that goes on by itself."""
        self.looks += 1
        return self.looks * LIFE_SIGN_SECONDS


def test_who_waits_for_a_long_listing_sees_that_it_goes_on(trees: TwoTrees) -> None:
    """More than any buffer holds back, between the lines, and no part of the list."""
    index = trees.source_settings.node.state_dir / "index"
    envelope = ServingNode("source").envelope()
    listing = Listing(trees.source_settings.file_sets[0], index, envelope, HastyClock(), is_rehashed=False)
    pieces = list(listing.lines(lambda: False))
    assert sum(len(piece) > BUFFER_BYTES and not piece.strip() for piece in pieces) >= 4
    reader = ListingReader()
    assert [entry.path for piece in pieces for entry in reader.feed(piece)] == [
        b"in",
        b"in/large",
        b"letter.txt",
        b"link",
    ]
    assert reader.finish().file_set == NAME


async def test_a_promotion_brings_a_sync_to_its_end_and_the_tree_is_the_nodes_own_then(trees: TwoTrees) -> None:
    """The controller died with all gathered; what the application writes from then on is never taken for a copy."""

    def die(act: str) -> None:
        if act == "committed":
            raise Died

    with pytest.raises(Died):
        await trees.sync(watch=die)
    assert staging_folder(trees.target).exists()
    node = ServingNode("target", State.STANDBY, Term(epoch=18, owner="target"))
    agent = FileSetService(trees.target_settings, SystemClock(), cast("Node", node))
    await agent.look()
    (status,) = agent.statuses()
    assert (status.name, status.folder, status.is_copy) == (NAME, str(trees.target), False)
    await agent.stop_apply()
    trees.compare()
    await agent.look()
    assert agent.statuses()[0].is_copy
    node.state = State.ACTIVE
    await agent.begin_serving()
    assert not agent.statuses()[0].is_copy
    assert trees.standing.served_epoch == 18
    write(trees.target / "letter.txt", "written while it served")
    write(trees.target / "only here", "unsent")
    (trees.target / "link").unlink()
    (trees.target / "link").symlink_to("elsewhere")
    outcome = await trees.sync()
    trees.compare()
    assert outcome.kind is SyncKind.COMPARE
    assert trees.standing.is_copy
    (rescue,) = await Shelf(trees.target_settings).list_all()
    assert rescue == outcome.rescue
    saved = {one.path: one for one in rescue.files}
    assert set(saved) == {"letter.txt", "only here", "link"}
    assert saved["link"].target == "elsewhere"
    for path, content in (("letter.txt", "written while it served"), ("only here", "unsent")):
        file = saved[path].file
        assert file is not None
        place = await Shelf(trees.target_settings).find_file(rescue.id, file)
        assert place.read_text() == content


async def test_what_lay_there_before_the_first_sync_is_saved(trees: TwoTrees) -> None:
    write(trees.target / "letter.txt", "dear all")
    write(trees.target / "strange", "from a restore")
    outcome = await trees.sync()
    assert outcome.rescue is not None
    assert [one.path for one in outcome.rescue.files] == ["strange"]


async def test_a_folder_that_is_not_there_is_said(trees: TwoTrees) -> None:
    """In the heartbeat, and where a promotion needs it."""
    staging_folder(trees.target).mkdir()
    trees.target.rmdir()
    node = ServingNode("target", State.STANDBY)
    agent = FileSetService(trees.target_settings, SystemClock(), cast("Node", node))
    await agent.look()
    (status,) = agent.statuses()
    assert status.problem is not None
    assert (status.problem.code, status.is_copy) == ("file_set_missing", False)
    with pytest.raises(FileSetMissing):
        await agent.stop_apply()
    assert snapshot(trees.source)
