"""What is done to single files and folders, each by its name in an open folder; nothing follows a symbolic link."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.files.entries import Entry, EntryKind
from shared.files.owners import Owners
from shared.files.tree import Tree

_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def dress(tree: Tree, entry: Entry, owners: Owners) -> None:
    """Give what lies at a path its owner, rights and time; raises OSError, of GONE where something else lies there."""
    folder, name = tree.place(entry.path)
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != _KINDS[entry.kind]:
            raise OSError(errno.ENOENT, "something else lies there")
        uid, gid = owners.ids(entry)
        if (uid, gid) != (-1, -1):
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        if entry.kind is not EntryKind.LINK:
            _itself(descriptor).chmod(entry.mode)
        if entry.kind is EntryKind.FILE:
            os.utime(_itself(descriptor), ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(descriptor)


def dress_file(descriptor: int, entry: Entry, owners: Owners) -> None:
    """Give a file that was gathered its owner, rights and time."""
    uid, gid = owners.ids(entry)
    if (uid, gid) != (-1, -1):
        os.fchown(descriptor, uid, gid)
    os.fchmod(descriptor, entry.mode)
    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))


_KINDS: Final = {EntryKind.FILE: stat.S_IFREG, EntryKind.FOLDER: stat.S_IFDIR, EntryKind.LINK: stat.S_IFLNK}


def rename(name: bytes | str, folder: int, to_name: bytes | str, to_folder: int) -> None:
    """Rename; where the rights of our own folders stand against it, they are lent for the moment."""
    try:
        os.rename(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)
    except PermissionError:
        modes = [(one, stat.S_IMODE(os.fstat(one).st_mode)) for one in (folder, to_folder)]
        for one, mode in modes:
            os.fchmod(one, mode | 0o700)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):  # to move a folder is to write into it: its `..`
                _open_to_us(name, folder)
            os.rename(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)
        finally:
            for one, mode in modes:
                os.fchmod(one, mode)


def take_away(folder: int, names: Sequence[str]) -> None:
    """Give what another process holds open folders of their own: its descriptors lead to removed ones then."""
    for name in names:
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{name}.taken", 0o700, dir_fd=folder)
        while True:
            try:
                os.rmdir(name, dir_fd=folder)
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                _move_all(folder, name, f"{name}.taken")
        os.rename(f"{name}.taken", name, src_dir_fd=folder, dst_dir_fd=folder)


def _move_all(folder: int, name: str, to_name: str) -> None:
    source = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        target = os.open(to_name, _OPEN_FOLDER, dir_fd=folder)
        try:
            for one in os.listdir(source):  # noqa: PTH208  a descriptor
                try:
                    os.rename(one, one, src_dir_fd=source, dst_dir_fd=target)
                except FileNotFoundError:
                    continue
        finally:
            os.close(target)
    finally:
        os.close(source)


def empty(folder: int) -> None:
    """Remove all that lies in a folder, following nothing."""
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            continue
        except (IsADirectoryError, PermissionError):
            _open_to_us(name, folder)
            shutil.rmtree(name, dir_fd=folder)


def _open_to_us(name: bytes | str, folder: int) -> None:
    """Take all rights on a folder in a folder."""
    inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _itself(inner).chmod(0o700)
    finally:
        os.close(inner)


def _itself(descriptor: int) -> Path:
    """Return a path to what is open, whatever stands under its name by now."""
    return Path(f"/proc/self/fd/{descriptor}")
