"""A tree becomes like its source: every kind of change, every kind of name, and nothing of it read twice."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from shared.replication.model import SyncKind
from tests.integration.files.stage import TwoTrees, snapshot, write

NOBODY: Final = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def trees(tmp_path: Path) -> TwoTrees:
    """Two trees; the source has a little of everything."""
    trees = TwoTrees.make(tmp_path)
    write(trees.source / "letter.txt", "dear all")
    write(trees.source / "empty", "")
    write(trees.source / "in" / "a" / "deep.bin", b"\0" * 5000, mode=0o600)
    (trees.source / "in" / "nothing here").mkdir(mode=0o750)
    (trees.source / "to-letter").symlink_to("letter.txt")
    (trees.source / "nowhere").symlink_to("/nonexistent/place")
    (trees.source / "up").symlink_to("../../..")
    return trees


async def test_a_seed_brings_all_and_the_next_sync_reads_nothing(trees: TwoTrees) -> None:
    outcome = await trees.sync()
    trees.compare()
    assert outcome.kind is SyncKind.SEED
    assert outcome.unkept == ()
    assert outcome.bytes == 5008
    assert trees.standing.is_copy
    first = outcome.point
    outcome = await trees.sync()
    trees.compare()
    assert (outcome.kind, outcome.rows, outcome.bytes) == (SyncKind.DELTA, 0, 0)
    assert outcome.point.seq == first.seq + 1
    assert outcome.point.capture_id == first.capture_id
    assert trees.client.last is not None
    assert trees.client.last.hashed_files == 0
    assert trees.client.requests == 1


async def test_every_kind_of_change_arrives(trees: TwoTrees) -> None:
    """New, changed, cut short, changed with size and time as before, rights, renamed, one kind for another, gone."""
    source = trees.source
    for name in ("short", "same", "rights", "gone/tree/file", "kind-file", "kind-folder/x", "kind-link-file"):
        write(source / name, "the content of before")
    (source / "kind-link").symlink_to("short")
    write(source / "moved" / "large", os.urandom(300_000))
    await trees.sync()
    trees.compare()
    write(source / "new", "new")
    write(source / "letter.txt", "dear everybody")
    write(source / "short", "the")
    write(source / "same", "the content of beforE")
    (source / "rights").chmod(0o640)
    (source / "in").chmod(0o700)
    (source / "moved").rename(source / "renamed")
    shutil.rmtree(source / "gone")
    (source / "kind-file").unlink()
    write(source / "kind-file" / "inside", "now a folder")
    shutil.rmtree(source / "kind-folder")
    write(source / "kind-folder", "now a file")
    (source / "kind-link").unlink()
    (source / "kind-link").mkdir()
    (source / "kind-link-file").unlink()
    (source / "kind-link-file").symlink_to("kind-file")
    trees.client.asked.clear()
    outcome = await trees.sync()
    trees.compare()
    assert outcome.unkept == ()
    assert "renamed/large" not in trees.client.asked
    assert set(trees.client.asked) == {"kind-file/inside", "kind-folder", "letter.txt", "new", "same", "short"}
    assert (await trees.sync()).rows == 0


async def test_names_are_bytes(trees: TwoTrees) -> None:
    """What a file system has as a name is a name."""
    for name in (
        b"new\nline",
        b"\xff\xfe no text",
        "Käse".encode(),
        b"-rf *",
        b"%41",
        b"a\\b\"c'",
        b"\x01\x7f",
        b"n" * 255,
    ):
        path = trees.source / os.fsdecode(name)
        write(path, name, mtime=1)
        path.with_name(os.fsdecode(name[:250] + b".link")).symlink_to(os.fsdecode(b"to " + name))
    (trees.source / "Käse.d").mkdir()
    await trees.sync()
    trees.compare()
    assert (await trees.sync()).rows == 0


async def test_what_somebody_did_to_the_copy_by_hand_is_undone(trees: TwoTrees) -> None:
    await trees.sync()
    (trees.target / "letter.txt").write_text("scribble")
    (trees.target / "empty").unlink()
    shutil.rmtree(trees.target / "in")
    write(trees.target / "extra" / "file", "extra")
    (trees.target / "up").unlink()
    (trees.target / "up").mkdir()
    await trees.sync()
    trees.compare()


async def test_sockets_and_fifos_are_told_of_and_left(trees: TwoTrees) -> None:
    os.mkfifo(trees.source / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(trees.source / "s"))
        outcome = await trees.sync()
    assert {one.name: one.reason for one in outcome.unkept} == {"pipe": "it is a fifo", "s": "it is a socket"}
    assert not (trees.target / "pipe").exists()
    os.mkfifo(trees.target / "letter.pipe")
    await trees.sync()
    assert (trees.target / "letter.pipe").exists()


async def test_what_is_excluded_is_left_alone_on_both_sides(tmp_path: Path) -> None:
    """Either node's patterns count: what one does not tell of has not gone."""
    trees = TwoTrees.make(tmp_path, exclude=("*.tmp",), exclude_here=("cache/", "/local/own"))
    for name in ("a", "b.tmp", "cache/x", "in/c.tmp", "local/other", "local/own"):
        write(trees.source / name, "theirs")
    write(trees.target / "b.tmp", "ours")
    write(trees.target / "old" / "d.tmp", "ours")
    write(trees.target / "old" / "d", "ours")
    write(trees.target / "local" / "own", "ours")
    outcome = await trees.sync()
    files = {
        path.relative_to(trees.target).as_posix(): path.read_text()
        for path in trees.target.rglob("*")
        if path.is_file()
    }
    assert files == {"a": "theirs", "b.tmp": "ours", "old/d.tmp": "ours", "local/other": "theirs", "local/own": "ours"}
    assert [(one.name, one.reason) for one in outcome.unkept] == [("old", "a folder here holds what is left alone")]
    assert (trees.target / "in").is_dir()


@contextmanager
def as_nobody(trees: TwoTrees) -> Iterator[None]:
    """Be a user without rights, whose trees these are, for the time of a block."""
    places = [trees.folder, *trees.folder.rglob("*")]
    above = [(parent, parent.stat().st_mode) for parent in trees.folder.parents if not parent.stat().st_mode & 0o001]
    for place in places:
        os.lchown(place, NOBODY, NOBODY)
    for parent, mode in above:
        parent.chmod(mode | 0o055)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        for parent, mode in above:
            parent.chmod(stat.S_IMODE(mode))


@only_root
async def test_what_may_not_be_read_keeps_its_copy(trees: TwoTrees) -> None:
    """Neither a file nor a folder that the agent may not read any more is taken for gone."""
    with as_nobody(trees):
        await trees.sync()
        before = snapshot(trees.target)
        (trees.source / "in").chmod(0)
        (trees.source / "letter.txt").chmod(0)
        write(trees.source / "new", "new")
        outcome = await trees.sync()
        told = {one.name: one.reason for one in outcome.unkept}
        assert told == {"in": "it may not be read", "letter.txt": "it may not be read"}
        after = snapshot(trees.target)
        assert after.pop(b"new")
        assert after == before
        (trees.source / "in").chmod(0o755)
        (trees.source / "letter.txt").chmod(0o644)


@only_root
async def test_folders_that_their_owner_may_not_write_in_are_kept_so(trees: TwoTrees) -> None:
    """What changes in them changes all the same."""
    with as_nobody(trees):
        for name in ("changed", "gone", "moved"):
            write(trees.source / "closed" / "inner" / name, name)
        closed = [trees.source / "closed" / "inner", trees.source / "closed"]
        for place in closed:
            place.chmod(0o555)
        await trees.sync()
        trees.compare()
        for place in closed:
            place.chmod(0o755)
        write(trees.source / "closed" / "inner" / "changed", "another")
        (trees.source / "closed" / "inner" / "gone").unlink()
        (trees.source / "closed" / "inner" / "moved").rename(trees.source / "closed" / "moved")
        for place in closed:
            place.chmod(0o555)
        outcome = await trees.sync()
        trees.compare()
        assert outcome.unkept == ()
        for place in reversed(closed):
            place.chmod(0o755)
        shutil.rmtree(trees.source / "closed")
        await trees.sync()
        trees.compare()


@only_root
async def test_owners_are_kept_by_root_and_told_of_else(trees: TwoTrees) -> None:
    """A file that is another's over there is nobody's program with its rights here."""
    os.chown(trees.source / "letter.txt", NOBODY, NOBODY)
    (trees.source / "letter.txt").chmod(0o4755)
    await trees.sync()
    trees.compare()
    found = (trees.target / "letter.txt").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (NOBODY, 0o4755)
    shutil.rmtree(trees.target)
    trees.target.mkdir()
    with as_nobody(trees):
        os.seteuid(0)
        os.chown(trees.source / "letter.txt", 0, 0)
        (trees.source / "letter.txt").chmod(0o4755)
        os.seteuid(NOBODY)
        outcome = await trees.sync()
    assert [(one.name, one.reason) for one in outcome.unkept] == [
        ("owner and group", "1 paths: only root gives files away")
    ]
    found = (trees.target / "letter.txt").stat()
    assert (found.st_uid, found.st_mode & 0o7777) == (NOBODY, 0o755)
