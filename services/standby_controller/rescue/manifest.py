"""What a rescue holds, as the file beside it says. Values only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.replication.model import SyncPoint
from shared.replication.returning import PreparedTransaction

CHANGE_COLUMN: Final = "_change"
SIDE_COLUMN: Final = "_side"


class RescueKind(StrEnum):
    """What was saved."""

    ROWS = "rows"
    DATABASE = "database"
    FILES = "files"


class Change(StrEnum):
    """What the node that came back had done alone to a row."""

    INSERTED = "inserted"
    CHANGED = "changed"
    DELETED = "deleted"
    SAME_KEY = "same_key"
    """It inserted a row, and the other node inserted another one under the same key."""
    DIFFERENT = "different"
    """The row is not among those of the other node; which of them was first cannot be told."""


class RescuedTable(BaseModel):
    """One table's part of a rescue."""

    model_config = ConfigDict(frozen=True)

    schema_name: str
    name: str
    file: str | None = Field(description="Its name in the rescue; null where the table had no difference to save.")
    by: str = Field(description="`keys`: by the keys captured there; `rows`: by comparing all rows of both sides.")
    reason: str | None = Field(None, description="Why keys did not tell.")
    inserted: int = Field(0, description="Rows that only this node had.")
    changed: int = Field(0, description="Rows that it had changed; the file has both versions where there are two.")
    deleted: int = Field(0, description="Rows that it had deleted; the file has the other node's version.")
    same_key: int = Field(0, description="Rows that both nodes had inserted under one key; the file has both.")
    different: int = Field(0, description="Rows found by comparing all: not among the other node's.")
    only_there: int = Field(
        0, description="Rows that only the other node has, counted by comparing all: deleted here, or made there later."
    )

    @property
    def rows(self) -> int:
        """Return how many rows of this node are told of."""
        return self.inserted + self.changed + self.deleted + self.same_key + self.different


class RescuedFile(BaseModel):
    """One file or link of a file set, as it was before it was overwritten or removed."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="Relative to the folder, percent-encoded.")
    file: str | None = Field(None, description="Its name in the rescue; null of a symbolic link.")
    mode: int = 0
    owner: str = ""
    group: str = ""
    bytes: int = 0
    sha256: str = ""
    target: str = Field("", description="Where a symbolic link led, percent-encoded.")


class RescueManifest(BaseModel):
    """One component's rescue; written last, so that a rescue with a manifest is whole."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: RescueKind
    component: str
    database: str = Field("", description="Empty of a file set.")
    folder: str | None = Field(None, description="Of a file set.")
    node_id: str = Field(description="Whose data was saved.")
    source_node: str = Field(description="The node that the pair went on with.")
    term_epoch: int
    base: SyncPoint | None = Field(None, description="The last moment that both nodes shared.")
    reason: str = Field(description="Why this was saved, in words.")
    made_at: AwareDatetime
    encoding: str | None = Field(None, description="Of the files: that of the database.")
    tables: tuple[RescuedTable, ...] = ()
    prepared: tuple[PreparedTransaction, ...] = Field(
        (), description="Transactions that were prepared on this node and are rolled back now."
    )
    files: tuple[RescuedFile, ...] = Field((), description="Of a file set: what was overwritten or removed.")
    kept_database: str | None = Field(None, description="The old database, under the name it has now.")

    @property
    def rows(self) -> int:
        """Return how many rows were saved."""
        return sum(table.rows for table in self.tables)


def made_at_text(moment: datetime) -> str:
    """Return a moment as part of a name."""
    return moment.strftime("%Y%m%d-%H%M%S")
