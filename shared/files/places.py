"""Where what belongs to a file set lies: beside its folder, and in the state folder. Names only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def staging_folder(path: Path) -> Path:
    """Return the folder in which a sync gathers what is to take its place: outside the tree, on its file system."""
    return path.with_name(f".{path.name}.warmstandby")


def is_within(inner: Path, outer: Path) -> bool:
    """Say whether a path is another one or lies below it, as the names say and as links lead now."""
    return inner.is_relative_to(outer) or inner.resolve().is_relative_to(outer.resolve())


@dataclass(frozen=True, slots=True)
class Notes:
    """What a node knows of one of its file sets, in files under [node] state_dir."""

    folder: Path

    @classmethod
    def of(cls, state_dir: Path, name: str) -> Notes:
        """Return where the notes of a file set lie."""
        return cls(state_dir / "file_sets" / name)

    @property
    def index(self) -> Path:
        """Return the file of digests."""
        return self.folder / "index"

    @property
    def standing(self) -> Path:
        """Return the file that says whose the tree is."""
        return self.folder / "standing.json"
