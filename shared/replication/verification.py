"""What the two ends of a sync say to each other when they compare what they hold. Values only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from shared.node.model import Envelope, Wire
from shared.replication.model import Column

MOST_BITS: Final = 12
MOST_CHOSEN: Final = 400
_ROWS_PER_BUCKET: Final = 1000


class Level(StrEnum):
    """How much of a copy is compared with its source."""

    NONE = "none"
    COUNTS = "counts"
    CHANGED = "changed"
    FULL = "full"


class HeldTable(Wire):
    """A table at an export's snapshot, whether the export ships anything of it or not; `number` is its address."""

    number: int
    schema_name: str
    name: str
    columns: tuple[Column, ...] = Field(description="Columns in order; generated ones are left out.")
    key: tuple[str, ...] = Field(description="Key columns in the table's order; empty where it has no usable key.")
    is_followed: bool = Field(description="Its changes are told by keys.")
    is_kept: bool = Field(True, description="Each delta brings it to the source's state, by keys or compared.")
    estimated_rows: int = 0

    @property
    def bits(self) -> int:
        """Return into how many parts, as a power of two, its rows are divided by a hash of their key."""
        if not self.key:
            return 0
        return min(MOST_BITS, (max(0, self.estimated_rows) // _ROWS_PER_BUCKET).bit_length())


class Holding(Envelope):
    """All tables at an export's snapshot (`GET /exports/{id}/holding`)."""

    export_id: str
    tables: tuple[HeldTable, ...]
