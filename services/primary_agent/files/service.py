"""The file sets of this node: told and given to a standby, watched for the heartbeat, and settled at a promotion."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from services.primary_agent.files.giving import Giving
from services.primary_agent.files.listing import Listing
from services.primary_agent.node.node import Node
from shared.clock import Clock
from shared.errors import FileSetMissing, FileSetUnusable, NotFound, WarmstandbyError
from shared.files.places import Notes
from shared.files.settling import Settled, find_obstacle, settle
from shared.files.staging import has_journal
from shared.files.standing import Standing, read_standing, write_standing
from shared.files.threads import pump
from shared.files.tree import Tree
from shared.files.wire import OpenListing, WantFiles
from shared.lifecycle import run_every
from shared.log import fields_of
from shared.node.model import ComponentStatus, Problem, State
from shared.settings import FileSetSettings, Settings

_HELD_LOOKS: Final = 30
_LOOK_SECONDS: Final = 0.1
_log = logging.getLogger(__name__)

Sink = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class _Seen:
    """What the last look at a file set found."""

    standing: Standing = field(default_factory=Standing)
    is_there: bool | None = None
    problem: WarmstandbyError | None = None


class FileSetService:
    """Answers for every file set of this node."""

    def __init__(self, settings: Settings, clock: Clock, node: Node) -> None:
        """Look at nothing yet."""
        self._settings = settings
        self._clock = clock
        self._node = node
        self._seen = {one.name: _Seen() for one in settings.file_sets}

    def statuses(self) -> tuple[ComponentStatus, ...]:
        """Return what is known of each file set without looking at a disk."""
        return tuple(self._status(one) for one in self._settings.file_sets)

    async def run(self) -> None:
        """Look every `heartbeat_seconds`; never returns."""
        pause = self._settings.agent.heartbeat_seconds
        await run_every(pause, self.look, name="file sets", clock=self._clock)

    async def look(self) -> None:
        """See that each folder is there; while the node serves, note that what lies there is its own."""
        for one in self._settings.file_sets:
            epoch = None if not self._node.is_active or self._node.term is None else self._node.term.epoch
            self._seen[one.name] = await asyncio.to_thread(self._look, one, epoch)

    async def list_entries(self, name: str, asked: OpenListing, caller: str, sink: Sink) -> None:
        """Write what lies in a file set, line by line."""
        file_set = self._require(name, caller)
        self._node.require_term(asked.term)
        listing = Listing(
            file_set, self._notes(file_set).index, self._node.envelope(), self._clock, is_rehashed=asked.is_rehashed
        )
        await pump(listing.lines, sink)

    async def give(self, name: str, wanted: WantFiles, caller: str, sink: Sink) -> None:
        """Write the contents of files."""
        await pump(Giving(self._require(name, caller), wanted).frames, sink)

    async def stop_apply(self) -> None:
        """Bring to its end what a sync left behind; after this none writes here any more.

        A process that still holds a file set gets a moment, and loses it then. Raises FileSetUnusable, FileSetMissing
        where a required file set cannot be settled.
        """
        for one in self._settings.file_sets:
            try:
                done = await asyncio.to_thread(partial(self._settle, one))
            except WarmstandbyError as error:
                _log.error("file set not settled", extra={"component": one.name, **fields_of(error)})
                if one.required:
                    raise
            else:
                if done is not Settled.NOTHING:
                    _log.warning("file set settled", extra={"component": one.name, "detail": done.value})

    async def begin_serving(self) -> None:
        """Note, before an application can write, that what lies there is this node's own from now on."""
        attempt, term = self._node.record.attempt, self._node.term
        epoch = attempt.epoch if attempt is not None and self._node.state is State.PROMOTING else None
        epoch = term.epoch if epoch is None and term is not None else epoch
        for one in self._settings.file_sets:
            self._seen[one.name] = await asyncio.to_thread(self._look, one, epoch)

    def _settle(self, file_set: FileSetSettings) -> Settled:
        looks = 0

        def waits() -> bool:
            nonlocal looks
            looks += 1
            if not has_journal(file_set.path):
                return False  # what is still being gathered is not waited for
            time.sleep(_LOOK_SECONDS)
            return looks < _HELD_LOOKS

        return settle(file_set, self._notes(file_set), waits=waits)

    def _look(self, file_set: FileSetSettings, epoch: int | None) -> _Seen:
        place = self._notes(file_set).standing
        seen = _Seen(read_standing(place))
        try:
            with Tree.open(file_set.path, file_set.name) as tree:
                seen.is_there = True
                if epoch is None:
                    seen.problem = find_obstacle(tree, file_set.name)
            if epoch is not None and seen.standing.served_epoch != epoch:
                seen.standing = seen.standing.model_copy(update={"served_epoch": epoch})
                write_standing(place, seen.standing)
        except (FileSetMissing, FileSetUnusable) as error:
            seen.is_there, seen.problem = False, error
        except OSError as error:
            seen.problem = FileSetUnusable(f"file set {file_set.name}: {place}: {error.strerror}")
        return seen

    def _status(self, file_set: FileSetSettings) -> ComponentStatus:
        seen = self._seen[file_set.name]
        point, problem = seen.standing.point, seen.problem
        return ComponentStatus(
            name=file_set.name,
            folder=str(file_set.path),
            position=None if point is None else f"{point.capture_id}:{point.seq}",
            is_copy=None if seen.is_there is None else seen.is_there and seen.standing.is_copy,
            problem=None if problem is None else Problem(code=problem.code, text=problem.detail, hint=problem.hint),
        )

    def _require(self, name: str, caller: str) -> FileSetSettings:
        self._node.require_exporting(caller)
        found = self._settings.file_set(name)
        if found is None:
            raise NotFound(
                f"there is no file set {name!r} on this node", hint="Its name must be in [[file_sets]] of both nodes."
            )
        return found

    def _notes(self, file_set: FileSetSettings) -> Notes:
        return Notes.of(self._settings.node.state_dir, file_set.name)
