"""What makes a tree like its source, decided on two lists alone; and what of a copy is no longer as it was left."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.standby_controller.files.drift import find_drift
from services.standby_controller.files.plan import Act, Bring, Dress, Leave, Remove, plan
from services.standby_controller.policy.guards import ShrinkLimits, find_lost_files, find_no_room
from shared.files.entries import Entry, EntryKind, order_of, parent_of

FILE, FOLDER, LINK, LEFT = EntryKind.FILE, EntryKind.FOLDER, EntryKind.LINK, EntryKind.LEFT

Tree = dict[bytes, Entry]


def file(path: str, content: str = "a", *, mode: int = 0o644, mtime: int = 1) -> Entry:
    return Entry(path.encode(), FILE, mode, "u", "g", len(content), mtime, content)


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path.encode(), FOLDER, mode, "u", "g")


def link(path: str, target: str) -> Entry:
    return Entry(path.encode(), LINK, owner="u", group="g", target=target.encode())


def left(path: str) -> Entry:
    return Entry(path.encode(), LEFT, reason="it is a socket")


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda one: order_of(one.path))


@pytest.mark.parametrize(
    ("source", "own", "acts"),
    [
        ([], [], []),
        ([file("a")], [file("a")], []),
        ([file("a")], [], [Bring(file("a"))]),
        ([], [file("a")], [Remove(file("a"))]),
        ([file("a", "new")], [file("a", "old")], [Bring(file("a", "new"), file("a", "old"))]),
        ([file("a", mode=0o600)], [file("a")], [Dress(file("a", mode=0o600))]),
        ([file("a", mtime=2)], [file("a")], [Dress(file("a", mtime=2))]),
        ([link("a", "b")], [link("a", "c")], [Bring(link("a", "b"), link("a", "c"))]),
        ([link("a", "b")], [file("a")], [Bring(link("a", "b"), file("a"))]),
        ([folder("d"), file("d/a")], [], [Bring(folder("d")), Bring(file("d/a")), Dress(folder("d"), is_new=True)]),
        ([], [folder("d"), file("d/a")], [Remove(file("d/a")), Remove(folder("d"))]),
        ([file("d")], [folder("d"), file("d/a")], [Remove(file("d/a")), Remove(folder("d")), Bring(file("d"))]),
        ([folder("d")], [file("d")], [Remove(file("d")), Bring(folder("d")), Dress(folder("d"), is_new=True)]),
        ([folder("d", 0o700)], [folder("d")], [Dress(folder("d", 0o700))]),
        ([], [folder("d"), left("d/s")], [Leave(b"d", "a folder here holds what is left alone")]),
        ([file("d")], [folder("d"), left("d/s")], [Leave(b"d", "a folder here holds what is left alone")]),
        ([left("d")], [folder("d"), file("d/a")], [Leave(b"d", "it is a socket")]),
        ([folder("d"), file("d/a")], [left("d")], [Leave(b"d", "it is a socket")]),
        ([], [left("d")], []),
        ([file("d-e")], [folder("d"), file("d/a"), file("d-e")], [Remove(file("d/a")), Remove(folder("d"))]),
    ],
)  # fmt: skip
def test_a_difference_becomes_acts(source: list[Entry], own: list[Entry], acts: list[Act]) -> None:
    assert list(plan(in_order(source), in_order(own))) == acts


def test_an_owner_that_cannot_be_kept_is_none() -> None:
    """Else each sync would try again."""
    expected = Entry(b"a", FILE, 0o644, "", "", 1, 1, "a")
    assert list(plan([expected], [file("a")])) == []


NAMES = st.sampled_from(["a", "b", "a-", "a b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from(["file x", "file y", "file x 600", "link a", "folder", "folder 700"]))


def grow(described: dict[str, str]) -> Tree:
    """Make a tree of a description: what lies below something is in a folder."""
    tree: Tree = {}
    for path, what in described.items():
        kind, *rest = what.split()
        if kind == "folder":
            made = folder(path, 0o700 if rest else 0o755)
        elif kind == "link":
            made = link(path, rest[0])
        else:
            made = file(path, rest[0], mode=0o600 if len(rest) > 1 else 0o644)
        tree[made.path] = made
    for made in list(tree.values()):
        above = parent_of(made.path)
        while above:
            if tree.get(above, folder("x")).kind is not FOLDER or above not in tree:
                tree[above] = folder(above.decode())
            above = parent_of(above)
    return tree


@given(TREES, TREES)
def test_the_acts_make_one_tree_of_another(source: dict[str, str], own: dict[str, str]) -> None:
    """Done in the order of a sync: what goes, what comes, attributes; nothing twice, no folder before it is empty."""
    wanted, tree = grow(source), grow(own)
    acts = list(plan(in_order(wanted.values()), in_order(tree.values())))
    for act in acts:
        if isinstance(act, Remove):
            assert not any(path.startswith(act.own.path + b"/") for path in tree)
            assert tree.pop(act.own.path) == act.own
    for act in acts:
        if isinstance(act, Bring):
            above = parent_of(act.entry.path)
            assert not above or tree[above].kind is FOLDER
            assert tree.get(act.entry.path) == act.own
            tree[act.entry.path] = act.entry
    for act in acts:
        if isinstance(act, Dress):
            assert tree[act.entry.path].holds_same == act.entry.holds_same
            tree[act.entry.path] = act.entry
    assert tree == wanted
    assert list(plan(in_order(wanted.values()), in_order(wanted.values()))) == []


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ([file("a")], [file("a")], None),
        ([file("a")], [], "missing"),
        ([], [file("a")], "extra"),
        ([file("a", "abc")], [file("a", "ab")], "truncated: 2 bytes of the 3"),
        ([file("a", "abc")], [file("a", "abcd")], "grown"),
        ([file("a", "abc")], [file("a", "abd")], "size and time are the same"),
        ([file("a", "abc")], [file("a", "abd", mtime=2)], "bytes are not those"),
        ([file("a")], [file("a", mode=0o600)], "rights"),
        ([file("a")], [link("a", "b")], "it is a link"),
        ([link("a", "b")], [link("a", "c")], "leads to c"),
        ([left("a")], [], None),
        ([], [left("a")], None),
    ],
)
def test_what_was_done_to_a_copy_is_said(was: list[Entry], now: list[Entry], said: str | None) -> None:
    found = [one.text for one in find_drift(was, now)]
    assert len(found) == (said is not None)
    assert all(said is not None and said in text for text in found)


@pytest.mark.parametrize(
    ("before", "after", "is_refused"),
    [(0, 0, False), (0, 5, False), (1, 0, True), (19, 1, False), (20, 10, False), (20, 9, True), (100, 100, False)],
)
def test_a_folder_that_lost_most_is_not_believed(before: int, after: int, is_refused: bool) -> None:
    assert (find_lost_files(before, after, ShrinkLimits()) is not None) is is_refused


def test_what_comes_needs_room_beside_the_floor() -> None:
    assert find_no_room(needed_bytes=0, free_bytes=0, floor_bytes=100) is None
    assert find_no_room(needed_bytes=10, free_bytes=110, floor_bytes=100) is None
    assert find_no_room(needed_bytes=11, free_bytes=110, floor_bytes=100) is not None


def test_order_is_that_of_a_walk() -> None:
    """A folder, all below it, its next sibling; whatever sorts before a slash."""
    paths = [b"a", b"a/b", b"a/b/c", b"a/c", b"a\x01", b"a b", b"a-b", b"a.b", b"ab"]
    shuffled = random.Random(1).sample(paths, len(paths))
    assert sorted(shuffled, key=order_of) == paths
