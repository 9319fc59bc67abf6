"""What the pair keeps equal on all nodes, on the wire and in the last-good file: settings, tokens, history. Values."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue

from shared.node.model import Envelope, Wire

Whole = Annotated[int, Field(ge=0, lt=2**63)]

Instant = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]

LINEAGE_LENGTH: Final = 64


class ConfigVersion(Wire):
    """The version of the pair's settings: the higher epoch, then version, then node wins."""

    epoch: Whole
    version: Whole
    node_id: str = Field("", description="The node that the change was made on; empty for what no node made.")

    @property
    def etag(self) -> str:
        """Return the version as an entity tag."""
        return f'"{self.epoch}.{self.version}{"." if self.node_id else ""}{self.node_id}"'


class PairSettings(Wire):
    """The settings with their version, who made them, and from what."""

    document: dict[str, JsonValue] = Field(description="What differs from the defaults.")
    version: ConfigVersion
    changed_at: Instant
    changed_by: str
    lineage: tuple[ConfigVersion, ...] = Field(
        (), max_length=LINEAGE_LENGTH, description="The versions it was made from, the newest first."
    )


class PairToken(Wire):
    """An API token: its hash, or that it was deleted, which is never taken back."""

    id: str = Field(pattern="^[A-Za-z0-9]{1,64}$")
    name: str = Field(pattern="^[A-Za-z0-9_-]{1,63}$")
    role: str = Field(pattern="^(viewer|operator|admin)$")
    secret_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Hash of the secret, in hexadecimal digits.")
    created_at: Instant
    expires_at: Instant | None = None
    made_on: str = Field("", description="The node that it was made on.")
    deleted_at: Instant | None = None


class PairBook(Wire):
    """Settings and tokens of the pair; two are merged by `policy/pair_merge.py`."""

    settings: PairSettings
    tokens: tuple[PairToken, ...] = Field((), description="Ordered by id.")


class PairDocumentView(Envelope):
    """What one node holds of the pair's configuration (`GET /pair/document`, and the answer of `PUT`)."""

    book: PairBook


class HistoryItem(Wire):
    """A row of history as the node holds it; `change` numbers the rows in the order in which this node got them."""

    change: Whole
    kind: str = Field(description="event, sync, journal or evidence; another one is left out by the reader.")
    row: dict[str, JsonValue]


class HistoryPage(Envelope):
    """Rows of history after a place, the oldest first (`GET /pair/history`)."""

    generation: str = Field(description="A new one when the node's control database is made anew: read all again.")
    items: tuple[HistoryItem, ...]
    reached: Whole = Field(description="Where to go on.")
    has_more: bool
