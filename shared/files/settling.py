"""What a sync of a file set that was cut off left behind, brought to its end: the old tree, or the new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum

from shared.errors import FileSetUnusable
from shared.files.owners import Owners
from shared.files.places import Notes, staging_folder
from shared.files.staging import Staging, Watch
from shared.files.standing import write_standing
from shared.files.tree import Tree
from shared.settings import FileSetSettings


class Settled(StrEnum):
    """What came of it."""

    NOTHING = "nothing was left"
    DROPPED = "a sync that had not gathered all was dropped"
    FORWARD = "a sync that had gathered all was brought to its end"


def settle(
    file_set: FileSetSettings,
    notes: Notes,
    *,
    watch: Watch = lambda _: None,
    waits: Callable[[], bool] | None = None,
) -> Settled:
    """Bring what was cut off to its end; idempotent. In a thread: it reads and writes.

    Raises SyncRunning while another process is at it (with `waits` it is waited for, then ended), FileSetMissing,
    FileSetUnusable.
    """
    if not staging_folder(file_set.path).is_dir():
        return Settled.NOTHING
    with Tree.open(file_set.path, file_set.name) as tree:
        staging = Staging.hold(tree, file_set.name, watch, waits=waits)
        try:
            found = staging.read_journal()
            if found is not None:
                finish(staging, notes)
            staging.clear()
        except OSError as error:
            raise FileSetUnusable(f"file set {file_set.name}: {staging.path}: {error.strerror}") from error
        finally:
            staging.close()
    return Settled.DROPPED if found is None else Settled.FORWARD


def find_obstacle(tree: Tree, name: str) -> FileSetUnusable | None:
    """Return what would keep a sync from writing here; None where nothing is to be seen."""
    around = tree.path.parent
    if not os.access(tree.path, os.R_OK | os.W_OK | os.X_OK):
        return FileSetUnusable(f"file set {name}: this user may not write in {tree.path}")
    if not os.access(around, os.W_OK | os.X_OK):
        return FileSetUnusable(f"file set {name}: this user may not write in {around}, where a sync gathers")
    if around.stat().st_dev != tree.device:
        return FileSetUnusable(f"file set {name}: {tree.path} is another file system than {around}")
    return None


def finish(staging: Staging, notes: Notes) -> tuple[bytes, ...]:
    """Do what a whole journal says and note what the tree is then; return the paths that somebody changed meanwhile."""
    found = staging.read_journal()
    if found is None:
        raise OSError("the journal is gone: another process has brought it to its end")
    passed = staging.roll_forward(Owners())
    write_standing(notes.standing, found[0])
    staging.forget_journal()
    return passed
