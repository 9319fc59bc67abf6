"""The folder beside a tree in which a sync gathers what is to take its place, and from which it does so.

`new/` holds what comes, by number; `old/` what went; `journal` is there once all has come and is durable, and names
every step. Each step is one rename between this folder and the tree, so whoever takes this folder away ends what
another process does with it: nothing can leave it, or be put into it, any more. That is how a promotion stops a sync.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from shared.errors import FileSetUnusable, SyncRunning
from shared.files.acts import dress, empty, rename, take_away
from shared.files.atomic import sync_file_system
from shared.files.entries import Entry, parent_of
from shared.files.owners import Owners
from shared.files.places import staging_folder
from shared.files.standing import Standing
from shared.files.steps import Away, Dress, Put, Step, read_step, write_step
from shared.files.tree import GONE, Tree

FORMAT: Final = 1
JOURNAL: Final = "journal"
_DRAFT: Final = "journal.new"
_NEW: Final = "new"
_OLD: Final = "old"
_TIMES: Final = 100
_FEW: Final = 200
"""Up to so many files are made durable one by one; a whole file system at once waits for what others wrote, too."""
_SKIPPED: Final = GONE | {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}
"""Somebody changed the tree meanwhile: the next sync brings such a path right."""

Watch = Callable[[str], None]
"""Is told of each act when it is done."""


def has_journal(path: Path) -> bool:
    """Say whether a sync of the tree at a path has gathered all, and puts it in place."""
    return (staging_folder(path) / JOURNAL).exists()


class Staging:
    """The folder, held by one process at a time; used by one thread at a time."""

    def __init__(self, tree: Tree, descriptor: int, watch: Watch) -> None:
        self.tree: Final = tree
        self.path: Final = staging_folder(tree.path)
        self._watch = watch
        self._folder = descriptor
        self._new = self._old = -1
        self._passed: list[bytes] = []
        self._sealed = 0

    @classmethod
    def hold(
        cls, tree: Tree, name: str, watch: Watch = lambda _: None, *, waits: Callable[[], bool] | None = None
    ) -> Self:
        """Make the folder, or find the one of a process that died, and hold it.

        While another process holds it: raises SyncRunning, or with `waits` asks it again and again; where that says no
        more it is taken all the same. Raises FileSetUnusable.
        """
        place = staging_folder(tree.path)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise FileSetUnusable(f"file set {name}: {place}: {error.strerror}") from error
        try:
            if os.fstat(descriptor).st_dev != tree.device:
                raise FileSetUnusable(f"file set {name}: {tree.path} is another file system than the folder around it")
            while not _try_lock(descriptor):
                if waits is None:
                    raise SyncRunning(f"another process writes to file set {name}")
                if not waits():
                    take_away(descriptor, (_NEW, _OLD))
                    break
            if (place / f"{_NEW}.taken").exists() or (place / f"{_OLD}.taken").exists():
                take_away(descriptor, (_NEW, _OLD))  # who was at it died
            if not _is_at(descriptor, place):
                raise SyncRunning(f"another process has just written to file set {name}")
        except BaseException:
            os.close(descriptor)
            raise
        return cls(tree, descriptor, watch)

    @property
    def descriptor(self) -> int:
        """Return the folder's descriptor."""
        return self._folder

    def begin(self) -> None:
        """Empty it, for what is to come; raises OSError."""
        self.clear(keeps_folder=True)
        for name in (_NEW, _OLD):
            os.mkdir(name, 0o700, dir_fd=self._folder)
        self._open_parts()

    def create(self, number: int) -> int:
        """Return the descriptor of a new file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(str(number), flags, 0o600, dir_fd=self._new)

    def seal(self, descriptor: int) -> None:
        """Make what was written to a file durable: at once where few files come, all together at `commit` else."""
        self._sealed += 1
        if self._sealed <= _FEW:
            os.fsync(descriptor)

    def open_gathered(self, number: int) -> int:
        """Return the descriptor of a file that was created, to write on."""
        return os.open(str(number), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._new)

    def drop(self, number: int) -> None:
        """Forget what was gathered under a number; none is forgotten already."""
        try:
            os.unlink(str(number), dir_fd=self._new)
        except FileNotFoundError:
            return

    def make_folder(self, number: int) -> None:
        """Gather a folder; its rights come last, when all is in it."""
        os.mkdir(str(number), 0o700, dir_fd=self._new)

    def make_link(self, number: int, entry: Entry, owners: Owners) -> None:
        """Gather a symbolic link."""
        os.symlink(entry.target, str(number), dir_fd=self._new)
        uid, gid = owners.ids(entry)
        if (uid, gid) != (-1, -1):
            os.chown(str(number), uid, gid, dir_fd=self._new, follow_symlinks=False)

    def link_own(self, number: int, path: bytes) -> None:
        """Gather a file of the tree that is about to leave its path: the same file, under a second name."""
        folder, name = self.tree.place(path)
        os.link(name, str(number), src_dir_fd=folder, dst_dir_fd=self._new, follow_symlinks=False)

    def inode(self, number: int) -> int:
        """Return which file was gathered under a number."""
        return os.stat(str(number), dir_fd=self._new, follow_symlinks=False).st_ino

    def commit(self, name: str, standing: Standing, steps: Iterable[Step]) -> None:
        """Make all that was gathered durable, then the journal: from here on there is only the way forward."""
        descriptor = os.open(_DRAFT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)
        with open(descriptor, "wb", buffering=1 << 20) as file:  # noqa: PTH123
            head = {"format": FORMAT, "file_set": name, "standing": standing.model_dump(mode="json")}
            file.write(_line(head))
            count = 0
            for count, step in enumerate(steps, 1):  # noqa: B007
                file.write(_line(write_step(step)))
            file.write(_line({"end": count}))
            file.flush()
            self._watch("gathered")
            if self._sealed > _FEW:
                sync_file_system(self._folder)
            else:
                os.fsync(file.fileno())
                os.fsync(self._new)
        os.rename(_DRAFT, JOURNAL, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        self._watch("committed")

    def read_journal(self) -> tuple[Standing, int] | None:
        """Return what a whole journal leads to, and its number of steps; None where there is none."""
        try:
            with open(self._journal(), "rb") as file:  # noqa: PTH123
                head = json.loads(file.readline())
                count = -1
                last = b""
                for last in file:  # noqa: B007
                    count += 1
            if head["format"] != FORMAT or json.loads(last) != {"end": count}:
                return None
            return Standing.model_validate(head["standing"]), count
        except (OSError, ValueError, KeyError):
            return None

    def roll_forward(self, owners: Owners) -> tuple[bytes, ...]:
        """Do every step that is not done yet, durably, and return the paths that somebody changed meanwhile.

        Repeatable. Raises OSError where a step cannot be done now; it is done at the next try.
        """
        if self._new < 0:
            self._open_parts()
        self._passed, touched = [], set[bytes]()
        self.tree.forget()
        for number, step in enumerate(self._steps()):
            if os.fstat(self._new).st_nlink == 0:  # attributes are no rename: what is frozen just here gives one more
                raise OSError(errno.ESTALE, "another process has taken over")
            try:
                self._do(step, owners)
            except OSError as error:
                if error.errno not in _SKIPPED:
                    raise
                self._passed.append(step.path)
            if len(touched) <= _FEW:
                touched.add(step.path if isinstance(step, Dress) else parent_of(step.path))
            self._watch(f"step {number}")
        self.tree.forget()
        self._sync(touched)
        self._watch("placed")
        return tuple(self._passed)

    def forget_journal(self) -> None:
        """Note durably that all was done."""
        os.unlink(JOURNAL, dir_fd=self._folder)
        os.fsync(self._folder)
        self._watch("forgotten")

    def forget_old(self) -> None:
        """Remove what went, once the journal is forgotten; a file that lives on under another name changes by it."""
        empty(self._old)

    def clear(self, *, keeps_folder: bool = False) -> None:
        """Remove all that is in it, and by default the folder; safe to repeat. Raises OSError."""
        self._close_parts()
        for is_last in (*[False] * _TIMES, True):
            empty(self._folder)
            if keeps_folder or not _is_at(self._folder, self.path):
                return
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:  # who held it before has just written into it
                if error.errno != errno.ENOTEMPTY or is_last:
                    raise
            else:
                return

    def close(self) -> None:
        """Let go of it."""
        self._close_parts()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _sync(self, touched: set[bytes]) -> None:
        """Make renames and attributes durable: one by one where they are few."""
        if len(touched) > _FEW:
            sync_file_system(self._folder)
            return
        for path in sorted(touched):
            found = self.tree.look(path) if path else None
            try:
                if path == b"" or (found is not None and stat.S_ISDIR(found.st_mode)):
                    os.fsync(self.tree.folder(path))
                elif found is not None and stat.S_ISREG(found.st_mode):
                    with self.tree.reading(path) as descriptor:
                        os.fsync(descriptor)
            except OSError as error:
                if error.errno not in GONE | {errno.EACCES}:
                    raise
        os.fsync(self._old)

    def _steps(self) -> Iterator[Step]:
        with open(self._journal(), "rb") as file:  # noqa: PTH123
            file.readline()
            for line in file:
                told = json.loads(line)
                if "end" not in told:
                    yield read_step(told)

    def _journal(self) -> int:
        return os.open(JOURNAL, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)

    def _do(self, step: Step, owners: Owners) -> None:
        match step:
            case Away(path, number):
                if _there(self._old, str(number)) or self.tree.look(path) is None:
                    return
                folder, name = self.tree.place(path)
                rename(name, folder, str(number), self._old)
                self.tree.forget()
            case Put(path, number):
                if not _there(self._new, str(number)):
                    return
                folder, name = self.tree.place(path)
                rename(str(number), self._new, name, folder)
            case Dress(entry):
                dress(self.tree, entry, owners)

    def _open_parts(self) -> None:
        self._close_parts()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._new = os.open(_NEW, flags, dir_fd=self._folder)
        self._old = os.open(_OLD, flags, dir_fd=self._folder)

    def _close_parts(self) -> None:
        for descriptor in (self._new, self._old):
            if descriptor >= 0:
                os.close(descriptor)
        self._new = self._old = -1


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Say whether a folder still stands at its path: who held it before may have removed it."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
