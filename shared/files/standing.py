"""Whose a tree is: what syncs made, at which sync point, or this node's own since it served. One small file."""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from shared.files.atomic import write_atomically
from shared.replication.model import SyncPoint


class Standing(BaseModel):
    """What is known of a tree."""

    model_config = ConfigDict(frozen=True)

    point: SyncPoint | None = None
    """The listing of the active node that the copy shows; None where no sync made it."""
    source_node: str = ""
    term_epoch: int = 0
    taken_at: AwareDatetime | None = None
    noted: str = ""
    """The index that was written when the tree had become so; another one says nothing of what a sync left."""
    served_epoch: int | None = None
    """The term in which this node served since: applications may have written."""

    @property
    def is_copy(self) -> bool:
        """Say whether the tree holds what syncs made and nothing that an application wrote here."""
        return self.point is not None and self.served_epoch is None


def read_standing(path: Path) -> Standing:
    """Return what is known; nothing where the file cannot be read."""
    try:
        return Standing.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Standing()


def write_standing(path: Path, standing: Standing) -> None:
    """Replace the file durably; raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, standing.model_dump_json().encode())
