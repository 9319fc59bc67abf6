"""The node's record: what it must still know after a crash, in one small file outside the replicated data.

Nothing here decides. Where the file is lost, unreadable or another node's, it says so.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError, RecordUnwritable
from shared.files.atomic import write_atomically
from shared.node.model import Attempt, ClosedFor, Demotion, State, Term
from shared.node.reasons import Reason
from shared.surroundings import HookName

log = logging.getLogger(__name__)

FORMAT: Final = 1
_SECOND_LOOK_SECONDS: Final = 0.2  # who takes the folder writes its name a moment later
_PAUSE_SECONDS: Final = 0.1


class RecordUnreadable(Exception):
    """The record's file is there and cannot be read."""


class BootNote(BaseModel):
    """What the node ran on when the record was written, and what was allowed then."""

    model_config = ConfigDict(frozen=True)

    kernel_boot_id: str | None = None
    postmaster_started_at: datetime | None = None


class Record(BaseModel):
    """The record (roles, "The record"); `serial` grows with every write, so that a rolled back file can be told."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    serial: int = Field(0, ge=0)
    pair_id: str
    node_id: str
    state: State = State.UNINITIALISED
    reason: Reason | None = Reason.NEW
    term: Term | None = None
    highest_epoch: int = 0
    """The highest epoch this node has used or heard of; an abandoned attempt's is not used again."""
    attempt: Attempt | None = None
    demotion: Demotion | None = None
    closed_for: ClosedFor | None = None
    """The attempt that this node is fenced for; one that another node begins meanwhile does not count on it."""
    eligible: dict[str, bool] = Field(default_factory=dict)
    granted_epoch: int | None = None
    """The term whose owner was last granted to serve on; after a start the promise is kept for its whole time."""
    pending_hooks: tuple[HookName, ...] = ()
    """Hooks that follow from the present state and have not ended yet."""
    boot: BootNote = BootNote()


def read_record(folder: Path) -> Record | None:
    """Return what a node's record says now, without taking its folder; None where there is none that can be read."""
    try:
        return Record.model_validate_json((folder / "record.json").read_bytes())
    except (OSError, ValidationError):
        return None


class RecordStore(Protocol):
    """Where the record is kept."""

    def load(self) -> Record | None:
        """Return the record, None where there is none; raise RecordUnreadable or ConfigurationError."""

    def save(self, record: Record) -> None:
        """Make the record durable before returning; raise RecordUnwritable, and then the old one still counts."""


class Holder(StrEnum):
    """Who has the folder: the agent for its whole life, the controller while it closes the node of a dead agent."""

    AGENT = "agent"
    CONTROLLER = "controller"


class RecordFile:
    """The record in `<state_dir>/record.json`; the folder belongs to one holder at a time."""

    def __init__(self, folder: Path, *, pair_id: str, node_id: str, holder: Holder = Holder.AGENT) -> None:
        self._folder = folder
        self._holder = holder
        self._path = folder / "record.json"
        self._pair_id = pair_id
        self._node_id = node_id
        self._lock: int | None = None

    def load(self) -> Record | None:
        """Take the folder and return what is recorded; an unreadable file is kept aside under another name.

        An agent waits for as long as the controller has the folder; else one that is taken is a ConfigurationError.
        """
        self._take_folder()
        try:
            text = self._path.read_bytes()
            record = Record.model_validate_json(text)
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            self._keep_aside()
            raise RecordUnreadable(f"{self._path}: {type(error).__name__}") from error
        self._check_owner(record)
        return record

    def save(self, record: Record) -> None:
        """Replace the file by temporary, fsync, rename and fsync of the folder."""
        try:
            write_atomically(self._path, record.model_dump_json(indent=2).encode())
        except OSError as error:
            raise RecordUnwritable(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Give the folder back; repeatable."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        key = f'[node] state_dir = "{self._folder}"'
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{key}: {error.strerror}") from error
        if not self._wait_for(lock):
            os.close(lock)
            raise ConfigurationError(
                f"{key}: another agent uses this folder", hint="One node has one agent; stop the other one."
            )
        self._lock = lock

    def _wait_for(self, lock: int) -> bool:
        """Take the lock and note who has it; an agent waits for its controller, which lets go by itself."""
        looked_again = is_waiting = False
        while not _try_lock(lock):
            if self._holder is Holder.CONTROLLER:
                return False
            if os.pread(lock, 64, 0) == Holder.CONTROLLER.encode():
                if not is_waiting:
                    log.warning("the controller closes this node; the agent starts after that")
                is_waiting = True
            elif looked_again:
                return False
            else:
                looked_again = True
                time.sleep(_SECOND_LOOK_SECONDS)
            time.sleep(_PAUSE_SECONDS)
        os.ftruncate(lock, 0)
        os.pwrite(lock, self._holder.encode(), 0)
        return True

    def _check_owner(self, record: Record) -> None:
        if record.format > FORMAT:
            raise ConfigurationError(
                f"{self._path}: was written by a newer release (format {record.format})",
                hint="Install the newer release again.",
            )
        if (record.pair_id, record.node_id) != (self._pair_id, self._node_id):
            raise ConfigurationError(
                f"{self._path}: is the record of node {record.node_id} of the pair {record.pair_id}",
                hint="Correct [node] id, pair_id or state_dir.",
            )

    def _keep_aside(self) -> None:
        aside = self._path.with_name("record.unreadable")
        try:
            shutil.copy2(self._path, aside)
        except OSError as error:
            log.warning("unreadable record not kept aside", extra={"file": str(aside), "detail": error.strerror})


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
