"""The moments that this node's capture shares with other nodes, in the node's own database. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.primary_agent.capture.spool import Capture
from shared.postgres.application import Standing
from shared.postgres.queries import load_queries
from shared.postgres.sessions import Session
from shared.replication.model import SyncPoint
from shared.replication.returning import MOST_CANDIDATES, SharedPoint

_QUERIES: Final = load_queries("services.primary_agent.capture", "points.sql")


@dataclass(frozen=True, slots=True)
class Common:
    """A moment that was found again; `place` is its place among those asked for."""

    place: int
    point: SyncPoint
    snapshot: str


async def find_base(session: Session, capture: Capture, epoch: int) -> SyncPoint | None:
    """Return the point at which the promotion of this epoch found the copy."""
    row = await session.fetchrow(_QUERIES["find_base"], capture.number, epoch)
    return None if row is None else SyncPoint(capture_id=capture.capture_id, seq=row["seq"], nonce=row["nonce"])


async def record_base(session: Session, capture: Capture, epoch: int, own: SyncPoint, standing: Standing) -> None:
    """Record that our point is where the copy stood at a promotion, and hold what comes after for its source."""
    peer = standing.point
    await session.execute(
        _QUERIES["insert_base"],
        capture.number,
        epoch,
        own.seq,
        standing.source_node,
        peer.capture_id,
        peer.seq,
        peer.nonce,
    )
    await session.execute(_QUERIES["hold_base"], capture.number, standing.source_node, own.seq)


async def list_points(session: Session, capture: Capture) -> tuple[SharedPoint, ...]:
    """Return our own points, the newest first, with the names that others know some of them by."""
    rows = await session.fetch(_QUERIES["list_points"], capture.number, MOST_CANDIDATES - 1)
    return tuple(
        SharedPoint(
            own=SyncPoint(capture_id=capture.capture_id, seq=row["seq"], nonce=row["nonce"]),
            peer=None
            if row["peer_seq"] is None
            else SyncPoint(capture_id=row["peer_capture_id"], seq=row["peer_seq"], nonce=row["peer_nonce"]),
        )
        for row in rows
    )


async def find_common(session: Session, capture: Capture, candidates: Sequence[SharedPoint]) -> Common | None:
    """Return the first of another node's moments that our capture knows and keeps all changes since."""
    named = [
        (place, point)
        for place, candidate in enumerate(candidates)
        for point in (candidate.own, candidate.peer)
        if point is not None
    ]
    row = await session.fetchrow(
        _QUERIES["find_common"],
        capture.number,
        [place for place, _ in named],
        [point.capture_id for _, point in named],
        [point.seq for _, point in named],
        [point.nonce for _, point in named],
    )
    if row is None:
        return None
    point = SyncPoint(capture_id=capture.capture_id, seq=row["seq"], nonce=row["nonce"])
    return Common(row["place"], point, row["snapshot"])
