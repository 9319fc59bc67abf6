"""Where a component's copy stands: the cursor in the standby's database, and the guard that each write reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.errors import CursorMoved, GuardClosed
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import Manifest, SourceIdentity, SyncPoint

_QUERIES: Final = load_queries("services.standby_controller.apply", "target.sql")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The sync point at which a copy stands, and what the active node said of it."""

    point: SyncPoint
    source_node: str
    seed_id: str
    snapshot_at: datetime
    definitions_token: str
    """The active node's token of the definitions that the copy has."""
    sequences: tuple[tuple[str, str, int, bool], ...] = ()
    """Schema, name and position of each sequence as it was brought here last."""
    source: SourceIdentity | None = None
    """Which database the copy was made from; None of what earlier releases wrote."""
    term_epoch: int | None = None
    """Of the term in which it was brought there."""


async def read_cursor(session: Session, component: str) -> Cursor | None:
    """Return the cursor; None where the database was not made by a seed."""
    if not await session.fetchval(_QUERIES["has_cursor"]):
        return None
    row = await session.fetchrow(_QUERIES["read_cursor"], component)
    if row is None:
        return None
    manifest: dict[str, Any] = json.loads(row["manifest"])
    return Cursor(
        point=SyncPoint(capture_id=row["capture_id"], seq=row["seq"], nonce=row["nonce"]),
        source_node=row["source_node"],
        seed_id=row["seed_id"],
        snapshot_at=row["snapshot_at"],
        definitions_token=manifest.get("definitions_token", ""),
        sequences=tuple(tuple(value) for value in manifest.get("sequences", [])),
        source=None if manifest.get("source") is None else SourceIdentity.model_validate(manifest["source"]),
        term_epoch=row["term_epoch"],
    )


async def hold_guard(session: Session, database: str) -> None:
    """Raise GuardClosed unless the database may be overwritten until this transaction ends."""
    if not await session.fetchval(_QUERIES["hold_guard"]):
        raise GuardClosed(f"database {database} of this node may not be overwritten")


async def hold_node_guard(session: Session) -> None:
    """Raise GuardClosed unless databases of this node may be swapped until this transaction ends."""
    if not await session.fetchval(_QUERIES["hold_node_guard"]):
        raise GuardClosed("databases of this node may not be replaced")


async def write_cursor(
    session: Session, manifest: Manifest, *, seed_id: str, epoch: int, definitions_token: str
) -> None:
    """Write the cursor of a fresh copy; `definitions_token` tells of the definitions that it has."""
    point = manifest.point
    await session.execute(
        _QUERIES["write_cursor"],
        manifest.component,
        point.capture_id,
        point.seq,
        point.nonce,
        manifest.node_id,
        epoch,
        seed_id,
        manifest.taken_at,
        _summarise(manifest, definitions_token),
    )


async def move_cursor(
    session: Session, before: Cursor, manifest: Manifest, *, epoch: int, definitions_token: str
) -> None:
    """Move the cursor to a delta's point; raise CursorMoved when it does not stand where the delta began."""
    moved = await session.fetchval(
        _QUERIES["move_cursor"],
        manifest.component,
        before.point.seq,
        before.point.nonce,
        manifest.point.seq,
        manifest.point.nonce,
        epoch,
        manifest.taken_at,
        _summarise(manifest, definitions_token),
    )
    if moved is None:
        raise CursorMoved(f"the copy of {manifest.component} no longer stands at sync point {before.point.seq}")


def _summarise(manifest: Manifest, definitions_token: str) -> str:
    """Return what is kept of a manifest: no rows, no keys."""
    return json.dumps(
        {
            "kind": manifest.kind.value,
            "snapshot": manifest.snapshot_id,
            "tables": len(manifest.tables),
            "unkept": [[table.name, table.reason] for table in manifest.unkept],
            "definitions_token": definitions_token,
            "sequences": [
                [value.schema_name, value.name, value.last_value, value.is_called] for value in manifest.sequences
            ],
            "source": None if manifest.source is None else manifest.source.model_dump(mode="json"),
        }
    )
