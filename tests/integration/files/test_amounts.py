"""Many small files and one large: few round trips, flat memory, and random trees that become like one another."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import time
import tracemalloc
from pathlib import Path

from tests.integration.files.stage import TwoTrees, write
from tests.tier import rounds

MANY = rounds(1_500, 20_000)
LARGE_MB = rounds(30, 100)


async def test_many_small_files_cost_few_requests(tmp_path: Path) -> None:
    """Seed, nothing to do, one changed: with the times for people to read."""
    trees = TwoTrees.make(tmp_path)
    for number in range(MANY):
        write(trees.source / f"{number % 97}" / f"{number}", f"{number} " * 20)
    began = time.monotonic()
    outcome = await trees.sync()
    seeded = time.monotonic()
    assert outcome.rows == MANY + 97
    assert trees.client.requests <= MANY / 500 + 2
    await trees.sync()
    idle = time.monotonic()
    assert trees.client.last is not None
    assert trees.client.last.hashed_files == 0
    write(trees.source / "1" / "1", "changed")
    assert (await trees.sync()).rows == 1
    print(f"{MANY} files: seed {seeded - began:.2f} s, idle {idle - seeded:.2f} s, one {time.monotonic() - idle:.2f} s")
    trees.compare()


async def test_a_large_file_comes_in_flat_memory(tmp_path: Path) -> None:
    trees = TwoTrees.make(tmp_path)
    write(trees.source / "large", os.urandom(1 << 20) * LARGE_MB)
    gc.collect()
    tracemalloc.start()
    began = time.monotonic()
    await trees.sync()
    seconds, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{LARGE_MB} MB: {seconds:.2f} s, at most {peak / 2**20:.1f} MB of memory")
    assert peak < 16 * 2**20
    trees.compare()


async def test_random_trees_become_like_one_another(chance: random.Random, tmp_path: Path) -> None:
    """Whatever lay there, and whatever comes: after one sync both are the same, after another nothing is to do."""
    trees = TwoTrees.make(tmp_path)
    for _ in range(rounds(15, 300)):
        for tree, share in ((trees.source, 0.8), (trees.target, 0.2)):
            change(tree, chance, count=int(10 * share))
        if not any(path.is_file() for path in trees.source.rglob("*")):
            write(trees.source / "one", "x")
        await trees.sync()
        trees.compare()
    assert (await trees.sync()).rows == 0


def change(tree: Path, chance: random.Random, *, count: int) -> None:
    """Do something to a tree, so many times."""
    for _ in range(count):
        places = [tree / name / other for name in "abc" for other in ("", "x", "y", "x/z")]
        place = chance.choice(places)
        kind = chance.choice(["write", "write", "write", "remove", "link", "folder", "rights", "move"])
        if kind in ("remove", "rights", "move") and is_below_link(tree, place):
            continue
        match kind:
            case "write":
                clear(tree, place)
                write(place, chance.choice(["", "one", "two", "two" * 1000]), mtime=chance.choice([1, 2]))
            case "remove":
                remove(place)
            case "link":
                clear(tree, place)
                place.symlink_to(chance.choice(["a", "../b", "/nowhere"]))
            case "folder":
                clear(tree, place)
                place.mkdir()
            case "rights" if place.exists() and not place.is_symlink():
                place.chmod(chance.choice([0o700, 0o755, 0o600, 0o500]))
            case "move" if place.exists():
                other = tree / f"moved-{chance.randrange(5)}"
                remove(other)
                place.rename(other)
            case _:
                pass


def clear(tree: Path, place: Path) -> None:
    """Make a place free, in folders."""
    for parent in reversed(place.relative_to(tree).parents):
        above = tree / parent
        if above.is_symlink() or above.is_file():
            above.unlink()
        above.mkdir(exist_ok=True)
    remove(place)


def is_below_link(tree: Path, place: Path) -> bool:
    return any((tree / parent).is_symlink() for parent in place.relative_to(tree).parents)


def remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        with contextlib.suppress(NotADirectoryError):
            place.unlink(missing_ok=True)
