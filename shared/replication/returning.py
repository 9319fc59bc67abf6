"""What nodes say to each other when one comes back: shared moments, what it had alone, what came since. Values only."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from shared.node.model import Envelope, Wire
from shared.replication.model import SyncPoint, TableName

MOST_CANDIDATES: Final = 200


class SharedPoint(Wire):
    """A moment of a node's database, by the name its own capture gave it and by the one another node's did."""

    own: SyncPoint | None = Field(None, description="The teller's own sync point.")
    peer: SyncPoint | None = Field(None, description="The sync point of another node's capture at the same moment.")


class SharedPoints(Envelope):
    """The moments that a node can tell its changes since, the newest first (`GET /components/{c}/points`)."""

    is_copy: bool = Field(description="The database stands at a sync point of another node and was not served since.")
    items: tuple[SharedPoint, ...]


class FindBase(Wire):
    """A node that comes back asks for the newest moment both know (`POST /components/{c}/bases`)."""

    candidates: tuple[SharedPoint, ...] = Field(max_length=MOST_CANDIDATES, description="The newest first.")
    has_counts: bool = Field(False, description="Count the changes since, too: it takes a drain.")


class ChangedTable(Wire):
    """A table that changed since a shared moment."""

    schema_name: str
    name: str
    key_count: int = Field(0, description="Keys that were inserted, changed or deleted.")
    whole: str | None = Field(None, description="Why its keys do not tell all of it.")


class Base(Wire):
    """The newest moment that both nodes know."""

    candidate: int = Field(ge=0, description="Its place among the candidates.")
    since: SyncPoint = Field(description="Its name here: the `since` of the export that brings what came after it.")


class BaseFound(Envelope):
    """The answer to `FindBase`."""

    base: Base | None = Field(description="Null where no moment is shared, or its changes are no longer kept.")
    changed: tuple[ChangedTable, ...] = Field((), description="What changed here since the base, if asked for.")
    schema_change: str | None = Field(None, description="What of the definitions changed here since, if asked for.")


class DivergentTable(ChangedTable):
    """A table that the node which came back had changed alone; `number` is its address."""

    number: int
    key: tuple[str, ...] = Field((), description="Key columns in the order in which captured keys hold them.")
    key_types: tuple[str, ...] = ()


class PreparedTransaction(Wire):
    """A transaction that was prepared on a node and never ended."""

    gid: str
    owner: str
    prepared_at: datetime


class Divergence(Envelope):
    """What a node has that the pair went on without (`GET /components/{c}/divergence`)."""

    component: str
    point: SyncPoint = Field(description="The moment since which it is told.")
    encoding: str
    tables: tuple[DivergentTable, ...]
    untold: tuple[TableName, ...] = Field(
        (), description="Tables whose changes are not captured: what of them differs is seen by comparing all rows."
    )
    schema_change: str | None = Field(
        None, description="What of the definitions changed since: then only a seed helps."
    )
    prepared: tuple[PreparedTransaction, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Say whether the node had nothing alone, as far as its capture tells."""
        return not self.tables and not self.prepared and self.schema_change is None


class KeysStored(Envelope):
    """The answer to keys that were brought (`PUT /components/{c}/divergent-keys/{schema}/{table}`)."""

    count: int
