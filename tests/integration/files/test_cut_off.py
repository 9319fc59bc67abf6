"""A sync that is cut off anywhere: the old tree or the new one, never between, and never a half file."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import pytest

from services.primary_agent.files.service import FileSetService
from services.primary_agent.node.node import Node
from shared.clock import SystemClock
from shared.errors import FileSetUnusable, SyncRunning, WarmstandbyError
from shared.files.places import Notes, staging_folder
from shared.files.settling import Settled, settle
from shared.files.staging import Staging
from shared.files.tree import Tree
from shared.node.model import State
from tests.integration.files.stage import NAME, ServingNode, TwoTrees, snapshot, write

_MOST: Final = 60


def make(folder: Path) -> TwoTrees:
    """Make a pair whose copy is one change of each kind behind."""
    trees = TwoTrees.make(folder)
    for name in ("changed", "gone/a", "gone/b", "moved/one", "to-folder", "to-file/x", "rights"):
        write(trees.source / name, f"old {name}")
    (trees.source / "link").symlink_to("changed")
    asyncio.run(trees.sync())
    write(trees.source / "changed", "new changed " * 1000)
    write(trees.source / "added" / "deep" / "file", "new")
    shutil.rmtree(trees.source / "gone")
    (trees.source / "moved").rename(trees.source / "renamed")
    (trees.source / "to-folder").unlink()
    write(trees.source / "to-folder" / "y", "new y")
    shutil.rmtree(trees.source / "to-file")
    write(trees.source / "to-file", "new file")
    (trees.source / "rights").chmod(0o600)
    (trees.source / "link").unlink()
    (trees.source / "link").symlink_to("added")
    return trees


def run_apart(trees: TwoTrees, watch: Callable[[str], None]) -> int:
    """Sync in a process of its own and return its id."""
    child = os.fork()
    if child:
        return child
    try:
        asyncio.run(trees.sync(watch=watch))
    except WarmstandbyError:
        os._exit(3)
    except BaseException:
        os._exit(4)
    os._exit(0)


def at(place: int, number: int) -> Callable[[str], None]:
    """Return what sends this process a signal when so many acts are done."""
    done = 0

    def watch(_: str) -> None:
        nonlocal done
        done += 1
        if done == place:
            os.kill(os.getpid(), number)
            time.sleep(0.05)  # the signal is another thread's, too

    return watch


def test_a_kill_after_each_step_leaves_the_old_tree_or_the_new(tmp_path: Path) -> None:
    """Kill -9 after each act of a sync; what the next start makes of it; the sync after that."""
    seen: set[str] = set()
    make(tmp_path / "made")
    for place in range(1, _MOST):
        shutil.copytree(tmp_path / "made", tmp_path / str(place), symlinks=True)
        trees = TwoTrees.at(tmp_path / str(place))
        old, new = snapshot(trees.target), snapshot(trees.source)
        status = os.waitpid(run_apart(trees, at(place, signal.SIGKILL)), 0)[1]
        found = snapshot(trees.target)
        whole = {entry[-1] for entry in (*old.values(), *new.values()) if entry[0] == "file"}
        assert {entry[-1] for entry in found.values() if entry[0] == "file"} <= whole
        is_committed = (staging_folder(trees.target) / "journal").exists()
        asyncio.run(trees.settle())
        settled = snapshot(trees.target)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        assert settled == (new if is_committed or found == new else old)
        seen.add("new" if settled == new else "old")
        assert not staging_folder(trees.target).exists()
        asyncio.run(trees.sync())
        trees.compare()
        assert asyncio.run(trees.sync()).rows == 0
    else:
        pytest.fail("no sync came to its end")
    assert seen == {"old", "new"}


def test_settling_can_be_cut_off_too(tmp_path: Path) -> None:
    """Who brings it to its end may die as well, at each step."""
    trees = make(tmp_path)
    new = snapshot(trees.source)
    os.waitpid(run_apart(trees, at(2, signal.SIGKILL)), 0)
    file_set, notes = trees.target_settings.file_sets[0], Notes.of(trees.target_settings.node.state_dir, NAME)
    for place in range(1, _MOST):
        child = os.fork()
        if not child:
            settle(file_set, notes, watch=at(place, signal.SIGKILL))
            os._exit(0)
        if os.WIFEXITED(os.waitpid(child, 0)[1]):
            break
    assert snapshot(trees.target) == new
    assert settle(file_set, notes) is Settled.NOTHING
    assert trees.standing.is_copy


@pytest.mark.parametrize("place", [1, 2, 5, 9], ids=["gathered", "committed", "early", "late"])
def test_a_frozen_sync_writes_nothing_once_it_was_taken_over(tmp_path: Path, place: int) -> None:
    """It stands still, the node is promoted, applications write, and it goes on: nothing of theirs is touched."""
    trees = make(tmp_path)
    child = run_apart(trees, at(place, signal.SIGSTOP))
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    try:
        see_taken_over(trees, child, is_committed=place > 1)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise


def see_taken_over(trees: TwoTrees, child: int, *, is_committed: bool) -> None:
    """Take over from a frozen process, write as applications do, and let it go on."""
    new, old = snapshot(trees.source), snapshot(trees.target)
    file_set, notes = trees.target_settings.file_sets[0], Notes.of(trees.target_settings.node.state_dir, NAME)
    with pytest.raises(SyncRunning):
        settle(file_set, notes)
    done = settle(file_set, notes, waits=lambda: False)
    assert done is (Settled.FORWARD if is_committed else Settled.DROPPED)
    assert snapshot(trees.target) == (new if is_committed else old)
    for path in ("changed", "to-folder/y", "gone/a", "rights", "to-file"):
        target = trees.target / path
        if target.is_dir():
            shutil.rmtree(target)
        if target.parent.is_file():
            target.parent.unlink()
        write(target, "the application's own")
    (trees.target / "link").unlink()
    served = snapshot(trees.target)
    os.kill(child, signal.SIGCONT)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 3
    assert snapshot(trees.target) == served
    assert not staging_folder(trees.target).exists()


def test_who_still_gathers_is_not_waited_for(tmp_path: Path) -> None:
    """A promotion takes the folder away from a sync that writes into it all the time."""
    trees = make(tmp_path)
    old, file_set = snapshot(trees.target), trees.target_settings.file_sets[0]
    node = ServingNode("target", State.PROMOTING)
    agent = FileSetService(trees.target_settings, SystemClock(), cast("Node", node))
    has_begun = threading.Event()

    def gather() -> None:
        with Tree.open(file_set.path, NAME) as tree:
            staging = Staging.hold(tree, NAME)
            staging.begin()
            with contextlib.suppress(FileNotFoundError):
                for number in itertools.count():
                    os.close(staging.create(number))
                    (staging.path / f"list {number}").touch()
                    has_begun.set()
            staging.close()

    gathering = threading.Thread(target=gather)
    gathering.start()
    has_begun.wait()
    began = time.monotonic()
    asyncio.run(agent.stop_apply())
    print(f"taken within {time.monotonic() - began:.3f} s")
    gathering.join(20)
    assert not gathering.is_alive()
    assert not staging_folder(trees.target).exists()
    assert snapshot(trees.target) == old


async def test_a_sync_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    trees = TwoTrees.make(tmp_path)
    for number in range(20):
        write(trees.source / str(number), "x" * 100)

    def cancel() -> None:
        raise asyncio.CancelledError

    trees.client.before_contents = cancel
    with pytest.raises(asyncio.CancelledError):
        await trees.sync()
    assert snapshot(trees.target) == {}
    assert not staging_folder(trees.target).exists()


async def test_a_folder_around_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    trees = TwoTrees.make(tmp_path)
    write(staging_folder(trees.target), "in the way")
    with pytest.raises(FileSetUnusable, match="warmstandby"):
        await trees.sync()
