"""Two trees and a sync between them, without HTTP: what the agent would send is handed over, chunk by chunk.

What runs is the product; the way between the services is a call, and a test may break it or change what it carries.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from pydantic import SecretStr

from services.primary_agent.files.giving import Giving
from services.primary_agent.files.listing import Listing
from services.primary_agent.node.node import EnvelopeFields
from services.standby_controller.files.file_set import FileSetSync, clear_file_sets
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import Guards
from services.standby_controller.progress import Progress
from services.standby_controller.verify.model import Wish
from shared.clock import SystemClock
from shared.errors import NotActive
from shared.files.places import Notes, staging_folder
from shared.files.standing import Standing, read_standing
from shared.files.wire import ListingEnd, OpenListing, WantFiles
from shared.node.file_sets import FileSetLink
from shared.node.model import Envelope, State, Term
from shared.node.record import Record
from shared.settings import ComponentSettings, FileSetSettings, Mode, NodeSettings, PostgresSettings, Settings

NAME: Final = "papers"
GUARDS: Final = Guards()
TERM: Final = Term(epoch=17, owner="source")


class ServingNode:
    """The agent's node: it serves unless a test says otherwise."""

    def __init__(self, node_id: str, state: State = State.ACTIVE, term: Term = TERM) -> None:
        self.state = state
        self.term = term
        self.record = Record(pair_id="pair", node_id=node_id, state=state, term=term)

    @property
    def is_active(self) -> bool:
        """Say whether it serves."""
        return self.state is State.ACTIVE

    def require_exporting(self, caller: str) -> None:
        """Raise NotActive when a test says so."""
        if not self.is_active:
            raise NotActive("the node source is not active")

    def require_term(self, epoch: int) -> None:
        """Take every term."""

    def envelope(self) -> EnvelopeFields:
        """Speak as the source."""
        return EnvelopeFields(pair_id="pair", node_id="source", boot_id="boot", term=TERM)


def settings_of(node_id: str, folder: Path, exclude: tuple[str, ...] = ()) -> Settings:
    """A node with one file set, which no service runs on."""
    dsn = SecretStr("postgresql://warmstandby@localhost/warmstandby")
    return Settings(
        node=NodeSettings(
            id=node_id,
            mode=Mode.PRIMARY if node_id == "source" else Mode.SECONDARY,
            pair_id="pair",
            key=SecretStr(f"key-of-node-{node_id}-0123456789"),
            state_dir=folder / "state",
        ),
        postgres=PostgresSettings(dsn=dsn, apply_dsn=dsn),
        components=(ComponentSettings(name="shop", database="shop"),),
        file_sets=(FileSetSettings(name=NAME, path=folder / NAME, exclude=exclude),),
    )


@dataclass(slots=True)
class DirectFiles:
    """The part of the node client that a sync of files uses; `before_contents` steps in, `alter` changes a line."""

    settings: Settings
    before_contents: Callable[[], object] = lambda: None
    on_block: Callable[[], None] = lambda: None
    """Is called with each block of a large file."""
    alter: Callable[[bytes], bytes] = lambda chunk: chunk
    asked: list[str] = field(default_factory=list)
    requests: int = 0
    last: ListingEnd | None = None

    @asynccontextmanager
    async def listing(self, name: str, asked: OpenListing) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the listing line by line."""
        file_set = self.settings.file_sets[0]
        envelope = EnvelopeFields(pair_id="pair", node_id="source", boot_id="boot", term=TERM)
        index = Notes.of(self.settings.node.state_dir, name).index
        lines = Listing(file_set, index, envelope, SystemClock(), is_rehashed=asked.is_rehashed).lines(lambda: False)

        async def chunks() -> AsyncIterator[bytes]:
            pending = bytearray()
            for line in lines:
                if line.startswith(b'{"entries"'):
                    self.last = ListingEnd.model_validate_json(line)
                pending += self.alter(line)
                if len(pending) > 100_000:
                    yield bytes(pending)
                    pending.clear()
            yield bytes(pending)

        try:
            yield chunks()
        finally:
            lines.close()

    @asynccontextmanager
    async def contents(self, name: str, wanted: WantFiles) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the contents."""
        assert name == NAME
        self.requests += 1
        self.asked += [one.path for one in wanted.files]
        self.before_contents()
        frames = Giving(self.settings.file_sets[0], wanted).frames(lambda: False)

        async def chunks() -> AsyncIterator[bytes]:
            for frame in frames:
                if len(frame) > 100_000:
                    self.on_block()
                yield frame

        try:
            yield chunks()
        finally:
            frames.close()


@dataclass(slots=True)
class TwoTrees:
    """A source's tree and a standby's."""

    folder: Path
    source_settings: Settings
    target_settings: Settings
    client: DirectFiles

    @classmethod
    def make(cls, folder: Path, *, exclude: tuple[str, ...] = (), exclude_here: tuple[str, ...] = ()) -> TwoTrees:
        """Make both folders, empty."""
        for place in ("source", "target"):
            (folder / place / NAME).mkdir(parents=True)
            (folder / place / "state").mkdir()
        return cls.at(folder, exclude=exclude, exclude_here=exclude_here)

    @classmethod
    def at(cls, folder: Path, *, exclude: tuple[str, ...] = (), exclude_here: tuple[str, ...] = ()) -> TwoTrees:
        """Take folders that are there."""
        source = settings_of("source", folder / "source", exclude)
        return cls(folder, source, settings_of("target", folder / "target", exclude_here), DirectFiles(source))

    @property
    def source(self) -> Path:
        """The active node's folder."""
        return self.source_settings.file_sets[0].path

    @property
    def target(self) -> Path:
        """The copy."""
        return self.target_settings.file_sets[0].path

    @property
    def standing(self) -> Standing:
        """Whose the copy is."""
        return read_standing(Notes.of(self.target_settings.node.state_dir, NAME).standing)

    async def sync(
        self,
        wish: Wish | None = None,
        *,
        guards: Guards = GUARDS,
        watch: Callable[[str], None] = lambda _: None,
    ) -> ComponentOutcome:
        """Bring the copy to the source's state."""
        progress = Progress(SystemClock())
        progress.start_component(NAME)
        return await FileSetSync(
            self.target_settings.file_sets[0],
            self.target_settings,
            cast("FileSetLink", self.client),
            TERM,
            Envelope(pair_id="pair", node_id="target", boot_id="boot", term=TERM),
            progress,
            guards,
            wish,
            watch=watch,
        ).run()

    async def settle(self) -> None:
        """Do what a controller's start does."""
        await clear_file_sets(self.target_settings)

    def compare(self) -> None:
        """See that both trees hold the same, and that nothing of a sync is left."""
        assert snapshot(self.target) == snapshot(self.source)
        assert not staging_folder(self.target).exists()


def write(path: Path, content: bytes | str, *, mode: int = 0o644, mtime: int | None = 1_700_000_000) -> Path:
    """Write a file that is old enough to be believed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def snapshot(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Return all that lies in a tree, by other means than the product's."""
    return dict(_walk(os.fsencode(folder), b""))


def _walk(folder: bytes, below: bytes) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        path, place = below + name, Path(os.fsdecode(folder + b"/" + name))
        found = place.lstat()
        owner = (found.st_uid, found.st_gid)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            yield path, ("folder", mode, owner)
            yield from _walk(folder + b"/" + name, path + b"/")
        elif stat.S_ISLNK(found.st_mode):
            yield path, ("link", place.readlink(), owner)
        elif stat.S_ISREG(found.st_mode):
            yield path, ("file", mode, owner, found.st_mtime_ns, hashlib.sha256(place.read_bytes()).hexdigest())
        else:
            yield path, ("other",)
