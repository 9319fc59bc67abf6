"""Names of users and groups, and what of them and of rights this process may give to a file."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import replace
from typing import Final

from shared.files.entries import Entry, EntryKind

_PRIVILEGED_BITS: Final = 0o6000


class Owners:
    """Looks names up, each once; `unkept` counts what could not be given to its owner."""

    def __init__(self) -> None:
        """See whether this process may give files away."""
        self.may_give: Final = os.geteuid() == 0
        self.unkept = 0
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._uids: dict[str, int | None] = {}
        self._gids: dict[str, int | None] = {}

    def user(self, uid: int) -> str:
        """Return a user's name, or the number where it has none."""
        if uid not in self._users:
            try:
                self._users[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                self._users[uid] = str(uid)
        return self._users[uid]

    def group(self, gid: int) -> str:
        """Return a group's name, or the number where it has none."""
        if gid not in self._groups:
            try:
                self._groups[gid] = grp.getgrgid(gid).gr_name
            except KeyError:
                self._groups[gid] = str(gid)
        return self._groups[gid]

    def ids(self, entry: Entry) -> tuple[int, int]:
        """Return whom an entry is given to, as numbers; -1 changes nothing."""
        uid, gid = self._uid(entry.owner), self._gid(entry.group)
        return -1 if uid is None else uid, -1 if gid is None else gid

    def kept(self, entry: Entry, *, is_counted: bool = True) -> Entry:
        """Return an entry as it can be on this node: without an owner (empty) that it cannot be given to.

        Then it has no right either to act in its owner's name.
        """
        if entry.kind is EntryKind.LEFT:
            return entry
        owner = entry.owner if self.may_give and self._uid(entry.owner) is not None else ""
        group = entry.group if self.may_give and self._gid(entry.group) is not None else ""
        if owner and group:
            return entry
        if entry.owner != self.user(os.geteuid()) or entry.group != self.group(os.getegid()):
            self.unkept += is_counted
        return replace(entry, owner=owner, group=group, mode=entry.mode & ~_PRIVILEGED_BITS)

    def _uid(self, name: str) -> int | None:
        if name and name not in self._uids:
            try:
                self._uids[name] = pwd.getpwnam(name).pw_uid
            except (KeyError, ValueError):
                self._uids[name] = int(name) if name.isdecimal() else None
        return self._uids.get(name)

    def _gid(self, name: str) -> int | None:
        if name and name not in self._gids:
            try:
                self._gids[name] = grp.getgrnam(name).gr_gid
            except (KeyError, ValueError):
                self._gids[name] = int(name) if name.isdecimal() else None
        return self._gids.get(name)
