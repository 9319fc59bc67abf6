"""What the other node says is input: names that lead out, lists that lie, files that change while they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.standby_controller.policy.guards import Guard, Guards
from shared.errors import (
    DiskShort,
    FileSetMissing,
    ListingRefused,
    NotStandby,
    SourceShrank,
    TransferIncomplete,
    WarmstandbyError,
)
from shared.files.places import Notes, staging_folder
from shared.node.model import State, Term
from shared.node.record import Record
from tests.integration.files.stage import TwoTrees, snapshot, write


@pytest.fixture
def trees(tmp_path: Path) -> TwoTrees:
    """Two trees, and beside them what nobody may touch."""
    trees = TwoTrees.make(tmp_path)
    write(trees.source / "a", "a")
    write(trees.source / "b" / "c", "c")
    write(tmp_path / "outside" / "c", "not theirs")
    return trees


def with_line(number: int, **values: object) -> Callable[[bytes], bytes]:
    """Return what changes a line of the listing; the head is line 0."""
    place = -1

    def alter(line: bytes) -> bytes:
        nonlocal place
        place += 1
        if place != number:
            return line
        return json.dumps({**json.loads(line), **values}).encode() + b"\n"

    return alter


@pytest.mark.parametrize(
    "alter",
    [
        with_line(1, path="../outside/x"),
        with_line(1, path="b/../../outside/c"),
        with_line(1, path="/etc/passwd"),
        with_line(1, path="."),
        with_line(1, path=""),
        with_line(1, path="a%00b"),
        with_line(1, path="a//b"),
        with_line(1, path="%2E%2E/outside/c"),
        with_line(1, path="z"),
        with_line(3, path="a"),
        with_line(3, path="d/c"),
        with_line(2, kind="link", target="../../outside"),
        with_line(1, mode=0o100000),
        with_line(1, sha256="../../x"),
        with_line(1, sha256=""),
        with_line(4, entries=2),
        with_line(2, kind="device"),
    ],
    ids=lambda _: "line",
)
async def test_a_listing_that_no_folder_can_have_changes_nothing(
    trees: TwoTrees, alter: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    before = snapshot(trees.target), snapshot(tmp_path / "outside")
    trees.client.alter = alter
    with pytest.raises((ListingRefused, TransferIncomplete)):
        await trees.sync()
    assert (snapshot(trees.target), snapshot(tmp_path / "outside")) == before
    assert not staging_folder(trees.target).exists()


@pytest.mark.parametrize("moment", ["gathered", "committed"])
async def test_a_folder_that_becomes_a_link_is_not_walked_through(trees: TwoTrees, moment: str, tmp_path: Path) -> None:
    """Somebody on the standby puts a link in a folder's place while the sync runs."""
    await trees.sync()
    write(trees.source / "b" / "c", "new c")
    write(trees.source / "b" / "d", "new d")

    def swap(act: str) -> None:
        if act == moment:
            (trees.target / "b").rename(trees.target / "was-b")
            (trees.target / "b").symlink_to(tmp_path / "outside")

    before = snapshot(tmp_path / "outside")
    outcome = await trees.sync(watch=swap)
    assert snapshot(tmp_path / "outside") == before
    assert {one.name for one in outcome.unkept} == {"b/c", "b/d"}
    await trees.sync()
    trees.compare()
    assert snapshot(tmp_path / "outside") == before


async def test_a_link_in_the_way_is_replaced_and_never_followed(trees: TwoTrees, tmp_path: Path) -> None:
    (trees.target / "a").symlink_to(tmp_path / "outside" / "c")
    (trees.target / "b").symlink_to(tmp_path / "outside")
    before = snapshot(tmp_path / "outside")
    await trees.sync()
    trees.compare()
    assert snapshot(tmp_path / "outside") == before


async def test_a_file_that_changes_while_it_is_read_is_asked_for_again_then_left(trees: TwoTrees) -> None:
    """It never comes half: it stays as the copy has it, and is named."""
    write(trees.source / "busy", "1" * 1000)
    await trees.sync()
    write(trees.source / "busy", "2" * 1_000_000)
    write(trees.source / "other", "other")
    reads = 0

    def change() -> None:
        nonlocal reads
        reads += 1
        write(trees.source / "busy", str(reads % 10) * (1_000_000 + reads), mtime=None)

    trees.client.on_block = change
    outcome = await trees.sync()
    assert [(one.name, one.reason) for one in outcome.unkept] == [("busy", "it changed while it was read, 5 times")]
    assert (trees.target / "busy").read_text() == "1" * 1000
    assert (trees.target / "other").read_text() == "other"
    trees.client.on_block = lambda: None
    assert (await trees.sync()).unkept == ()
    trees.compare()


async def test_a_file_that_changed_since_it_was_listed_comes_as_it_is_now(trees: TwoTrees) -> None:
    trees.client.before_contents = lambda: write(trees.source / "a", "another a", mtime=1_600_000_000)
    await trees.sync()
    trees.compare()
    trees.client.before_contents = lambda: None
    assert (await trees.sync()).rows == 0


async def test_a_file_that_goes_before_it_is_read_keeps_its_copy_until_the_next_sync(trees: TwoTrees) -> None:
    await trees.sync()
    write(trees.source / "a", "new")
    trees.client.before_contents = (trees.source / "a").unlink
    outcome = await trees.sync()
    assert [(one.name, one.reason) for one in outcome.unkept] == [("a", "it is gone")]
    assert (trees.target / "a").read_text() == "a"
    trees.client.before_contents = lambda: None
    await trees.sync()
    trees.compare()


async def test_a_file_that_cannot_come_keeps_the_folder_in_its_place(trees: TwoTrees) -> None:
    """What would have to go for it stays, too."""
    await trees.sync()
    (trees.source / "b" / "c").unlink()
    (trees.source / "b").rmdir()
    write(trees.source / "b", "a file now")
    trees.client.before_contents = (trees.source / "b").unlink
    await trees.sync()
    assert (trees.target / "b" / "c").read_text() == "c"
    trees.client.before_contents = lambda: None
    await trees.sync()
    trees.compare()


async def test_a_source_that_is_not_there_or_empty_empties_nothing(trees: TwoTrees) -> None:
    """A file system that was not mounted looks like an empty folder."""
    for number in range(30):
        write(trees.source / "many" / str(number), "x")
    await trees.sync()
    before = snapshot(trees.target)
    kept = trees.source.rename(trees.source.with_name("kept"))
    with pytest.raises(FileSetMissing, match="there is no folder"):
        await trees.sync()
    trees.source.mkdir()
    with pytest.raises(SourceShrank, match="holds no file"):
        await trees.sync()
    write(trees.source / "few", "x")
    with pytest.raises(SourceShrank, match="of the copy's 32 files 1 would be left, 50% may be lost at most"):
        await trees.sync()
    assert snapshot(trees.target) == before
    await trees.sync(guards=Guards(accepted=frozenset({Guard.SOURCE_SHRANK})))
    trees.compare()
    assert kept.is_dir()


async def test_what_has_no_room_is_not_begun(trees: TwoTrees) -> None:
    agent = trees.target_settings.agent.model_copy(update={"disk_floor_bytes": 2**60})
    trees.target_settings = trees.target_settings.model_copy(update={"agent": agent})
    with pytest.raises(DiskShort, match="are free"):
        await trees.sync()
    assert trees.client.requests == 0
    await trees.sync(guards=Guards(accepted=frozenset({Guard.DISK_SHORT})))
    trees.compare()


@pytest.mark.parametrize("state", [State.ACTIVE, State.WAITING])
async def test_a_node_that_serves_takes_no_sync(trees: TwoTrees, state: State) -> None:
    """Whatever the controller believes: the record of its own agent counts."""
    record = Record(pair_id="pair", node_id="target", state=state, term=Term(epoch=18, owner="target"))
    (trees.target_settings.node.state_dir / "record.json").write_text(record.model_dump_json())
    with pytest.raises(NotStandby):
        await trees.sync()
    assert snapshot(trees.target) == {}


async def test_a_copy_whose_folder_is_gone_says_so(trees: TwoTrees) -> None:
    trees.target.rmdir()
    with pytest.raises(WarmstandbyError, match="there is no folder") as caught:
        await trees.sync()
    assert caught.value.code == "file_set_missing"


async def test_what_a_killed_writer_left_goes_and_a_broken_index_is_only_read_again(trees: TwoTrees) -> None:
    await trees.sync()
    notes = Notes.of(trees.source_settings.node.state_dir, "papers")
    left = write(notes.folder / f".index.{2**22 + 1}.7.abc.new", "half a li")
    lines = notes.index.read_bytes().splitlines(keepends=True)
    for broken in (b"", b"{}", b"".join(lines[:2]) + lines[2][:10], lines[0] + b"[1,2]\n", b"\xff\xfe"):
        notes.index.write_bytes(broken)
        assert (await trees.sync()).rows == 0
        assert trees.client.last is not None
        assert trees.client.last.hashed_files >= 1
    assert not left.exists()
    trees.compare()
